"""The edge-dropout view."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphrec.contrastive.view import Bipartite, View, check_share, num_kept
from graphrec.graphs.schema import INTERACTS, EdgeType


def drop_edges(edge_index: Tensor, p: float, generator: torch.Generator) -> Tensor:
    r"""Keeps a uniform draw of exactly :math:`\lfloor (1-p) E \rfloor` of the edges
    :math:`(2, E)`, in their order."""
    return edge_index[:, _kept(edge_index.size(1), p, generator, edge_index.device)]


def _kept(size: int, p: float, generator: torch.Generator, device: torch.device) -> Tensor:
    keep = torch.randperm(size, generator=generator, device=device)
    return keep[: num_kept(size, p)].sort().values


class EdgeDrop(View, BaseTransform):
    r"""Drops a share :math:`p` of the edges of a type, drawn uniformly, together with
    their reverse edges: the *edge dropout* view of `"Self-supervised Graph Learning
    for Recommendation" <https://arxiv.org/abs/2010.10783>`_ (SGL). Degrees are those
    of the view: a model derives its normalisation from what is left.

    Args:
        p: Share to drop, in :math:`[0, 1)`; 0 leaves the graph as it is.
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
        edge_index = data[self.edge_types[0]].edge_index
        keep = _kept(edge_index.size(1), self.p, self.generator, edge_index.device)
        return data.edge_subgraph(dict.fromkeys(self.edge_types, keep))

    def edges(self, graph: Bipartite, num_layers: int, generator: torch.Generator) -> list[Tensor]:
        return [drop_edges(graph.edge_index, self.p, generator)]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(p={self.p})'
