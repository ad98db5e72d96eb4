"""First values of parameters, drawn from a generator, the same ones on every device."""

import torch
from torch import Tensor


@torch.no_grad()
def xavier_(table: Tensor, generator: torch.Generator, normal: bool = False) -> None:
    r"""Fills a table :math:`(n, d)` with numbers of variance :math:`2 / (n + d)` (Glorot and
    Bengio, AISTATS 2010), uniform or normal, the same ones on every device."""
    scale = (2 / sum(table.shape)) ** 0.5
    if normal:
        table.copy_(torch.randn(table.shape, generator=generator) * scale)
    else:
        table.copy_((torch.rand(table.shape, generator=generator) * 2 - 1) * scale * 3**0.5)


@torch.no_grad()
def fan_in_(linear: torch.nn.Linear, generator: torch.Generator) -> None:
    r"""Torch's own draw of a linear layer, :math:`\pm 1 / \sqrt{d_{in}}`, from a generator."""
    for parameter in linear.parameters():
        draw = torch.rand(parameter.shape, generator=generator) * 2 - 1
        parameter.copy_(draw / linear.in_features**0.5)
