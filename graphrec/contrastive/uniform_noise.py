"""The view of a fixed step in a random direction."""

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.contrastive.view import View
from graphrec.errors import GraphError


def uniform_noise(h: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    r"""Moves every row by a step of length :math:`\epsilon` within its orthant,

    .. math::
        \mathbf{h}^{\prime} = \mathbf{h} + \epsilon \, \mathrm{sign}(\mathbf{h}) \odot
        \frac{\mathbf{r}}{\|\mathbf{r}\|_2}, \qquad \mathbf{r} \sim U(0, 1)^d

    A zero entry stays zero.

    Args:
        h: Rows :math:`(N, d)`.
        eps: :math:`\epsilon \geq 0`; 0 returns :obj:`h`.
        generator: Source of :math:`\mathbf{r}`, on the device of :obj:`h`.
    """
    return h + eps * inward_direction(h, generator) if eps else h


def inward_direction(h: Tensor, generator: torch.Generator) -> Tensor:
    """Random rows of length one in the orthants of those of :obj:`h`, without gradient."""
    drawn = torch.rand(h.shape, generator=generator, device=h.device, dtype=h.dtype)
    return F.normalize(drawn, dim=1).mul_(h.detach().sign())


class UniformNoise(View):
    r"""Adds :func:`uniform_noise` to the output of every layer: the view of `"Are Graph
    Augmentations Necessary? Simple Graph Contrastive Learning for Recommendation"
    <https://arxiv.org/abs/2112.08679>`_ (SimGCL, Eq. 8). The graph stays whole.

    Args:
        eps: Length of the step, :math:`\epsilon \geq 0`.

    Raises:
        GraphError: If :obj:`eps` is negative.
    """

    def __init__(self, eps: float = 0.1) -> None:
        if not eps >= 0:
            raise GraphError(f"'eps' must not be negative (got {eps})")
        self.eps = eps

    def hook(self, h: Tensor, layer: int, generator: torch.Generator) -> Tensor:
        return uniform_noise(h, self.eps, generator)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(eps={self.eps})'
