"""What the views that thin out the graph share."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphrec.contrastive.view import Bipartite, View, check_share
from graphrec.graphs.schema import INTERACTS, EdgeType


class EdgeView(View, BaseTransform):
    r"""Leaves out edges of a type together with their reverse edges, as a transform of a graph
    or on the way through a model. Degrees are those of the view: a model derives its
    normalisation from what is left. A subclass says which edges stay, in :meth:`kept`.

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

    def kept(
        self, edge_index: Tensor, sizes: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """The edges :math:`(2, E)` that stay, as their places in order or a mask :math:`(E)`.

        Args:
            edge_index: Edges.
            sizes: Numbers of nodes of both sides.
            generator: Source of randomness.
        """
        raise NotImplementedError

    def forward(self, data: HeteroData) -> HeteroData:
        source, _, destination = self.edge_types[0]
        sizes = int(data[source].num_nodes), int(data[destination].num_nodes)
        keep = self.kept(data[self.edge_types[0]].edge_index, sizes, self.generator)
        return data.edge_subgraph(dict.fromkeys(self.edge_types, keep))

    def edges(self, graph: Bipartite, num_layers: int, generator: torch.Generator) -> list[Tensor]:
        sizes = graph.num_users, graph.num_items
        return [graph.edge_index[:, self.kept(graph.edge_index, sizes, generator)]]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(p={self.p})'
