"""LIRDRec's weights of the views of a user, handed over from attention to memory."""

import torch
from torch import Tensor

from graphrec.models.epoch_key import EpochKey
from graphrec.models.seeded_init import fan_in_

COPIES = ('softmax', 'logit', 'none', 'uniform')


class ProgressiveCopy(EpochKey):
    r"""Progressive weight copying of `LIRDRec <https://arxiv.org/abs/2505.04960>`_: user
    :math:`u` has an attention :math:`a^m_u = \mathbf{v}_m^{\top} \mathrm{LeakyReLU}(
    \mathbf{U}_m \mathbf{r}^m_u + \mathbf{c}_m) + b_m` for each view and a state
    :math:`\boldsymbol\theta_u`,

    .. math::
        \mathbf{w}_u = \mathrm{softmax}(\omega_1 \mathbf{a}_u + \omega_2 \boldsymbol\theta_u),
        \qquad \omega_2 = 1 - \omega_1

    Before epoch :math:`e = 1, 2, \ldots` the weight moves on, and from the second one the state
    takes over :math:`\mathbf{w}` of the last batch,

    .. math::
        \omega_1 \leftarrow \frac{\omega_1 \rho^e}{\omega_1 \rho^e + \omega_2}, \qquad
        \text{so that} \quad \frac{\omega_1}{\omega_2} = \frac{\omega_1(0)}{\omega_2(0)}
        \rho^{e (e + 1) / 2}

    which ends the attention by epoch 15. What is copied is a softmax that becomes a logit:
    from then on the weights fall back to :math:`1 / V` within a few epochs. In the official
    code :math:`\boldsymbol\theta` is a parameter too, moved a little within an epoch; here
    no gradient reaches it. It starts at 0 (reconstructed: the start is not described).

    Args:
        num_users: :math:`U`.
        views: :math:`V`.
        dim: Length of a view.
        copy: ``'softmax'`` as above; ``'logit'`` copies :math:`\omega_1 \mathbf{a} + \omega_2
            \boldsymbol\theta` and so keeps what was learned; ``'none'`` is the attention alone,
            ``'uniform'`` :math:`1 / V`.
        attention_weight: :math:`\omega_1(0) \in (0, 1)`.
        decay: :math:`\rho \in (0, 1)`.
        hidden: Width of the attention between its two layers.
    """

    theta: Tensor
    latest: Tensor
    num_epochs: Tensor

    def __init__(
        self,
        num_users: int,
        views: int,
        dim: int,
        *,
        copy: str = 'softmax',
        attention_weight: float = 0.9,
        decay: float = 0.9,
        hidden: int = 16,
    ) -> None:
        super().__init__()
        self.views, self.copy, self.decay = views, copy, decay
        self.first_odds = attention_weight / (1 - attention_weight)
        self.attention = torch.nn.ModuleList()
        if copy != 'uniform':
            self.attention.extend(
                torch.nn.Sequential(
                    torch.nn.Linear(dim, hidden),
                    torch.nn.LeakyReLU(0.01),
                    torch.nn.Linear(hidden, 1),
                )
                for _ in range(views)
            )
        # State, not derived: a run that was killed goes on with the weights of its epoch.
        self.register_buffer('theta', torch.zeros(num_users, views))
        self.register_buffer('latest', torch.zeros(num_users, views))
        self.register_buffer('num_epochs', torch.zeros((), dtype=torch.long))
        self.register_epoch_key()

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draws the attention and forgets the state."""
        for module in self.attention.modules():
            if isinstance(module, torch.nn.Linear):
                fan_in_(module, generator)
        self.theta.zero_()
        self.latest.zero_()
        self.num_epochs.zero_()
        self.forget_epoch()

    @property
    def attention_share(self) -> float:
        r""":math:`\omega_1` of the current epoch."""
        epoch = int(self.num_epochs)
        odds = self.first_odds * self.decay ** (epoch * (epoch + 1) / 2)
        return odds / (1 + odds)

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Hands over; the rest of an epoch that began in another process does not."""
        if self.is_new_epoch(generator):
            self.theta.copy_(self.latest)
            self.num_epochs += 1

    def forward(self, r: Tensor, keep: bool = False) -> Tensor:
        r"""Weighs the views of all users, :math:`(U, V d)` to :math:`(U, V d)`.

        Args:
            r: Views side by side.
            keep: Whether the weights are what the next epoch takes over.
        """
        logit = self.logits(r, self.theta)
        weight = torch.softmax(logit, dim=1)
        if keep:
            self.latest.copy_((logit if self.copy == 'logit' else weight).detach())
        return self._scaled(r, weight)

    def serve(self, r: Tensor) -> Tensor:
        """Weighs the views :math:`(n, V d)` of people without a state by the mean state."""
        mean = self.theta.mean(0).expand(r.size(0), -1)
        return self._scaled(r, torch.softmax(self.logits(r, mean), dim=1))

    def logits(self, r: Tensor, theta: Tensor) -> Tensor:
        """What the softmax is taken of, :math:`(n, V)`, for views :math:`(n, V d)` and states
        :math:`(n, V)`."""
        if self.copy == 'uniform':
            return torch.zeros_like(theta)
        parts = r.chunk(self.views, dim=1)
        a = torch.cat([mlp(part) for mlp, part in zip(self.attention, parts, strict=True)], 1)
        if self.copy == 'none':
            return a
        share = self.attention_share
        return share * a + (1 - share) * theta

    def _scaled(self, r: Tensor, weight: Tensor) -> Tensor:
        return (r.view(r.size(0), self.views, -1) * weight.unsqueeze(2)).flatten(1)
