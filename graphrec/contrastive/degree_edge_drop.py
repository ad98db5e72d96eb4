"""The degree-sensitive edge-dropout view."""

import torch
from torch import Tensor

from graphrec.contrastive.edge_view import EdgeView
from graphrec.contrastive.view import num_kept
from graphrec.graphs.schema import INTERACTS, EdgeType


def drop_edges_by_degree(
    edge_index: Tensor, p: float, sizes: tuple[int, int], generator: torch.Generator
) -> Tensor:
    r"""Keeps exactly :math:`\lfloor (1-p) E \rfloor` of the edges :math:`(2, E)`, in their
    order, drawn one after the other with probability :math:`\propto 1 / \sqrt{d_u d_i}`.

    Args:
        edge_index: Edges, users in row 0 and items in row 1.
        p: Share to drop.
        sizes: Numbers of users and items.
        generator: Source of randomness.
    """
    return edge_index[:, _kept(edge_index, p, sizes, generator)]


def _kept(
    edge_index: Tensor, p: float, sizes: tuple[int, int], generator: torch.Generator
) -> Tensor:
    rate = torch.ones(edge_index.size(1), dtype=torch.float64, device=edge_index.device)
    for row, size in zip(edge_index, sizes, strict=True):
        rate *= torch.bincount(row, minlength=size)[row].double().rsqrt()
    # Of exponential waiting times the shortest come first: a draw without replacement.
    waiting = torch.empty_like(rate).exponential_(generator=generator) / rate
    return waiting.argsort()[: num_kept(rate.numel(), p)].sort().values


class DegreeEdgeDrop(EdgeView):
    r"""Drops a share :math:`p` of the edges, rather those between popular nodes: an edge is
    drawn to stay with probability :math:`\propto 1 / \sqrt{d_u d_i}`. The *degree-sensitive
    edge pruning* of `"A Tale of Two Graphs: Freezing and Denoising Graph Structures for
    Multimodal Recommendation" <https://arxiv.org/abs/2211.06924>`_ (FREEDOM, Eq. 9). Degrees
    are counted on the edges given, and anew on those left. Arguments are those of
    :class:`~graphrec.contrastive.EdgeView` (FREEDOM: :obj:`p` 0.8 or 0.9).
    """

    def __init__(
        self,
        p: float = 0.8,
        edge_type: EdgeType = INTERACTS,
        rev_edge_type: EdgeType | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, edge_type, rev_edge_type, generator)

    def kept(
        self, edge_index: Tensor, sizes: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        return _kept(edge_index, self.p, sizes, generator)
