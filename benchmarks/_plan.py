"""What ``reproduce.py`` runs: grids, budgets and the numbers that others published."""

import dataclasses
import itertools
from typing import Any

# Cheap sets first, so that a short run has whole tables.
SETS = ('lastfm-2k-mm', 'lastfm', 'tiktok', 'amazon-baby', 'ml-1m', 'yelp-sparse')
SPEED_SETS = ('amazon-sports', 'gowalla', 'yelp2018')
MODELS = ('Popularity', 'ItemKNN', 'EASE', 'ALS', 'MF', 'LightGCN')
DETERMINISTIC = ('Popularity', 'ItemKNN', 'EASE')  # Seeds change nothing: they run once.
TRAINED = ('MF', 'LightGCN')


def grid(**values: tuple[Any, ...]) -> list[dict[str, Any]]:
    """All combinations, the last name varying fastest."""
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


@dataclasses.dataclass(frozen=True)
class Loop:
    """Epochs of a grid point and of a final run at most, and the seconds that one takes
    on two cores, about: for the printed plan only."""

    grid_epochs: int
    epochs: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Budget:
    """Effort on one data set: the loops of the trained models, epochs between
    evaluations, evaluations without improvement before stopping (in the grid too), and
    grids other than the usual ones. ``lr`` in a grid goes to the training loop."""

    loops: dict[str, Loop]
    eval_every: int = 5
    patience: int = 8
    grids: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)

    def grid(self, model: str) -> list[dict[str, Any]]:
        """The points of a model's grid."""
        return self.grids.get(model, GRIDS[model])


GRIDS: dict[str, list[dict[str, Any]]] = {
    'Popularity': grid(),
    'ItemKNN': grid(k=(50, 200), shrinkage=(0.0, 10.0, 100.0, 1000.0)),
    'EASE': grid(regularization=(50.0, 200.0, 800.0, 3000.0)),
    'ALS': grid(regularization=(1.0, 10.0, 100.0), alpha=(1.0, 10.0, 40.0)),
    'MF': grid(reg=(1e-3, 1e-2, 1e-1), lr=(1e-3, 5e-3)),
    'LightGCN': grid(num_layers=(2, 3), reg=(1e-4, 1e-3, 1e-2), lr=(1e-3, 5e-3)),
}
_FAST = grid(num_layers=(2, 3), reg=(1e-4, 1e-3, 1e-2), lr=(5e-3,))
_FEW = grid(num_layers=(2, 3), reg=(1e-4, 1e-3), lr=(5e-3,))
_FEW_SPARSE = grid(num_layers=(2, 3), reg=(1e-3, 1e-2), lr=(5e-3,))

BUDGETS: dict[str, Budget] = {
    'lastfm-2k-mm': Budget({'MF': Loop(60, 300, 0.07), 'LightGCN': Loop(60, 300, 0.2)}),
    'lastfm': Budget({'MF': Loop(60, 300, 0.08), 'LightGCN': Loop(60, 300, 0.25)}),
    'tiktok': Budget({'MF': Loop(60, 300, 0.15), 'LightGCN': Loop(60, 300, 0.4)}),
    'amazon-baby': Budget(
        {'MF': Loop(40, 200, 0.3), 'LightGCN': Loop(40, 200, 0.75)},
        patience=6,
        grids={'LightGCN': _FAST},
    ),
    'ml-1m': Budget(
        {'MF': Loop(20, 100, 1.0), 'LightGCN': Loop(8, 40, 8.0)},
        eval_every=2,
        patience=4,
        grids={'LightGCN': _FEW},
    ),
    'yelp-sparse': Budget(
        {'MF': Loop(20, 120, 1.0), 'LightGCN': Loop(15, 80, 3.5)},
        patience=3,
        grids={'LightGCN': _FEW_SPARSE, 'EASE': grid(regularization=(50.0, 200.0))},
    ),
}
OTHER = Budget({'MF': Loop(30, 100, 1.0), 'LightGCN': Loop(30, 100, 3.0)})  # Sets without entry.

# Settings of the speed sets are fixed beforehand: nothing is chosen there.
SPEED_CONFIG: dict[str, Any] = {'num_layers': 3, 'dim': 64, 'reg': 1e-4}
SPEED_FIT: dict[str, Any] = {'batch_size': 2048, 'lr': 5e-3}


@dataclasses.dataclass(frozen=True)
class Published:
    """A number from the README of a data set, or one named there."""

    method: str
    values: dict[str, float]
    difference: str


PUBLISHED: dict[str, list[Published]] = {
    'tiktok': [
        Published(
            'MMHCL, three modalities',
            {'recall@10': 0.0752, 'recall@20': 0.1139, 'ndcg@10': 0.0395, 'ndcg@20': 0.0492},
            'Same split and protocol, not comparable: it also reads visual, acoustic and '
            'text features of the items, the models above none.',
        )
    ],
    'amazon-baby': [
        Published(
            'LGMRec, image and text',
            {'recall@10': 0.0644, 'recall@20': 0.1002, 'ndcg@10': 0.0347, 'ndcg@20': 0.0440},
            'For scale only: another random split of the same sizes, and item features '
            'that the models above do not read.',
        ),
        Published(
            'DGUMA, image and text',
            {'recall@10': 0.0694, 'recall@20': 0.1078, 'ndcg@10': 0.0383, 'ndcg@20': 0.0481},
            'As LGMRec.',
        ),
    ],
    'gowalla': [
        Published(
            'LightGCN, 3 layers',
            {'recall@20': 0.1824, 'ndcg@20': 0.1547},
            'Same split and protocol; its authors train up to 1000 epochs with learning '
            'rate 0.001, here training ends when the minutes are over.',
        )
    ],
    'yelp2018': [
        Published(
            'LightGCN, 3 layers',
            {'recall@20': 0.0635, 'ndcg@20': 0.0524},
            'Same split and protocol; its authors train up to 1000 epochs with learning '
            'rate 0.001, here training ends when the minutes are over.',
        )
    ],
    'amazon-sports': [
        Published(
            'MMHCL, image and text',
            {'recall@10': 0.0717, 'recall@20': 0.1064, 'ndcg@10': 0.0409, 'ndcg@20': 0.0501},
            'Same split, not comparable: it also reads dense image and text features.',
        )
    ],
}
