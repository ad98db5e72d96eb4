"""What ``reproduce.py`` runs on interactions alone: grids, budgets and published numbers."""

from typing import Any

from _suite import Budget, Loop, Published, Suite, grid

# Cheap sets first, so that a short run has whole tables.
SETS = ('lastfm-2k-mm', 'lastfm', 'tiktok', 'amazon-baby', 'ml-1m', 'yelp-sparse')
SPEED_SETS = ('amazon-sports', 'gowalla', 'yelp2018')
MODELS = ('Popularity', 'ItemKNN', 'EASE', 'ALS', 'MF', 'LightGCN')
DETERMINISTIC = ('Popularity', 'ItemKNN', 'EASE')  # Seeds change nothing: they run once.


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

HEAD = """# Results on interactions alone

Made by `python benchmarks/reproduce.py --suite interactions`; `--plan` prints the grids and
epochs, and `--only-table` makes this page again from the stored cells.

Every model is ranked over the whole catalogue; training items are masked; means are over
the users who have test items. Settings are those with the best validation recall@20 among
the printed grid (seed 0, fewer epochs). Trained models stop early on validation
recall@20, and nothing is trained again on training and validation together. Values are
the mean over seeds ± their standard deviation; Popularity, ItemKNN and EASE have nothing
random and run once. Seconds are those of building and training one model.

The test column compares ndcg@20 user by user (mean over seeds) with that of the best
baseline, the model other than LightGCN with the highest ndcg@20: the difference, then the
p-value of a two-sided paired t-test, multiplied by the number of comparisons in the table
(Bonferroni).
"""

INTERACTIONS = Suite(
    name='interactions',
    table='docs/results-interactions.md',
    head=HEAD,
    sets=SETS,
    models=MODELS,
    deterministic=DETERMINISTIC,
    budgets=BUDGETS,
    other=OTHER,
    grids=GRIDS,
    published=PUBLISHED,
    ours='LightGCN',
)
