"""What ``unlearning.py`` runs: backbones with their settings, requests, methods."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, USER, modalities, node_ids, train_edges
from graphrec.models import Recommender
from graphrec.unlearn import (
    Edit,
    RemoveInteractions,
    RemoveItems,
    RemoveModality,
    RemoveUsers,
    ShardedRecommender,
    train_shards,
)

#: In this order: cheap golds first, so that a short run has whole tables.
SETS = ('lastfm-2k-mm', 'tiktok', 'ml-1m', 'cure4rec-ml-100k')
METHODS = (
    'suppress',
    'edit_only',
    'finetune',
    'grad_ascent',
    'ascent_retain',
    'mmrecun',
    'rrl',
    'distil',
    'influence',
    'ifru',
    'heldout_match',
    'auto',
    'sisa',
    'receraser',
)
#: One run each: they train models by shards, and what they cost does not depend on the seed.
SHARDED = ('sisa', 'receraser')
#: Golds a request, whatever the number of originals.
NUM_GOLDS = 5


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A model with settings that were chosen on validation (docs/results.md)."""

    name: str
    config: dict[str, Any]
    fit: dict[str, Any]


_LIGHTGCN = {
    'epochs': 150,
    'lr': 5e-3,
    'batch_size': 2048,
    'eval_every': 5,
    'patience': 4,
}
_MULTIMODAL = _LIGHTGCN | {'epochs': 100}
_MMHCL = {
    'user_layers': 2,
    'user_weight': 0.1,
    'item_weight': 0.7,
    'temperature': 0.4,
    'k': 10,
    'reg': 1e-3,
    'bf16_contrast': True,
}

# On ml-1m, with reg 1e-4: batches of 16384 at lr 1e-2 reach validation recall@20 of 0.204, at 2e-2
# 0.197, 8192 at 1e-2 0.198, 65536 at 2e-2 0.202 (the results page: 2048 at 5e-3, 0.186); 16384 at
# 1e-2 with reg 1e-3 0.212, with 1e-2 0.166. Seed 0.
_LARGE_BATCH = {'epochs': 40, 'lr': 1e-2, 'batch_size': 16384, 'eval_every': 2, 'patience': 4}

#: By data set; the first two are the headline.
BACKBONES: dict[str, tuple[Backbone, ...]] = {
    'lastfm-2k-mm': (
        Backbone('LightGCN', {'num_layers': 2, 'reg': 1e-3}, _LIGHTGCN),
        Backbone('FREEDOM', {'feature_weight': 1e-4}, _MULTIMODAL),
        Backbone('LIRDRec', {'reg': 1e-2}, _MULTIMODAL | {'lr': 1e-3}),
        Backbone('MMHCL', _MMHCL, _MULTIMODAL | {'lr': 1e-3, 'batch_size': 1024}),
    ),
    'tiktok': (
        Backbone('LightGCN', {'num_layers': 3, 'reg': 1e-2}, _LIGHTGCN),
        Backbone('FREEDOM', {'feature_weight': 1e-3}, _MULTIMODAL),
    ),
    'ml-1m': (Backbone('LightGCN', {'num_layers': 2, 'reg': 1e-3}, _LARGE_BATCH),),
    'cure4rec-ml-100k': (Backbone('LightGCN', {'num_layers': 2, 'reg': 1e-3}, _LIGHTGCN),),
}


def planted_backbone(epochs: int) -> Backbone:
    """LightGCN on planted data: always so many epochs."""
    settings = {
        'epochs': epochs,
        'batch_size': 512,
        'lr': 1e-2,
        'patience': None,
        'eval_every': epochs,
    }
    return Backbone('LightGCN', {'dim': 16, 'num_layers': 2}, settings)


HEADLINE = ('interactions-5', 'users-5', 'items-5', 'interactions-1', 'users-1', 'items-1')
BREADTH = (
    'interactions-0.1',
    'users-0.1',
    'items-0.1',
    'users-one',
    'items-one',
    'image-5',
    'modality',
)
CURE4REC = ('core-5', 'core-10', 'edge-5', 'edge-10', 'edge-20')


def most_models(request: str) -> int | None:
    """How many golds, and how many originals, a request has at most; as many as are asked for
    in the headline."""
    return None if request in HEADLINE else 3


def requests(data: str) -> tuple[str, ...]:
    """Names of the requests on a data set."""
    return CURE4REC if data.startswith('cure4rec') else (*HEADLINE, *BREADTH)


def make_edit(data: HeteroData, name: str, root: Path, seed: int = 0) -> Edit | None:
    """The request, the same for all models and seeds; None where the graph has no such thing
    (a modality). Shares are of users, items or training interactions, drawn at random;
    CURE4Rec's are its lists of the most (core) and least (edge) active users."""
    draw = np.random.default_rng(seed)
    kind, _, size = name.partition('-')
    if kind in ('core', 'edge'):
        table = pd.read_csv(root / 'forget_users.csv')
        return RemoveUsers(table.loc[table['request'] == name, 'user'].tolist())
    known = modalities(data)
    if kind == 'modality':
        return RemoveModality(known[-1]) if known else None
    edge_index = train_edges(data).numpy()
    if kind == 'interactions':
        count = _count(size, edge_index.shape[1])
        user, item = edge_index[:, np.sort(draw.permutation(edge_index.shape[1])[:count])]
        users, items = node_ids(data, USER)[user], node_ids(data, ITEM)[item]
        return RemoveInteractions(list(zip(users.tolist(), items.tolist(), strict=True)))
    row = 0 if kind == 'users' else 1
    present = np.unique(edge_index[row])
    chosen = draw.permutation(present)[: _count(size, len(present))]
    if kind == 'users':
        return RemoveUsers(node_ids(data, USER)[chosen].tolist())
    ids = node_ids(data, ITEM)[chosen].tolist()
    if kind == 'items':
        return RemoveItems(ids)
    if kind == 'image':
        return RemoveModality(known[-1], items=ids) if known else None
    raise GraphError(f'there is no request {name!r}')


def _count(size: str, total: int) -> int:
    return 1 if size == 'one' else max(1, round(float(size) / 100 * total))


def trained(
    backbone: Backbone,
    data: HeteroData,
    seed: int,
    make: Callable[..., Any],
    fit: Callable[..., Any],
) -> Any:
    """A model of the backbone, trained from scratch."""
    model = make.from_graph(data, seed=seed, **backbone.config)
    fit(model, data, seed=seed, progress=False, **backbone.fit)
    return model


def trained_shards(
    backbone: Backbone, data: HeteroData, seed: int, method: str, whole: Recommender
) -> ShardedRecommender:
    """The system that a deployment of a sharded method has before a request: as the method
    itself would train it, once for all requests."""
    settings = {'sisa': {}, 'receraser': {'partition': 'user', 'aggregation': 'attention'}}[method]
    return train_shards(whole, data, fit=backbone.fit, seed=seed, **settings)
