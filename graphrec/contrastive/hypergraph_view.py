"""The view through learned hyperedges."""

import torch
from torch import Tensor

from graphrec.contrastive.view import Bipartite, View, check_share
from graphrec.errors import GraphError
from graphrec.graphs.hypergraph import learned_hyperedges, pass_through_hyperedges
from graphrec.graphs.operators import Identity, Operator


class HypergraphView(torch.nn.Module, View):
    r"""Message passing over hyperedges that are learned, apart for users and items: the
    global view of `"Hypergraph Contrastive Collaborative Filtering"
    <https://arxiv.org/abs/2204.12200>`_ (HCCF, Eqs. 4 and 5),

    .. math::
        \mathbf{\Gamma}^{(l)} = \mathbf{H} \mathbf{H}^{\top} \mathbf{X}^{(l - 1)}, \qquad
        \mathbf{H} = \mathbf{E} \mathbf{W}, \quad \mathbf{W} \in \mathbb{R}^{d \times K}

    with the layers :math:`\mathbf{X}` of the main pass; :math:`O((U + I) K d)`. The paper's
    LeakyReLU around each product is absent from the published code, and a switch here.

    Args:
        num_users: Number of first rows that are users.
        dim: :math:`d`.
        num_hyperedges: :math:`K`, of each type.
        dropout: Share of the entries of :math:`\mathbf{H}` left out in training; the others
            are rescaled.
        negative_slope: Slope of the LeakyReLU below zero; 1 is none.
        seed: Draw of :math:`\mathbf{W}` (Xavier-uniform).

    Raises:
        GraphError: If an argument is out of range.
    """

    fresh = False
    reads_main = True

    def __init__(
        self,
        num_users: int,
        dim: int,
        num_hyperedges: int = 128,
        dropout: float = 0.5,
        negative_slope: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if num_hyperedges < 1:
            raise GraphError(f"'num_hyperedges' must be at least 1 (got {num_hyperedges})")
        check_share('dropout', dropout)
        self.num_users, self.dropout, self.seed = num_users, dropout, seed
        self.negative_slope = negative_slope
        self.user_weight = torch.nn.Parameter(torch.empty(dim, num_hyperedges))
        self.item_weight = torch.nn.Parameter(torch.empty(dim, num_hyperedges))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws both weights anew from the seed."""
        generator = torch.Generator().manual_seed(self.seed)
        for weight in (self.user_weight, self.item_weight):
            bound = (6 / sum(weight.shape)) ** 0.5
            draw = torch.rand(weight.shape, generator=generator) * 2 - 1
            with torch.no_grad():
                weight.copy_(draw * bound)

    def operators(
        self, graph: Bipartite, num_layers: int, generator: torch.Generator
    ) -> list[Operator]:
        return [Identity(graph.num_users + graph.num_items)]

    def layer(self, op: Operator, h: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        keep = 1 - self.dropout if self.training else 1.0
        sizes = [self.num_users, x.size(0) - self.num_users]
        out = []
        for own, source, weight in zip(
            x.split(sizes), h.split(sizes), (self.user_weight, self.item_weight), strict=True
        ):
            member = learned_hyperedges(own, weight, keep, generator)
            out.append(pass_through_hyperedges(member, source, self.negative_slope))
        return torch.cat(out)
