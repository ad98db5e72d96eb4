"""What ``reproduce.py`` runs with item features: grids, budgets, studies, published numbers."""

from typing import Any

from _suite import Budget, Loop, Published, Study, Suite, grid

from graphrec.models import MMHCL

MULTIMODAL = (
    'VBPR',
    'LATTICE',
    'FREEDOM',
    'BM3',
    'MGCN',
    'LGMRec',
    'LIRDRec',
    'SemanticItemGraph',
    'MMHCL',
)
CONTRASTIVE = ('SGL', 'SimGCL', 'XSimGCL', 'LightGCL', 'NCL', 'DirectAU', 'BUIR', 'SelfCF')
MODELS = ('Popularity', 'EASE', 'LightGCN', *CONTRASTIVE, *MULTIMODAL)

# In the order of the issue of work: dense features first, then frozen neighbour graphs.
SETS = (
    'tiktok',
    'lastfm-2k-mm',
    'amazon-baby',
    'amazon-sports',
    'microlens-50k',
    'ml-100k-mm',
)

_LR = (1e-3, 5e-3)


def _mmhcl_settings(name: str) -> dict[str, Any]:
    """What the official logs vary between data sets, see ``MMHCL.preset``."""
    preset = MMHCL.preset(name)
    varied = ('user_layers', 'user_weight', 'item_weight', 'temperature', 'k', 'reg')
    return {key: preset[key] for key in varied} | {'bf16_contrast': True}


GRIDS: dict[str, list[dict[str, Any]]] = {
    'Popularity': grid(),
    'EASE': grid(regularization=(50.0, 200.0, 800.0)),
    'LightGCN': grid(num_layers=(2, 3), reg=(1e-3, 1e-2), lr=(5e-3,)),
    'SGL': grid(contrast_weight=(0.02, 0.1), lr=_LR),
    'SimGCL': grid(contrast_weight=(0.05, 0.2), lr=_LR),
    'XSimGCL': grid(contrast_weight=(0.05, 0.2), lr=_LR),
    'LightGCL': grid(contrast_weight=(0.05, 0.2), lr=_LR),
    'NCL': grid(structure_weight=(1e-7, 1e-6), lr=_LR),
    'DirectAU': grid(gamma=(0.5, 2.0), lr=_LR),
    'BUIR': grid(lr=_LR),
    'SelfCF': grid(lr=_LR),
    'VBPR': grid(reg=(1e-4, 1e-2, 1.0), lr=_LR),
    'LATTICE': grid(reg=(1e-4, 1e-3), lr=_LR),
    'FREEDOM': grid(feature_weight=(1e-4, 1e-3), edge_dropout=(0.8,), lr=_LR),
    'BM3': grid(num_layers=(1, 2), dropout=(0.3,), lr=_LR),
    'MGCN': grid(contrast_weight=(1e-2, 1e-1), lr=_LR),
    'LGMRec': [
        {
            'num_hyperedges': a,
            'keep': keep,
            'global_weight': alpha,
            'num_global_layers': n,
            'lr': lr,
        }
        for a, keep, alpha, n in ((4, 0.5, 0.3, 1), (64, 0.2, 0.2, 2))
        for lr in (1e-3,)
    ],
    'LIRDRec': grid(reg=(1e-4, 1e-2), lr=(1e-3,)),
    'SemanticItemGraph': [
        {
            'infusion': infusion,
            'perturb_weight': weight,
            'anchor_weight': weight,
            'alignment_weight': weight,
            'bf16_contrast': True,
            'reg': 1e-3,
            'lr': lr,
        }
        for infusion, weight, lr in ((0.5, 0.01, 1e-3), (0.5, 0.1, 1e-3), (0.5, 0.1, 5e-3))
    ],
    'MMHCL': [_mmhcl_settings(name) | {'lr': 1e-3} for name in ('tiktok', 'sports', 'clothing')],
}

_DECAY = 0.96 ** (1 / 50)


def _loops(scale: float, grid_epochs: int, epochs: int, mmhcl: Loop) -> dict[str, Loop]:
    """Loops of all trained models; a second of work on the smallest set takes ``scale``."""
    seconds = {
        'LightGCN': 0.3,
        'VBPR': 0.3,
        'BM3': 0.7,
        'FREEDOM': 0.9,
        'XSimGCL': 1.2,
        'LATTICE': 2.0,
        'MGCN': 2.0,
        'LGMRec': 3.5,
        'LIRDRec': 3.5,
        'SemanticItemGraph': 4.0,
    }
    loops = {
        name: Loop(grid_epochs, epochs, scale * seconds.get(name, 1.5))
        for name in MODELS
        if name not in ('Popularity', 'EASE', 'MMHCL')
    }
    return loops | {'MMHCL': mmhcl}


def _mmhcl(grid_epochs: int, epochs: int, seconds: float, **stopping: int) -> Loop:
    """With the batch and the schedule of the official code."""
    return Loop(grid_epochs, epochs, seconds, batch_size=1024, decay=_DECAY, **stopping)


BUDGETS: dict[str, Budget] = {
    'tiktok': Budget(
        # MMHCL as in the official log, but that recall alone stops it: nothing is chosen.
        _loops(1.0, 40, 100, _mmhcl(120, 120, 15.0, eval_every=5, patience=6)),
        patience=4,
        grids={'MMHCL': [_mmhcl_settings('tiktok') | {'lr': 1e-4}]},
    ),
    'lastfm-2k-mm': Budget(_loops(0.7, 40, 120, _mmhcl(40, 120, 1.0)), patience=4),
    'amazon-baby': Budget(_loops(2.5, 20, 100, _mmhcl(10, 40, 80.0)), patience=3),
    'amazon-sports': Budget(
        # MMHCL as in the official log, which ends at epoch 119.
        _loops(5.0, 15, 80, _mmhcl(120, 120, 450.0, eval_every=5, patience=6)),
        patience=3,
        grids={'MMHCL': [_mmhcl_settings('sports') | {'lr': 1e-4}]},
    ),
}
OTHER = Budget(_loops(5.0, 15, 80, _mmhcl(10, 30, 400.0)), patience=3)

_WITHOUT_TEXT = (
    'Same split and protocol, with the text features too, which are not at hand: ours reads '
    'the visual and the acoustic ones ([more on it](mmhcl-tiktok.md)).'
)
_OTHER_DRAW = 'For scale only: another random split of the same sizes, and dense features.'

PUBLISHED: dict[str, list[Published]] = {
    'tiktok': [
        Published(
            'MMHCL, three modalities',
            {'recall@10': 0.0752, 'recall@20': 0.1139, 'ndcg@10': 0.0395, 'ndcg@20': 0.0492},
            _WITHOUT_TEXT,
        ),
        Published(
            'LGMRec, three modalities, run by the authors of MMHCL',
            {'recall@10': 0.0438, 'recall@20': 0.0709, 'ndcg@10': 0.0210, 'ndcg@20': 0.0279},
            _WITHOUT_TEXT + " One fixed configuration, Baby's.",
        ),
    ],
    'amazon-baby': [
        Published(
            'LightGCN, MMRec',
            {'recall@10': 0.0479, 'recall@20': 0.0754, 'ndcg@10': 0.0257, 'ndcg@20': 0.0328},
            _OTHER_DRAW,
        ),
        Published(
            'FREEDOM, image and text',
            {'recall@10': 0.0627, 'recall@20': 0.0992, 'ndcg@10': 0.0330, 'ndcg@20': 0.0424},
            _OTHER_DRAW,
        ),
        Published(
            'LGMRec, image and text',
            {'recall@10': 0.0644, 'recall@20': 0.1002, 'ndcg@10': 0.0347, 'ndcg@20': 0.0440},
            _OTHER_DRAW,
        ),
    ],
    'amazon-sports': [
        Published(
            'MMHCL, image and text',
            {'recall@10': 0.0717, 'recall@20': 0.1064, 'ndcg@10': 0.0409, 'ndcg@20': 0.0501},
            'Same split; its neighbours come from 4096-d image and 1024-d text features, ours '
            'from frozen graphs of the 4096-d image and 384-d text features.',
        )
    ],
    'ml-100k-mm': [
        Published(
            'FREEDOM, image and text',
            {'recall@10': 0.1291, 'recall@20': 0.2263, 'ndcg@10': 0.3041, 'ndcg@20': 0.3151},
            'Same split, dense image features, best of its grid on the test part.',
        )
    ],
}

_NOT_GAMMA = {'infusion': 0.0}
STUDIES = (
    Study(
        'cold',
        """Items without interactions. A fifth of the items (seed 123) loses all its edges, half
of it to validation, half to test; the edges of all other items train. Settings are those
chosen on the full data, SemanticItemGraph is trained for 40 epochs at most. Users are ranked
over the cold items alone, then over all items.""",
        ('lastfm-2k-mm', 'tiktok'),
        {name: {'as chosen': {}} for name in MULTIMODAL if name != 'MMHCL'}
        | {
            'MMHCL': {
                'as chosen': {},
                'negatives from training items': {'negatives_from': 'train_items'},
            }
        },
        {'cold': {'cold_items': 0.2, 'cold_seed': 123}},
        epochs={'SemanticItemGraph': 40},
    ),
    Study(
        'modalities',
        """Why MMHCL is below its official log, which has text features too: test values at the
first evaluation of the log, after five epochs (R@20 0.0905), by the modalities whose
hypergraph of items it is given. The fewer of them, the lower, as it would be if the
missing text were the cause; but no hypergraph of items at all stands higher than two, so that
this is no proof. What else there is stands on [a page of its own](mmhcl-tiktok.md).""",
        ('tiktok',),
        {
            'MMHCL': {
                'both': {},
                'visual alone': {'modalities': ('visual',)},
                'acoustic alone': {'modalities': ('acoustic',)},
                'none': {'item_weight': 0.0},
            }
        },
        {'5 epochs': {}},
        epochs={'MMHCL': 5},
    ),
    Study(
        'modalities-whole',
        """The same, trained until it stops (log: R@20 0.1139, N@20 0.0492); with both modalities
MMHCL stands in the table above.""",
        ('tiktok',),
        {
            'MMHCL': {
                'none': {'item_weight': 0.0},
            }
        },
        {'as is': {}},
        seeds=1,
    ),
    Study(
        'ablation',
        """What the parts of three models are worth, everything else as chosen; SemanticItemGraph
is trained for 40 epochs at most here.""",
        ('lastfm-2k-mm', 'tiktok'),
        {
            'SemanticItemGraph': {
                'as chosen': {},
                'no co-occurrence (gamma 0)': _NOT_GAMMA,
                'no semantics (gamma 1)': {'infusion': 1.0},
                'no perturbation': {'perturb_weight': 0.0},
                'perturbation: constant': {'intensity': 'constant'},
                'perturbation: inverse': {'intensity': 'inverse'},
                'no anchored alignment': {'anchor_weight': 0.0},
                'no second alignment': {'alignment_weight': 0.0},
            },
            'MMHCL': {
                'no user hypergraph': {'user_weight': 0.0},
                'no item hypergraph': {'item_weight': 0.0},
                'no hypergraph': {'user_weight': 0.0, 'item_weight': 0.0},
                'backbone MF': {'backbone': 'mf'},
                'backbone NGCF': {'backbone': 'ngcf'},
            },
            'LIRDRec': {
                f'weights copied: {copy}': {'copy': copy} for copy in ('logit', 'none', 'uniform')
            }
            | {'no transform': {'dct': 'none'}},
        },
        {'as is': {}},
        seeds=1,
        epochs={'SemanticItemGraph': 40},
    ),
    Study(
        'noise',
        """A share of the items gets random features, drawn from a normal distribution with the
mean and deviation of each column; settings as chosen, SemanticItemGraph for 40 epochs.""",
        ('lastfm-2k-mm',),
        {
            'FREEDOM': {'as chosen': {}},
            'LIRDRec': {'as chosen': {}},
            'MMHCL': {'as chosen': {}},
            'SemanticItemGraph': {'as chosen': {}, 'no co-occurrence (gamma 0)': _NOT_GAMMA},
        },
        {f'{round(100 * share)} %': {'noise': share} for share in (0.0, 0.3, 0.6, 1.0)},
        seeds=1,
        epochs={'SemanticItemGraph': 40},
    ),
)

HEAD = """# Results with item features

Made by `python benchmarks/reproduce.py`; `--plan` prints the grids and epochs, and
`--only-table` makes this page again from the stored cells in `docs/benchmarks/cells`.
Models on interactions alone have [a page of their own](results-interactions.md).

Every model is ranked over the whole catalogue; training items are masked; means are over
the users who have test items. Settings are those with the best validation recall@20 among
the printed grid (seed 0, fewer epochs). Trained models stop early on validation
recall@20, and nothing is trained again on training and validation together. Values are
the mean over seeds ± their standard deviation; Popularity and EASE have nothing random and
run once. Seconds are those of building and training one model on one thread, or on a GPU
where the table says so (`--device cuda`), beside other work: upper bounds.

The test column compares ndcg@20 user by user (mean over seeds) with that of the best model
of the table: the difference, then the p-value of a two-sided paired t-test, multiplied by
the number of comparisons in the table (Bonferroni).

Amazon Baby, Amazon Sports, MicroLens and the images of ml-100k-mm have frozen graphs of the
ten nearest items, and no dense features: where a model wants vectors it reads *spectral
stand-ins* (64 leading eigenvectors of the graph), not the published features. MMHCL and
SemanticItemGraph need the graphs alone. SemanticItemGraph is reconstructed from an
abstract; MMHCL multiplies its contrast in bfloat16 (gradient off by 1e-4).
"""

MULTIMODAL_SUITE = Suite(
    name='multimodal',
    table='docs/results.md',
    head=HEAD,
    sets=SETS,
    models=MODELS,
    deterministic=('Popularity', 'EASE'),
    budgets=BUDGETS,
    other=OTHER,
    grids=GRIDS,
    published=PUBLISHED,
    studies=STUDIES,
)
