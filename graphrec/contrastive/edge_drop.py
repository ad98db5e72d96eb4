"""The edge-dropout view."""

import torch
from torch import Tensor

from graphrec.contrastive.edge_view import EdgeView
from graphrec.contrastive.view import num_kept


def drop_edges(edge_index: Tensor, p: float, generator: torch.Generator) -> Tensor:
    r"""Keeps a uniform draw of exactly :math:`\lfloor (1-p) E \rfloor` of the edges
    :math:`(2, E)`, in their order."""
    return edge_index[:, _kept(edge_index, p, generator)]


def _kept(edge_index: Tensor, p: float, generator: torch.Generator) -> Tensor:
    size = edge_index.size(1)
    order = torch.randperm(size, generator=generator, device=edge_index.device)
    return order[: num_kept(size, p)].sort().values


class EdgeDrop(EdgeView):
    r"""Drops a share :math:`p` of the edges of a type, drawn uniformly, together with
    their reverse edges: the *edge dropout* view of `"Self-supervised Graph Learning
    for Recommendation" <https://arxiv.org/abs/2010.10783>`_ (SGL). Arguments are those of
    :class:`~graphrec.contrastive.EdgeView`.
    """

    def kept(
        self, edge_index: Tensor, sizes: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        return _kept(edge_index, self.p, generator)
