"""Changes of the data that a study asks for."""

import copy
from typing import Any

import torch
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, modalities
from graphrec.graphs.splits import cold_items


def varied(data: HeteroData, protocol: dict[str, Any], seed: int) -> HeteroData:
    """The graph that a cell runs on: with cold items, with noise, or as it is."""
    if 'cold_items' in protocol:
        return cold_items(data, protocol['cold_items'], seed=protocol['cold_seed'])
    if protocol.get('noise'):
        return with_noise(data, protocol['noise'], seed)
    return data


def with_noise(data: HeteroData, share: float, seed: int) -> HeteroData:
    """Random features for a share of the items, the same items in every modality: normal
    with the mean and deviation of each column over the items that have features."""
    out = copy.copy(data)
    generator = torch.Generator().manual_seed(seed)
    count = data[ITEM].num_nodes
    chosen = torch.randperm(count, generator=generator)[: round(share * count)]
    for name in modalities(data):
        key = f'{FEATURE_PREFIX}{name}'
        x = data[ITEM][key].float().clone()
        there = x[x.abs().sum(1) > 0]
        drawn = torch.randn(chosen.numel(), x.size(1), generator=generator)
        x[chosen] = drawn * there.std(0) + there.mean(0)
        out[ITEM][key] = x.to(data[ITEM][key].dtype)
    return out
