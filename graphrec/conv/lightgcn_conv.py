"""The light graph convolution."""

from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.typing import OptTensor

from graphrec.graphs.operators import Operator


class LightGCNConv(MessagePassing):
    r"""The parameter-free convolution of `"LightGCN: Simplifying and Powering Graph
    Convolution Network for Recommendation" <https://arxiv.org/abs/2002.02126>`_, Eq. 3:

    .. math::
        \mathbf{x}^{\prime}_i = \sum_{j \in \mathcal{N}(i)}
        \frac{e_{ji}}{\sqrt{d_i d_j}} \mathbf{x}_j

    Args:
        normalize: Whether to normalise by degrees; with an operator they are part of it.

    Shapes:
        - **input:** node features :math:`(N, F)`; edges :math:`(2, E)`, or an operator
          :math:`(N, N)`, which is faster; optional edge weights :math:`(E)`
        - **output:** :math:`(N, F)`, zero for a node without edges
    """

    def __init__(self, normalize: bool = True, **kwargs: object) -> None:
        kwargs.setdefault('aggr', 'sum')
        super().__init__(**kwargs)
        self.normalize = normalize

    def forward(
        self, x: Tensor, edge_index: Tensor | Operator, edge_weight: OptTensor = None
    ) -> Tensor:
        if isinstance(edge_index, Operator):
            return edge_index @ x
        if self.normalize:
            edge_index, edge_weight = gcn_norm(
                edge_index, edge_weight, x.size(0), add_self_loops=False, dtype=x.dtype
            )
        return self.propagate(edge_index, x=x, edge_weight=edge_weight)

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def __repr__(self) -> str:
        return f'{type(self).__name__}(normalize={self.normalize})'
