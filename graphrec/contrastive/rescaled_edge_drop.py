"""Edge dropout that rescales in place of counting degrees anew."""

import torch

from graphrec.contrastive.view import check_share
from graphrec.graphs.sparse import Sparse


class RescaledEdgeDrop:
    r"""Thins out a normalised adjacency: every edge is left out with probability :math:`p` in
    both directions at once, and the others are multiplied by :math:`1 / (1 - p)`, so that the
    expectation stays. Degrees are not counted anew, which makes it another view than
    :class:`~graphrec.contrastive.EdgeDrop`, and one that is cheap enough to be drawn at
    every step: that of `"Bootstrapping User and Item Representations for One-Class
    Collaborative Filtering" <https://arxiv.org/abs/2105.06323>`_ (BUIR-NB). The published
    code drops the two directions independently.

    Args:
        adjacency: The operator of :func:`~graphrec.graphs.operators.bipartite_adjacency`.
        num_users: Number of its first rows that are users.
    """

    def __init__(self, adjacency: Sparse, num_users: int) -> None:
        self.adjacency = adjacency
        # Entries of users come first, by user and item; then those of items, by item and user.
        self._num_edges = adjacency.nnz // 2
        item = adjacency.col[: self._num_edges].long() - num_users
        self._edge = torch.argsort(item, stable=True)

    def __call__(self, p: float, generator: torch.Generator) -> Sparse:
        check_share('p', p)
        op = self.adjacency
        draw = torch.rand(self._num_edges, generator=generator, device=op.col.device)
        keep = draw >= p
        keep = torch.cat([keep, keep[self._edge]])
        before = torch.cat([op.rowptr.new_zeros(1), keep.cumsum(0).to(op.rowptr.dtype)])
        return Sparse(
            before[op.rowptr.long()],
            op.col[keep],
            op.weight[keep] / (1 - p),
            num_cols=op.shape[1],
            symmetric=True,
        )
