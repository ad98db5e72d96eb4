"""Published settings by model and data set, all in this one place.

``Model.preset(name)`` gives the model's settings, ``Model.fit_preset(name)`` the training's::

    model = MMHCL.from_graph(data, **MMHCL.preset('sports'))
    graphrec.fit(model, data, **MMHCL.fit_preset('sports'))

What a preset leaves out is the default of the model, or of :func:`graphrec.fit`. A data set
is named without its maker: ``'sports'`` is Amazon Sports. ``'mmrec'`` stands for any of the
Amazon sets of MMRec where no values per data set are published.
"""

from typing import Any, NamedTuple


class Preset(NamedTuple):
    """Settings of a model, and those of :func:`graphrec.fit`."""

    settings: dict[str, Any]
    fit: dict[str, Any]


#: The rate falls by 0.96 every 50 epochs, a little in each of them.
_SLOW_DECAY = 0.96 ** (1 / 50)

# MMRec (enoche/MMRec): every epoch is validated, the 21st without a better one is the last.
_MMREC = {
    'batch_size': 2048,
    'lr': 1e-3,
    'epochs': 1000,
    'metric': 'recall@20',
    'eval_every': 1,
    'patience': 21,
}

# MMHCL's code (Xu107/MMHCL): the 6th evaluation without a better one is the last. There,
# better is Recall@20 or NDCG@20; here, Recall@20.
_MMHCL = {
    'batch_size': 1024,
    'lr': 1e-4,
    'schedule': _SLOW_DECAY,
    'epochs': 1000,
    'metric': 'recall@20',
    'eval_every': 5,
    'patience': 6,
}

# Contrastive papers agree on Adam at 1e-3 and batches of 2048; those of another size say so.
_ADAM = {'batch_size': 2048, 'lr': 1e-3}
_LIGHTGCL = {'batch_size': 4096, 'lr': 1e-3}

# An independent rerun (ustc-mkh/COMP5331): one setting for all sets, which reproduced Baby,
# Sports and Electronics and fell 4 to 5 % short on Clothing and MicroLens. The best settings
# per data set are not published.
_LIRDREC = Preset(
    {'num_layers': 2, 'visual_weight': 0.1, 'reg': 1e-4, 'attention_weight': 0.9, 'decay': 0.9},
    {**_MMREC, 'lr': 1e-4},
)

PRESETS: dict[str, dict[str, Preset]] = {
    # Official training logs, where they differ from the readme (Xu107/MMHCL).
    'MMHCL': {
        'tiktok': Preset(
            {
                'num_layers': 2,
                'user_layers': 3,
                'item_layers': 2,
                'user_weight': 0.03,
                'item_weight': 0.07,
                'temperature': 0.6,
                'k': 5,
                'reg': 1e-3,
            },
            _MMHCL,
        ),
        'sports': Preset(
            {
                'num_layers': 2,
                'user_layers': 2,
                'item_layers': 2,
                'user_weight': 0.3,
                'item_weight': 0.7,
                'temperature': 0.5,
                'k': 5,
                'reg': 1e-5,
            },
            _MMHCL,
        ),
        'clothing': Preset(
            {
                'num_layers': 2,
                'user_layers': 2,
                'item_layers': 2,
                'user_weight': 0.1,
                'item_weight': 0.7,
                'temperature': 0.4,
                'k': 10,
                'reg': 1e-3,
            },
            _MMHCL,
        ),
    },
    'LIRDRec': dict.fromkeys(('baby', 'sports', 'clothing', 'electronics', 'microlens'), _LIRDREC),
    # Best of MMRec's grid search, which selected on test data.
    'BM3': {
        'baby': Preset({'num_layers': 1, 'dropout': 0.5, 'reg': 0.1}, _MMREC),
        'sports': Preset({'num_layers': 1, 'dropout': 0.5, 'reg': 0.01}, _MMREC),
        'electronics': Preset({'num_layers': 2, 'dropout': 0.3, 'reg': 0.1}, _MMREC),
    },
    # The authors' logs (georgeguo-cn/LGMRec); MMRec ships the setting of Baby for all sets.
    'LGMRec': {
        'baby': Preset(
            {'num_hyperedges': 4, 'keep': 0.5, 'global_weight': 0.3, 'num_global_layers': 1},
            _MMREC,
        ),
        'sports': Preset(
            {'num_hyperedges': 4, 'keep': 0.4, 'global_weight': 0.6, 'num_global_layers': 4},
            _MMREC,
        ),
        'clothing': Preset(
            {'num_hyperedges': 64, 'keep': 0.2, 'global_weight': 0.2, 'num_global_layers': 2},
            _MMREC,
        ),
    },
    # Published are grids alone; these are within them. Choose among the rest by validation:
    # edge_dropout 0.8 or 0.9, feature_weight 0, 1e-5, 1e-4 or 1e-3.
    'FREEDOM': {
        'mmrec': Preset(
            {'num_layers': 2, 'k': 10, 'visual_weight': 0.1, 'edge_dropout': 0.8}, _MMREC
        )
    },
    # contrast_weight 0.001, 0.01 or 0.1.
    'MGCN': {
        'mmrec': Preset(
            {'num_layers': 2, 'k': 10, 'temperature': 0.2, 'reg': 1e-4},
            {**_MMREC, 'schedule': _SLOW_DECAY},
        )
    },
    # reg 0, 1e-5, 1e-4 or 1e-3; lr from 1e-4 to 5e-3.
    'LATTICE': {
        'mmrec': Preset({'k': 10, 'original_weight': 0.9}, {**_MMREC, 'schedule': _SLOW_DECAY})
    },
    # reg from 1e-5 to 2.
    'VBPR': {'mmrec': Preset({}, _MMREC)},
    # Reconstructed, in the protocol of the same group.
    'SemanticItemGraph': {'mmrec': Preset({}, _MMREC)},
    # The paper, and gusye1234/LightGCN-PyTorch.
    'LightGCN': {
        name: Preset({'num_layers': 3, 'reg': 1e-4, 'init_std': 0.1}, _ADAM)
        for name in ('gowalla', 'yelp2018')
    },
    # Official (wujcan/SGL-Torch).
    'SGL': {
        'yelp2018': Preset(
            {
                'num_layers': 3,
                'strength': 0.1,
                'temperature': 0.2,
                'contrast_weight': 0.1,
                'reg': 1e-4,
            },
            _ADAM,
        ),
        'amazon-book': Preset(
            {
                'num_layers': 3,
                'strength': 0.1,
                'temperature': 0.2,
                'contrast_weight': 0.5,
                'reg': 1e-4,
            },
            _ADAM,
        ),
        'ifashion': Preset(
            {
                'num_layers': 3,
                'strength': 0.4,
                'temperature': 0.5,
                'contrast_weight': 0.02,
                'reg': 1e-3,
            },
            _ADAM,
        ),
    },
    # The authors' library (Coder-Yu/SELFRec).
    'SimGCL': {
        'yelp2018': Preset(
            {'num_layers': 3, 'strength': 0.1, 'temperature': 0.2, 'contrast_weight': 0.5}, _ADAM
        )
    },
    'XSimGCL': {
        'yelp2018': Preset(
            {
                'num_layers': 3,
                'strength': 0.2,
                'temperature': 0.15,
                'contrast_weight': 0.2,
                'contrast_layer': 1,
            },
            _ADAM,
        )
    },
    # Official (RUCAIBox/NCL), on variants of the sets that are not LightGCN's.
    'NCL': {
        'yelp2018': Preset(
            {
                'num_layers': 3,
                'temperature': 0.05,
                'structure_weight': 1e-6,
                'prototype_weight': 1e-7,
                'item_weight': 1.5,
                'num_prototypes': 2000,
            },
            _ADAM,
        ),
        'ml-1m': Preset(
            {
                'num_layers': 3,
                'temperature': 0.1,
                'structure_weight': 1e-7,
                'prototype_weight': 8e-8,
                'item_weight': 1.0,
                'num_prototypes': 1000,
            },
            _ADAM,
        ),
        'gowalla': Preset(
            {
                'num_layers': 3,
                'temperature': 0.05,
                'structure_weight': 1e-6,
                'prototype_weight': 5e-8,
                'item_weight': 0.5,
                'num_prototypes': 10,
            },
            _ADAM,
        ),
        'amazon-book': Preset(
            {
                'num_layers': 3,
                'temperature': 0.05,
                'structure_weight': 1e-6,
                'prototype_weight': 1e-7,
                'item_weight': 0.8,
                'num_prototypes': 2000,
            },
            _ADAM,
        ),
        'alibaba': Preset(
            {
                'num_layers': 3,
                'temperature': 0.05,
                'structure_weight': 1e-9,
                'prototype_weight': 1e-10,
                'item_weight': 1.5,
                'num_prototypes': 10_000,
            },
            _ADAM,
        ),
    },
    # Official (HKUDS/LightGCL), on the authors' own splits.
    'LightGCL': {
        'yelp': Preset({'num_layers': 2, 'rank': 5, 'temperature': 0.2, 'reg': 1e-7}, _LIGHTGCL),
        'gowalla': Preset({'num_layers': 2, 'rank': 5, 'temperature': 0.2, 'reg': 0.0}, _LIGHTGCL),
        'ml-10m': Preset({'num_layers': 2, 'rank': 5, 'temperature': 0.5, 'reg': 1e-7}, _LIGHTGCL),
        'tmall': Preset({'num_layers': 1, 'rank': 5, 'temperature': 0.2, 'reg': 1e-7}, _LIGHTGCL),
        'amazon': Preset({'num_layers': 1, 'rank': 5, 'temperature': 0.1, 'reg': 0.0}, _LIGHTGCL),
    },
    # Official (THUwangcy/DirectAU) on matrix factorisation, and the one on LightGCN of
    # SELFRec. The weight decay of 1e-6 is the default of 'reg'.
    'DirectAU': {
        'beauty': Preset({'num_layers': 0, 'gamma': 0.5}, {'batch_size': 256, 'lr': 1e-3}),
        'gowalla': Preset({'num_layers': 0, 'gamma': 5.0}, {'batch_size': 1024, 'lr': 1e-3}),
        'yelp': Preset({'num_layers': 0, 'gamma': 1.0}, {'batch_size': 1024, 'lr': 1e-3}),
        'yelp2018': Preset({'num_layers': 3, 'gamma': 2.0}, _ADAM),
    },
}
