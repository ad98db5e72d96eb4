"""The view of a step in proportion to the length of a row."""

import torch
from torch import Tensor

from graphrec.contrastive.uniform_noise import UniformNoise, inward_direction


def modulus_noise(h: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    r"""Moves every row by the share :math:`\epsilon` of its length within its orthant,

    .. math::
        \mathbf{h}^{\prime} = \mathbf{h} + \epsilon \|\mathbf{h}\|_2 \, \mathrm{sign}(\mathbf{h})
        \odot \frac{\mathbf{r}}{\|\mathbf{r}\|_2}, \qquad \mathbf{r} \sim U(0, 1)^d

    Args:
        h: Rows :math:`(N, d)`.
        eps: :math:`\epsilon \geq 0`; 0 returns :obj:`h`.
        generator: Source of :math:`\mathbf{r}`, on the device of :obj:`h`.
    """
    if not eps:
        return h
    return h + eps * h.norm(dim=1, keepdim=True) * inward_direction(h, generator)


class ModulusNoise(UniformNoise):
    r"""Adds :func:`modulus_noise` to the output of every layer: SimGCL's view free of the
    scale of the embeddings, which a fixed step outgrows or drowns in as they change. No paper.

    Args:
        eps: Share of the length, :math:`\epsilon \geq 0`.
    """

    def hook(self, h: Tensor, layer: int, generator: torch.Generator) -> Tensor:
        return modulus_noise(h, self.eps, generator)
