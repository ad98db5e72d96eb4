"""SHA-256 of the item features that a model is made from."""

import hashlib

from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import ITEM
from graphrec.graphs.semantic import frozen_modalities, semantic_modalities
from graphrec.models.item_features import feature_name, item_features
from graphrec.models.recommender import Recommender


def feature_digest(model: Recommender, data: HeteroData) -> str | None:
    """SHA-256 (hex) over the features and the frozen neighbour graphs of the modalities that a
    model reads in :obj:`data`; :obj:`None` for one that reads none."""
    if not hasattr(model.config, 'modalities'):
        return None
    digest = hashlib.sha256()
    for name in sorted(model.config.modalities or semantic_modalities(data)):
        values: dict[str, Tensor] = {}
        if feature_name(data, name) is not None:
            values |= item_features(data, [name])
        if name in frozen_modalities(data):
            keys = (f'knn_{name}_index', f'knn_{name}_similarity')
            values |= {key: data[ITEM][key] for key in keys}
        for key, value in values.items():
            digest.update(f'{key} {value.dtype} {tuple(value.shape)};'.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
