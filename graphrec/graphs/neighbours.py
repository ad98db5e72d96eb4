"""Neighbour lists of nodes, and the operators that they become."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.graphs.sparse import Sparse

NORMALISATIONS = ('none', 'row', 'symmetric')
SYMMETRISATIONS = ('none', 'max', 'mean')


@dataclass(frozen=True, eq=False)
class NeighbourGraph:
    r"""The nearest neighbours of every node: a directed graph with at most :math:`k`
    edges a node.

    Row :math:`i` names the neighbours that node :math:`i` chose: itself first where it
    counts among them, then by falling similarity, equal ones by number. So row
    :math:`i` of an operator made of it gathers from the neighbours of :math:`i`, and
    column :math:`j` holds the nodes that chose :math:`j`, which for a hub are many.

    Attributes:
        index: Node numbers :math:`(n, k)`, int64; -1 at the end of a row with fewer.
        similarity: Their similarities :math:`(n, k)`, finite; 0 where there is none.
        recall: Share of the true neighbours that these hold: 1 for exact search,
            measured on a sample for an approximate one.

    Raises:
        GraphError: If shapes differ, a number lies outside the graph, a row names a node
            twice, or a similarity is not finite.
    """

    index: Tensor
    similarity: Tensor
    recall: float = 1.0

    def __post_init__(self) -> None:
        if self.index.dim() != 2 or self.index.shape != self.similarity.shape:
            raise GraphError(
                f"'index' has shape {list(self.index.shape)} and 'similarity' "
                f'{list(self.similarity.shape)}; both must be [n, k]'
            )
        if self.index.numel() == 0:
            return
        low, high = int(self.index.min()), int(self.index.max())
        if low < -1 or high >= self.num_nodes:
            raise GraphError(
                f"'index' runs from {low} to {high} for {self.num_nodes} nodes; give node "
                f'numbers, and -1 where a row has fewer neighbours'
            )
        ordered = self.index.sort(dim=1).values
        twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1)
        if twice.any():
            raise GraphError(f"'index' names a node twice in row {int(twice.nonzero()[0])}")
        finite = torch.isfinite(self.similarity).all(1)
        if not finite.all():
            raise GraphError(
                f"'similarity' holds NaN or infinite values in {int((~finite).sum())} rows "
                f'(first one: row {int((~finite).nonzero()[0])}); 0 means no neighbour'
            )

    @classmethod
    def from_entries(
        cls, row: Tensor, col: Tensor, similarity: Tensor, *, num_nodes: int, k: int
    ) -> NeighbourGraph:
        r"""From unique entries :math:`(E)` in any order: of every row itself if it is there
        (similarity 1), then the most similar, equal ones by number, :math:`k` in all."""
        first = torch.where(row == col, torch.inf, similarity)
        index, value = best_of_rows(row, col, first, num_nodes, k)
        return cls(index, torch.where(value == torch.inf, 1.0, value))

    @property
    def num_nodes(self) -> int:
        """Number of nodes :math:`n`, those without neighbours included."""
        return self.index.size(0)

    @property
    def k(self) -> int:
        """Most neighbours that a row can hold."""
        return self.index.size(1)

    def edges(
        self, *, self_loops: bool | None = None, positive: bool = False
    ) -> tuple[Tensor, Tensor]:
        r"""The edges :math:`(2, E)`, row 0 the node and row 1 a neighbour that it chose,
        sorted by node, and their similarities :math:`(E)`.

        Args:
            self_loops: Whether every node is joined to itself, with similarity 1 (True),
                none is (False), or those are that name themselves (None).
            positive: Leave out neighbours whose similarity is not above 0.
        """
        keep = self.index >= 0
        if positive:
            keep = keep & (self.similarity > 0)
        row, place = keep.nonzero().t()
        col, value = self.index[row, place], self.similarity[row, place]
        if self_loops is not None:
            other = row != col
            row, col, value = row[other], col[other], value[other]
        if self_loops:
            own = torch.arange(self.num_nodes, device=row.device)
            row, col = torch.cat([own, row]), torch.cat([own, col])
            value = torch.cat([value.new_ones(self.num_nodes), value])
            order = torch.argsort(row, stable=True)
            row, col, value = row[order], col[order], value[order]
        return torch.stack([row, col]), value

    def to_operator(
        self,
        *,
        weighted: bool = False,
        normalisation: str = 'symmetric',
        self_loops: bool | None = None,
        mutual: bool = False,
        symmetrise: str = 'none',
        positive: bool = False,
    ) -> Sparse:
        r"""The graph as an operator :math:`\mathbf{S} \in \mathbb{R}^{n \times n}`, so that
        ``op @ x`` gathers from the neighbours of every node.

        With :math:`\mathbf{W}` the chosen weights and :math:`d_i = \sum_j w_{ij}` always
        the **row** sums, also at the far end of an edge,

        .. math::
            \text{symmetric: } s_{ij} = \frac{w_{ij}}{\sqrt{d_i d_j}}, \qquad
            \text{row: } s_{ij} = \frac{w_{ij}}{d_i}

        which is how LATTICE, FREEDOM and MGCN normalise. On the directed graph that makes

        - FREEDOM (binary, itself included): every value :math:`1/k` and every row sum 1,
          although the matrix is not symmetric; both normalisations agree;
        - LATTICE, MGCN (``weighted=True``): a matrix that is neither symmetric nor of row
          sum 1.

        A row without edges stays zero.

        Args:
            weighted: Weigh an edge by its similarity (those not above 0 are left out,
                since a negative row sum has no root) instead of 1.
            normalisation: ``'symmetric'``, ``'row'`` or ``'none'``.
            self_loops: See :meth:`edges`.
            mutual: Keep only edges that both ends chose, with the smaller similarity; the
                result is symmetric.
            symmetrise: Before normalisation: ``'max'`` (an edge where either end chose the
                other, with the larger weight), ``'mean'`` (:math:`(\mathbf{W} +
                \mathbf{W}^{\top}) / 2`) or ``'none'``. With symmetric normalisation
                :math:`\|\mathbf{S}\|_2 \leq 1` then.
            positive: Leave out neighbours whose similarity is not above 0.

        Raises:
            GraphError: If a word is not among those named.
        """
        if normalisation not in NORMALISATIONS:
            raise GraphError(
                f"'normalisation' must be one of {NORMALISATIONS} (got {normalisation!r})"
            )
        if symmetrise not in SYMMETRISATIONS:
            raise GraphError(f"'symmetrise' must be one of {SYMMETRISATIONS} (got {symmetrise!r})")
        edge_index, value = self.edges(self_loops=self_loops, positive=positive or weighted)
        weight = value.double() if weighted else torch.ones_like(value, dtype=torch.float64)
        if mutual or symmetrise != 'none':
            edge_index, weight = _both_ways(
                edge_index, weight, self.num_nodes, 'mutual' if mutual else symmetrise
            )
        row, col = edge_index
        degree = weight.new_zeros(self.num_nodes).index_add_(0, row, weight)
        if normalisation == 'symmetric':
            scale = torch.where(degree > 0, degree, torch.inf).rsqrt()
            # The product of both ends first, so that it is the same from either.
            weight = weight * (scale[row] * scale[col])
        elif normalisation == 'row':
            weight = weight / degree[row]
        return Sparse.from_edges(
            edge_index,
            weight.float(),
            shape=(self.num_nodes, self.num_nodes),
            symmetric=(mutual or symmetrise != 'none') and normalisation != 'row',
        )

    def to(self, device: torch.device | str) -> NeighbourGraph:
        """A copy on :obj:`device`."""
        return NeighbourGraph(self.index.to(device), self.similarity.to(device), self.recall)


def best_of_rows(
    row: Tensor, col: Tensor, value: Tensor, num_rows: int, k: int
) -> tuple[Tensor, Tensor]:
    r"""The columns :math:`(n, k)` of the :math:`k` largest entries of every row, equal ones
    by column, with -1 where a row has fewer, and their values, float32, 0 there.

    Args:
        row: Rows of the entries :math:`(E)`, in any order.
        col: Their columns :math:`(E)`.
        value: Their values :math:`(E)`.
        num_rows: :math:`n`.
        k: Columns of the result.
    """
    order = torch.argsort(col, stable=True)
    order = order[torch.argsort(value[order], descending=True, stable=True)]
    order = order[torch.argsort(row[order], stable=True)]
    row = row[order]
    count = torch.bincount(row, minlength=num_rows)
    place = torch.arange(row.numel(), device=row.device) - (count.cumsum(0) - count)[row]
    kept = place < k
    row, place, order = row[kept], place[kept], order[kept]
    index = torch.full((num_rows, k), -1, device=row.device)
    best = torch.zeros(num_rows, k, device=row.device)
    index[row, place] = col[order]
    best[row, place] = value[order].float()
    return index, best


def _both_ways(edge_index: Tensor, weight: Tensor, size: int, how: str) -> tuple[Tensor, Tensor]:
    """Edges and weights of the symmetric graph, sorted."""
    row, col = edge_index
    key = torch.cat([row * size + col, col * size + row])
    key, entry, count = torch.unique(key, return_inverse=True, return_counts=True)
    both = torch.cat([weight, weight])
    if how == 'mean':
        merged = both.new_zeros(key.numel()).index_add_(0, entry, both) / 2
    else:
        reduce = 'amin' if how == 'mutual' else 'amax'
        merged = both.new_zeros(key.numel())
        merged = merged.scatter_reduce_(0, entry, both, reduce, include_self=False)
    if how == 'mutual':
        key, merged = key[count == 2], merged[count == 2]
    return torch.stack([key // size, key % size]), merged
