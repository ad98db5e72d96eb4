"""The light hypergraph convolution."""

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.typing import OptTensor
from torch_geometric.utils import scatter

from graphrec.errors import GraphError
from graphrec.graphs.hypergraph import NORMALISATIONS
from graphrec.graphs.operators import Operator


class LightHypergraphConv(MessagePassing):
    r"""The convolution of `"Hypergraph Convolution and Hypergraph Attention"
    <https://arxiv.org/abs/1901.08150>`_ without its linear map, from nodes to hyperedges and
    back:

    .. math::
        \mathbf{X}^{\prime} = \mathbf{D}^{-1} \mathbf{H} \mathbf{W} \mathbf{B}^{-1}
        \mathbf{H}^{\top} \mathbf{X}

    with :math:`D_{ii} = \sum_e W_{ee} H_{ie}` and :math:`B_{ee} = \sum_i H_{ie}`, or
    :math:`\mathbf{D}^{-1/2}` at both ends (`"HGNN" <https://arxiv.org/abs/1809.09401>`_).

    Args:
        normalisation: ``'row'`` or ``'symmetric'``; with an operator it is part of it.

    Shapes:
        - **input:** node features :math:`(N, F)`; incidences :math:`(2, E)`, nodes in row 0
          and hyperedges in row 1, or an operator :math:`(N, N)` of
          :mod:`graphrec.graphs.hypergraph`, which is faster; optional hyperedge weights
          :math:`(M)`, which an operator holds already
        - **output:** :math:`(N, F)`, zero for a node without hyperedges
    """

    def __init__(self, normalisation: str = 'row', **kwargs: object) -> None:
        if normalisation not in NORMALISATIONS:
            raise GraphError(
                f"'normalisation' must be one of {NORMALISATIONS} (got {normalisation!r})"
            )
        kwargs.setdefault('aggr', 'sum')
        super().__init__(**kwargs)
        self.normalisation = normalisation

    def forward(
        self, x: Tensor, hyperedge_index: Tensor | Operator, hyperedge_weight: OptTensor = None
    ) -> Tensor:
        if isinstance(hyperedge_index, Operator):
            return hyperedge_index @ x
        node, edge = hyperedge_index
        if hyperedge_weight is None:
            count = int(edge.max()) + 1 if edge.numel() else 0
            hyperedge_weight = x.new_ones(count)
        size = (x.size(0), hyperedge_weight.numel())
        degree = scatter(hyperedge_weight[edge], node, dim_size=size[0], reduce='sum')
        members = scatter(x.new_ones(edge.numel()), edge, dim_size=size[1], reduce='sum')
        scale = torch.where(degree > 0, 1 / degree, 0.0).unsqueeze(1)
        if self.normalisation == 'symmetric':
            scale = scale.sqrt()
            x = scale * x
        out = self.propagate(hyperedge_index, x=x, size=size)
        out = (hyperedge_weight / members.clamp(min=1)).unsqueeze(1) * out
        return scale * self.propagate(hyperedge_index.flip(0), x=out, size=size[::-1])

    def message(self, x_j: Tensor) -> Tensor:
        return x_j

    def __repr__(self) -> str:
        return f'{type(self).__name__}(normalisation={self.normalisation!r})'
