"""What ``unlearning_choice.py`` asks: which settings of the default method, on which draws."""

import dataclasses
from typing import Any

from graphrec.unlearn.automatic import TABLE

#: A method and its options.
Answer = tuple[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Question:
    """Candidates for one kind of request, on one data set with one backbone.

    Args:
        name: Unique among the questions of a data set and a backbone.
        data: Name of the data set.
        backbone: One of those of ``unlearning.py`` on it.
        request: As ``unlearning.py`` names it.
        draws: Seeds of the request; 0 is that of the results and never among them. CURE4Rec's
            requests are lists, the same for every seed.
        answers: By label.
        about: What is asked, for the page.
        originals: Models that every answer starts from.
        retrained: Models retrained on every draw.
    """

    name: str
    data: str
    backbone: str
    request: str
    draws: tuple[int, ...]
    answers: dict[str, Answer]
    about: str
    originals: int = 2
    retrained: int = 2


def _changed(kind: str, **changes: Any) -> Answer:
    """The first attempt at a kind of request, with other options."""
    method, options = TABLE[kind][0]
    return method, options | changes


def _attempts(kind: str) -> dict[str, Answer]:
    names = ('**first attempt**', '**second attempt**')
    return dict(zip(names, TABLE[kind], strict=False))


def _variants(kind: str) -> dict[str, Answer]:
    """The edit alone, both attempts, and the first without one thing at a time."""
    return {
        'edit alone': ('edit_only', {}),
        **_attempts(kind),
        'first, no emphasis and no multiplier': _changed(kind, emphasis=0.0, multiplier=0.0),
        'first, all rows move': _changed(kind, trainable='all'),
        "first, with the model's own loss": _changed(kind, retain_weight=0.5),
        'first, marginal quantiles': _changed(kind, target='marginal'),
        'first, half the steps': _changed(kind, steps=TABLE[kind][0][1]['steps'] // 2),
        'first, eight times the rate of training': _changed(kind, lr_relative=None, lr_scale=8.0),
    }


_PAIRS = _variants('interactions')
_FEATURES = 'interactions, trained features'
_FEW = {
    '50 steps': _changed('few interactions', steps=50),
    '150 steps': _changed('few interactions', steps=150),
}
_NODES = {'edit alone': ('edit_only', {})} | _attempts('nodes')

QUESTIONS = (
    Question(
        'pairs', 'lastfm-2k-mm', 'LightGCN', 'interactions-5', (7, 8, 9, 10, 11), _PAIRS,
        'Forgotten pairs that can be served again, of a model of rows alone.',
    ),
    Question(
        'few', 'lastfm-2k-mm', 'LightGCN', 'interactions-0.1', (7,), _FEW,
        'How many steps a request of at most 0.5 % of the interactions needs.',
    ),
    Question(
        'few', 'lastfm-2k-mm', 'LightGCN', 'interactions-1', (7,), _FEW,
        'The same above that limit, where 150 are taken.',
    ),
    Question(
        'pairs', 'tiktok', 'LightGCN', 'interactions-5', (7,),
        {name: _PAIRS[name] for name in ('edit alone', *_attempts('interactions'))}
        | {
            'first, 300 steps': _changed('interactions', steps=300),
            'first, all rows move': _PAIRS['first, all rows move'],
        },
        'Whether the second attempt should hold the rest harder or only take longer.',
    ),
    Question(
        'nodes', 'cure4rec-ml-100k', 'LightGCN', 'edge-20', (7,), _NODES,
        'Repair once users are gone, where the edit alone loses much. The request is the '
        "set's own list, that of the results; here it is judged by validation edges.",
        originals=3,
    ),
    Question(
        'nodes', 'ml-1m', 'LightGCN', 'items-5', (7,), _NODES,
        'Repair once items are gone, where the edit alone loses nothing.',
    ),
    Question(
        'pairs', 'ml-1m', 'LightGCN', 'interactions-5', (7,),
        {name: _PAIRS[name] for name in _PAIRS if 'half' not in name and 'second' not in name},
        'Pairs of a large set, trained with batches of 16,384: the rate has to be a share of the '
        'rows.',
    ),
    Question(
        'pairs', 'lastfm-2k-mm', 'FREEDOM', 'interactions-5', (7,),
        {name: answer for name, answer in _variants(_FEATURES).items() if 'half' not in name},
        'Pairs of a model that trains features of items as well.',
    ),
    Question(
        'features', 'lastfm-2k-mm', 'FREEDOM', 'image-5', (7,),
        {
            'edit alone': ('edit_only', {}),
            '50 steps': ('finetune', {'steps': 50}),
            **_attempts('features'),
        },
        'Repair after features are gone.',
        retrained=3,
    ),
    Question(
        'pairs', 'tiktok', 'FREEDOM', 'interactions-5', (7,),
        {
            'edit alone': ('edit_only', {}),
            **_attempts(_FEATURES),
            'second, half the hold': (
                'heldout_match', TABLE[_FEATURES][1][1] | {'distillation': 48.0},
            ),
        },
        'How hard the second attempt has to hold the rest.',
    ),
    Question(
        'nodes', 'tiktok', 'FREEDOM', 'items-5', (7,), _NODES,
        'Repair once items are gone, of a model that trains features as well.',
    ),
    Question(
        'pairs', 'lastfm-2k-mm', 'LIRDRec', 'interactions-5', (7,),
        _attempts('interactions')
        | {'first, one rate for everything': _changed('interactions', shared_scale=1.0)},
        'The rate of parameters that have no rows of nodes.',
    ),
)  # fmt: skip
