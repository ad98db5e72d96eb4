"""The modality-dropout view."""

import copy

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphrec.contrastive.view import check_share
from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, PRESENT_PREFIX, modalities


def draw_modalities(
    num_modalities: int, num_rows: int, p: float, generator: torch.Generator
) -> Tensor:
    r"""Which modalities stay in every row, boolean :math:`(N, M)`: each is dropped with
    probability :math:`p`, and where all would be, one at random stays."""
    shape = (num_rows, num_modalities)
    device = generator.device
    keep = torch.rand(shape, generator=generator, device=device) >= p
    last = torch.randint(num_modalities, (num_rows, 1), generator=generator, device=device)
    rescued = torch.zeros_like(keep).scatter_(1, last, True)
    return torch.where(keep.any(1, keepdim=True), keep, rescued)


class ModalityDrop(BaseTransform):
    r"""Zeroes the items' features of a modality with probability :math:`p` and marks them as
    missing (``has_<modality>``); at least one modality stays.

    Args:
        p: Probability of each modality, in :math:`[0, 1)`; 0 leaves the data as they are.
        per_item: Whether every item draws for itself, or one draw holds for all.
        generator: Source of randomness, on the device of the data.

    Raises:
        GraphError: If :obj:`p` lies outside its range.
    """

    def __init__(
        self, p: float = 0.1, per_item: bool = False, generator: torch.Generator | None = None
    ) -> None:
        check_share('p', p)
        self.p, self.per_item = p, per_item
        self.generator = torch.Generator() if generator is None else generator

    def forward(self, data: HeteroData) -> HeteroData:
        names = modalities(data)
        data = copy.copy(data)
        if not names:
            return data
        count = int(data[ITEM].num_nodes)
        keep = draw_modalities(len(names), count if self.per_item else 1, self.p, self.generator)
        keep = keep.expand(count, -1)
        for name, stays in zip(names, keep.unbind(1), strict=True):
            if bool(stays.all()):
                continue
            x, present = data[ITEM][FEATURE_PREFIX + name], PRESENT_PREFIX + name
            data[ITEM][FEATURE_PREFIX + name] = x * stays.unsqueeze(1)
            known = data[ITEM][present] if present in data[ITEM] else torch.ones_like(stays)
            data[ITEM][present] = known & stays
        return data

    def __repr__(self) -> str:
        return f'{type(self).__name__}(p={self.p}, per_item={self.per_item})'
