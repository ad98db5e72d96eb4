r"""Where forgotten pairs would stand had they never been seen: the level of held-out pairs that
the retained graph says the same of."""

import torch
from torch import Tensor

from graphrec.unlearn.propensity import design

_RIDGE = 10.0  # Pairs' worth of shrinkage towards the overall mean.
_SMALLEST = 1e-3
_SCALE = (1 / 3, 3.0)


class ExpectedLevel:
    r"""Scores that held-out pairs like the forgotten ones have.

    With :math:`m_H(x), s_H(x)` the mean and spread of held-out scores given the features
    :math:`x` of a pair, and :math:`m_F, s_F` those of forgotten scores, a forgotten pair keeps
    its place among pairs like it and takes their level,

    .. math::
        \tau = m_H(x) + s_H(x) \frac{z - m_F(x)}{s_F(x)} .

    Means are ridge regressions on normal scores of the features, their squares and products;
    spreads are those of the logarithm of the absolute residuals, and change by no more than a
    factor of 3. Those of the forgotten are regressions of what they differ by from the held-out
    ones, so that with few forgotten pairs shrinkage leaves the same lift for all, and what
    features say of a pair is not counted twice.

    Args:
        z: Scores of forgotten pairs :math:`(F)`.
        held: Scores of held-out pairs under the same model :math:`(H)`.
        of_z: Features :math:`(F, c)`.
        of_reference: Features of held-out pairs :math:`(H, c)`.
        weight: Of held-out pairs :math:`(H)`.
    """

    def __init__(
        self, z: Tensor, held: Tensor, of_z: Tensor, of_reference: Tensor, weight: Tensor
    ) -> None:
        x = design(torch.cat([of_z, of_reference]))
        self._x, self._x_held, self._weight = x[: z.numel()], x[z.numel() :], weight
        alike, all_same = _Line(self._x_held, held.double(), weight), torch.ones(len(z)).to(x)
        lift = z.double() - alike.mean(self._x)
        self._residual = lift - self._x @ _ridge(self._x, lift, all_same)
        wider = self._residual.abs().clamp(min=_SMALLEST) / alike.spread(self._x)
        self._spread = (
            alike.spread(self._x) * (self._x @ _ridge(self._x, wider.log(), all_same)).exp()
        )

    def __call__(self, reference: Tensor) -> Tensor:
        r""":math:`\tau` :math:`(F)` for scores of held-out pairs :math:`(H)`."""
        held = _Line(self._x_held, reference.double(), self._weight)
        ratio = (held.spread(self._x) / self._spread).clamp(*_SCALE)
        return (held.mean(self._x) + ratio * self._residual).to(reference)


class _Line:
    """Mean and spread of a sample as functions of its features."""

    def __init__(self, x: Tensor, y: Tensor, weight: Tensor) -> None:
        self._mean = _ridge(x, y, weight)
        residual = (y - x @ self._mean).abs().clamp(min=_SMALLEST)
        self._spread = _ridge(x, residual.log(), weight)

    def mean(self, x: Tensor) -> Tensor:
        return x @ self._mean

    def spread(self, x: Tensor) -> Tensor:
        return (x @ self._spread).exp()


def _ridge(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Weighted least squares with a penalty on all but the constant, the first column."""
    penalty = _RIDGE * torch.eye(x.size(1), dtype=x.dtype, device=x.device)
    penalty[0, 0] = 0
    scaled = weight.to(x)[:, None] * x
    return torch.linalg.solve(x.t() @ scaled + penalty, scaled.t() @ y)
