"""The view through the leading singular vectors of the graph."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphrec.contrastive.view import Bipartite, View
from graphrec.errors import GraphError
from graphrec.graphs.operators import Operator, Sparse

_OVERSAMPLE = 10


class SVD(NamedTuple):
    r""":math:`\mathbf{U}` :math:`(n, q)`, :math:`\mathbf{s}` :math:`(q)`, falling, and
    :math:`\mathbf{V}` :math:`(m, q)`."""

    u: Tensor
    s: Tensor
    v: Tensor


@torch.no_grad()
def truncated_svd(op: Sparse, rank: int, generator: torch.Generator, iterations: int = 4) -> SVD:
    r"""The leading singular vectors by randomised subspace iteration (`Halko et al.
    <https://arxiv.org/abs/0909.4061>`_, Alg. 4.4), in float64; cost :math:`O(\text{nnz} \cdot
    (q + 10))`, and no matrix of the operator's shape.

    Args:
        op: The matrix :math:`(n, m)`.
        rank: :math:`q`; more than :math:`\min(n, m)` gives that many.
        generator: Source of the first subspace.
        iterations: Rounds; each multiplies the error by the squared ratio of the first
            singular value left out to the last one wanted.
    """
    n, m = op.shape
    width = min(rank + _OVERSAMPLE, n, m)
    drawn = torch.randn(m, width, generator=generator, device=generator.device).double()
    basis = op.apply(drawn)
    for _ in range(iterations):
        basis = op.T.apply(torch.linalg.qr(basis).Q)
        basis = op.apply(torch.linalg.qr(basis).Q)
    basis = torch.linalg.qr(basis).Q
    v, s, inner = torch.linalg.svd(op.T.apply(basis), full_matrices=False)
    rank = min(rank, width)
    return SVD(basis @ inner[:rank].t(), s[:rank], v[:, :rank])


class LowRankAdjacency(Operator):
    r"""The adjacency whose user-item block is :math:`\mathbf{U} \mathbf{S} \mathbf{V}^{\top}`,

    .. math::
        \begin{bmatrix} \mathbf{0} & \mathbf{U S V}^{\top} \\ \mathbf{V S U}^{\top} &
        \mathbf{0} \end{bmatrix}

    applied through its factors: :math:`O((U + I) q d)`.

    Args:
        u: :math:`\mathbf{U}`, shape :math:`(U, q)`.
        s: :math:`\mathbf{s}`, shape :math:`(q)`.
        v: :math:`\mathbf{V}`, shape :math:`(I, q)`.
    """

    def __init__(self, u: Tensor, s: Tensor, v: Tensor) -> None:
        self.u, self.s, self.v = u, s, v
        size = u.size(0) + v.size(0)
        self.shape = (size, size)

    @property
    def T(self) -> Operator:  # noqa: N802
        return self

    def apply(self, x: Tensor) -> Tensor:
        u, s, v = (factor.to(x.dtype) for factor in (self.u, self.s, self.v))
        user, item = x.split([u.size(0), v.size(0)])
        s = s.unsqueeze(1)
        return torch.cat([u @ (s * (v.t() @ item)), v @ (s * (u.t() @ user))])

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        factors = (f.to(device=device, dtype=dtype) for f in (self.u, self.s, self.v))
        return LowRankAdjacency(*factors)


class SVDView(View):
    r"""Message passing over a low-rank approximation of the graph, which keeps what users
    have in common and leaves out the single interaction: the view of `"LightGCL: Simple Yet
    Effective Graph Contrastive Learning for Recommendation"
    <https://arxiv.org/abs/2302.08191>`_ (Eqs. 3 to 5),

    .. math::
        \mathbf{G}^{(l)} = \hat{\mathbf{A}}_q \mathbf{H}^{(l - 1)}, \qquad
        \mathbf{D}_u^{-1/2} \mathbf{R} \mathbf{D}_i^{-1/2} \approx \mathbf{U}_q \mathbf{S}_q
        \mathbf{V}_q^{\top}

    where :math:`\mathbf{H}` are the layers of the main pass. It is drawn once for a graph.

    Args:
        rank: :math:`q \geq 1`.
        iterations: See :func:`truncated_svd`.

    Raises:
        GraphError: If an argument is out of range.
    """

    fresh = False
    reads_main = True

    def __init__(self, rank: int = 5, iterations: int = 4) -> None:
        if rank < 1 or iterations < 0:
            raise GraphError(
                f"'rank' must be at least 1 and 'iterations' not negative (got {rank} and "
                f'{iterations})'
            )
        self.rank, self.iterations = rank, iterations

    def operators(
        self, graph: Bipartite, num_layers: int, generator: torch.Generator
    ) -> list[Operator]:
        edge_index, sizes = graph.edge_index, (graph.num_users, graph.num_items)
        weight = torch.ones(edge_index.size(1), dtype=torch.float64, device=edge_index.device)
        for row, size in zip(edge_index, sizes, strict=True):
            weight *= torch.bincount(row, minlength=size)[row].double().rsqrt()
        block = Sparse.from_edges(edge_index, weight.float(), shape=sizes)
        svd = truncated_svd(block, self.rank, generator, self.iterations)
        return [LowRankAdjacency(*(factor.float() for factor in svd))]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(rank={self.rank})'
