"""The random-walk view."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.edge_drop import EdgeDrop, drop_edges
from graphrec.contrastive.view import Bipartite, View, check_share
from graphrec.errors import GraphError
from graphrec.graphs.schema import INTERACTS, EdgeType


class RandomWalk(View):
    r"""Edge dropout drawn independently for every layer, so that a message walks over other
    edges at each step: the *random walk* view of `"Self-supervised Graph Learning for
    Recommendation" <https://arxiv.org/abs/2010.10783>`_ (SGL). Called with a graph it returns
    one graph a layer.

    Args:
        p: Share of the edges to drop in each layer, in :math:`[0, 1)`.
        num_layers: Number of layers, for calls with a graph.
        edge_type: The edge type to thin out.
        rev_edge_type: Its reverse, stored in the same order.
        generator: Source of randomness, on the device of the data.

    Raises:
        GraphError: If an argument lies outside its range.
    """

    def __init__(
        self,
        p: float,
        num_layers: int = 3,
        edge_type: EdgeType = INTERACTS,
        rev_edge_type: EdgeType | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        check_share('p', p)
        if num_layers < 1:
            raise GraphError(f"'num_layers' must be at least 1 (got {num_layers})")
        self.p, self.num_layers = p, num_layers
        self._drop = EdgeDrop(p, edge_type, rev_edge_type, generator)

    def __call__(self, data: HeteroData) -> list[HeteroData]:
        return [self._drop(data) for _ in range(self.num_layers)]

    def edges(self, graph: Bipartite, num_layers: int, generator: torch.Generator) -> list[Tensor]:
        return [drop_edges(graph.edge_index, self.p, generator) for _ in range(num_layers)]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(p={self.p}, num_layers={self.num_layers})'
