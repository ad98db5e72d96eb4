"""The node-dropout view."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphrec.contrastive.view import Bipartite, View, check_share, num_kept
from graphrec.graphs.schema import INTERACTS, EdgeType


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


class NodeDrop(View, BaseTransform):
    r"""Drops a share :math:`p` of the users and of the items with all their edges: the *node
    dropout* view of `"Self-supervised Graph Learning for Recommendation"
    <https://arxiv.org/abs/2010.10783>`_ (SGL). Dropped nodes keep their numbers and, without
    edges, only what they bring themselves.

    Args:
        p: Share to drop of each side, in :math:`[0, 1)`; 0 leaves the graph as it is.
        edge_type: The edge type to thin out.
        rev_edge_type: Its reverse, stored in the same order.
        generator: Source of randomness, on the device of the data.

    Raises:
        GraphError: If :obj:`p` lies outside its range.
    """

    def __init__(
        self,
        p: float,
        edge_type: EdgeType = INTERACTS,
        rev_edge_type: EdgeType | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        check_share('p', p)
        self.p = p
        self.edge_types = [t for t in (edge_type, rev_edge_type) if t is not None]
        self.generator = torch.Generator() if generator is None else generator

    def forward(self, data: HeteroData) -> HeteroData:
        source, _, destination = self.edge_types[0]
        sizes = int(data[source].num_nodes), int(data[destination].num_nodes)
        keep = _kept(data[self.edge_types[0]].edge_index, self.p, sizes, self.generator)
        return data.edge_subgraph(dict.fromkeys(self.edge_types, keep))

    def edges(self, graph: Bipartite, num_layers: int, generator: torch.Generator) -> list[Tensor]:
        sizes = graph.num_users, graph.num_items
        return [drop_nodes(graph.edge_index, self.p, sizes, generator)]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(p={self.p})'
