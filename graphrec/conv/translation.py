"""The translation convolution."""

from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.typing import OptTensor

from graphrec.errors import GraphError
from graphrec.graphs.operators import Operator


class TranslationConv(MessagePassing):
    r"""Averages the neighbours of a node, each moved by the intent of its edge: the
    propagation of `"Unified Dual-Intent Translation for Joint Modeling of Search and
    Recommendation" <https://arxiv.org/abs/2407.00912>`_ (UDITSR),

    .. math::
        \mathbf{x}^{\prime}_i = \frac{1}{|\mathcal{E}(i)|} \sum_{e = (j, i) \in \mathcal{E}(i)}
        \big( \mathbf{x}_j + s \, \mathbf{q}_e \big)

    with :math:`s = 1` from users to items and :math:`s = -1` from items to users, as in
    :math:`\mathbf{x}_{user} + \mathbf{q}_e \approx \mathbf{x}_{item}`. Several edges between
    the same nodes count each. Since means are linear, the intents can be averaged once and
    serve every layer: with the row-normalised operator :math:`\bar{\mathbf{A}}` and
    :math:`\bar{\mathbf{q}}_i` the mean intent of the edges at :math:`i`, the same layer is
    :math:`\bar{\mathbf{A}} \mathbf{X} + s \bar{\mathbf{Q}}`.

    Args:
        sign: :math:`s`, 1 or -1.

    Shapes:
        - **input:** source features :math:`(N_{src}, F)`; edges :math:`(2, E)` with their
          intents :math:`(E, F)`, or a row-normalised operator :math:`(N_{dst}, N_{src})`
          with the mean intents of the targets :math:`(N_{dst}, F)`; no intents are zeros
        - **output:** :math:`(N_{dst}, F)`, zero for a node without edges
    """

    def __init__(self, sign: int = 1, **kwargs: object) -> None:
        if sign not in (1, -1):
            raise GraphError(f"'sign' must be 1 or -1 (got {sign!r})")
        kwargs.setdefault('aggr', 'mean')
        super().__init__(**kwargs)
        self.sign = sign

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | Operator,
        intent: OptTensor = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        if isinstance(edge_index, Operator):
            out = edge_index @ x
            return out if intent is None else out.add(intent, alpha=self.sign)
        size = size or (x.size(0), x.size(0))
        return self.propagate(edge_index, x=(x, None), intent=intent, size=size)

    def message(self, x_j: Tensor, intent: OptTensor) -> Tensor:
        return x_j if intent is None else x_j.add(intent, alpha=self.sign)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sign={self.sign})'


def translation_layers(
    user: Tensor,
    item: Tensor,
    to_user: Operator,
    to_item: Operator,
    intents: tuple[OptTensor, OptTensor] = (None, None),
    num_layers: int = 2,
    normalise: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""The sums :math:`\sum_{l=0}^{L} \mathbf{h}^{(l)} / (l + 1)` of :math:`L`
    :class:`TranslationConv` layers in both directions, for users and items.

    Args:
        user, item: :math:`\mathbf{h}^{(0)}`, shapes :math:`(U, F)` and :math:`(I, F)`.
        to_user, to_item: Row-normalised operators :math:`(U, I)` and :math:`(I, U)`.
        intents: Mean intents of the events of users :math:`(U, F)` and items :math:`(I, F)`.
        num_layers: :math:`L`.
        normalise: Divide by the sum of the weights, :math:`11/6` for two layers.
    """
    item_conv, user_conv = TranslationConv(1), TranslationConv(-1)
    total_user, total_item, weights = user, item, 1.0
    for layer in range(2, num_layers + 2):
        user, item = (
            user_conv(item, to_user, intents[0]),
            item_conv(user, to_item, intents[1]),
        )
        weights += 1 / layer
        total_user = total_user.add(user, alpha=1 / layer)
        total_item = total_item.add(item, alpha=1 / layer)
    return (total_user / weights, total_item / weights) if normalise else (total_user, total_item)
