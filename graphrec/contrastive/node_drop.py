"""The node-dropout view."""

import torch
from torch import Tensor

from graphrec.contrastive.edge_view import EdgeView
from graphrec.contrastive.view import num_kept


def drop_nodes(
    edge_index: Tensor, p: float, sizes: tuple[int, int], generator: torch.Generator
) -> Tensor:
    r"""The edges :math:`(2, E)` left, in their order, when a share :math:`p` of the source
    nodes and as large a share of the destinations lose theirs: :math:`\lfloor (1-p) n
    \rfloor` nodes of each side are kept.

    Args:
        edge_index: Edges.
        p: Share to drop.
        sizes: Numbers of nodes of both sides.
        generator: Source of randomness.
    """
    return edge_index[:, _kept(edge_index, p, sizes, generator)]


def _kept(
    edge_index: Tensor, p: float, sizes: tuple[int, int], generator: torch.Generator
) -> Tensor:
    keep = torch.ones(edge_index.size(1), dtype=torch.bool, device=edge_index.device)
    for row, size in enumerate(sizes):
        order = torch.randperm(size, generator=generator, device=edge_index.device)
        stays = torch.zeros(size, dtype=torch.bool, device=edge_index.device)
        stays[order[: num_kept(size, p)]] = True
        keep &= stays[edge_index[row]]
    return keep


class NodeDrop(EdgeView):
    r"""Drops a share :math:`p` of the users and of the items with all their edges: the *node
    dropout* view of `"Self-supervised Graph Learning for Recommendation"
    <https://arxiv.org/abs/2010.10783>`_ (SGL). Dropped nodes keep their numbers and, without
    edges, only what they bring themselves. Arguments are those of
    :class:`~graphrec.contrastive.EdgeView`, with :obj:`p` the share of each side.
    """

    def kept(
        self, edge_index: Tensor, sizes: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        return _kept(edge_index, self.p, sizes, generator)
