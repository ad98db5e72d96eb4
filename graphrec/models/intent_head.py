"""The score of a user, an item and an intent."""

import torch
from torch import Tensor
from torch.nn import functional as F

SLOPE = 0.01  # Of every LeakyReLU.


class IntentHead(torch.nn.Module):
    r""":math:`f([\mathbf{e}_u \,\|\, \mathbf{e}_i \,\|\, \mathbf{q}])`: linear layers
    :math:`3d \to 1.5d \to 0.75d \to 1` (300, 150, 75, 1 of the paper) with LeakyReLU of slope
    0.01 between them.

    Args:
        dim: :math:`d`.
        leaky_output: Also after the last one, as in the official code: scores below 0 shrink to
            a hundredth, and their gradients with them.
    """

    def __init__(self, dim: int, leaky_output: bool = False) -> None:
        super().__init__()
        self.dim, self.leaky_output = dim, leaky_output
        wide, narrow = max(3 * dim // 2, 1), max(3 * dim // 4, 1)
        self.first = torch.nn.Linear(3 * dim, wide)
        self.second = torch.nn.Linear(wide, narrow)
        self.last = torch.nn.Linear(narrow, 1)

    def forward(self, user: Tensor, item: Tensor, intent: Tensor) -> Tensor:
        """Scores :math:`(B)` of rows :math:`(B, d)` each."""
        return self.finish(self.first(torch.cat([user, item, intent], dim=1)))

    def parts(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's parts of all users and items, made once a node; with
        :meth:`intent_part` they add up to it."""
        of_user, of_item, _ = self.first.weight.split(self.dim, dim=1)
        return user @ of_user.t(), item @ of_item.t() + self.first.bias

    def intent_part(self, intent: Tensor) -> Tensor:
        """The first layer's part of intents :math:`(n, d)`."""
        return intent @ self.first.weight[:, 2 * self.dim :].t()

    def finish(self, hidden: Tensor) -> Tensor:
        """Scores :math:`(n)` from the first layer's sums :math:`(n, 1.5 d)`."""
        hidden = self.second(F.leaky_relu(hidden, SLOPE))
        score = self.last(F.leaky_relu(hidden, SLOPE)).squeeze(1)
        return F.leaky_relu(score, SLOPE) if self.leaky_output else score
