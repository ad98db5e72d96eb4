"""The feature-masking view."""

import copy

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphrec.contrastive.view import View, check_share, num_kept
from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, modalities


def mask_features(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    r"""Zeroes a uniform draw of the columns, the same in all rows, and keeps
    :math:`\lfloor (1-p) d \rfloor` of them.

    Args:
        x: Features :math:`(N, d)`.
        p: Share to mask; 0 returns :obj:`x`.
        generator: Source of randomness, on the device of :obj:`x`.
    """
    width = x.size(1)
    order = torch.randperm(width, generator=generator, device=x.device)
    if p == 0:
        return x
    mask = x.new_zeros(width)
    mask[order[: num_kept(width, p)]] = 1
    return x * mask


class FeatureMask(View, BaseTransform):
    r"""Zeroes a share :math:`p` of the dimensions (`"Deep Graph Contrastive Representation
    Learning" <https://arxiv.org/abs/2006.04131>`_, GRACE, "masking node features"): of the
    embeddings as they enter a network, or of the items' features as a transform.

    Args:
        p: Share of the dimensions, in :math:`[0, 1)`.
        modality: Which features to mask as a transform; all modalities if omitted, each
            with a draw of its own.
        generator: Source of randomness of the transform, on the device of the data.

    Raises:
        GraphError: If :obj:`p` lies outside its range.
    """

    def __init__(
        self,
        p: float = 0.1,
        modality: str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        check_share('p', p)
        self.p, self.modality = p, modality
        self.generator = torch.Generator() if generator is None else generator

    def forward(self, data: HeteroData) -> HeteroData:
        data = copy.copy(data)
        for modality in modalities(data) if self.modality is None else [self.modality]:
            key = FEATURE_PREFIX + modality
            data[ITEM][key] = mask_features(data[ITEM][key], self.p, self.generator)
        return data

    def start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return mask_features(x, self.p, generator)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(p={self.p})'
