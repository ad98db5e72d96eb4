"""The degree-sensitive edge-dropout view."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphrec.contrastive.view import Bipartite, View, check_share, num_kept
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


class DegreeEdgeDrop(View, BaseTransform):
    r"""Drops a share :math:`p` of the edges, rather those between popular nodes: an edge is
    drawn to stay with probability :math:`\propto 1 / \sqrt{d_u d_i}`. The *degree-sensitive
    edge pruning* of `"A Tale of Two Graphs: Freezing and Denoising Graph Structures for
    Multimodal Recommendation" <https://arxiv.org/abs/2211.06924>`_ (FREEDOM, Eq. 9). Degrees
    are counted on the edges given, and anew on those left.

    Args:
        p: Share to drop, in :math:`[0, 1)` (FREEDOM: 0.8 or 0.9).
        edge_type: The edge type to thin out.
        rev_edge_type: Its reverse, stored in the same order.
        generator: Source of randomness, on the device of the data.

    Raises:
        GraphError: If :obj:`p` lies outside its range.
    """

    def __init__(
        self,
        p: float = 0.8,
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
        return [drop_edges_by_degree(graph.edge_index, self.p, sizes, generator)]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(p={self.p})'
