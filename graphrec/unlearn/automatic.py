"""Which method for which request: a table, one retry, and retraining where it is allowed."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from graphrec.errors import GraphError
from graphrec.graphs.schema import train_edges
from graphrec.models.recommender import Recommender
from graphrec.unlearn.forget_set import EditResult
from graphrec.unlearn.monitor import served_pairs
from graphrec.unlearn.report import ForgetReport


@dataclasses.dataclass(frozen=True)
class AutoOptions:
    """Options of ``method='auto'``.

    Attributes:
        retrain: Whether to retrain where no attempt passed; by default the best attempt is
            returned with its status, since only the caller knows what retraining costs.
    """

    retrain: bool = False


_MATCH: dict[str, Any] = {
    'distillation': 4.0,
    'emphasis': 1.0,
    'multiplier': 0.5,
    'forget_weight': 1.5,
    'retain_weight': 0.0,
    'lr_relative': 0.04,
    'shared_scale': 0.1,
    'trainable': 'touched',
    'hops': 0,
    'forget_batch': 8192,
    'decay': True,
    'stop': False,
}
_MATCH_FEATURES = _MATCH | {
    'distillation': 6.0,
    'forget_weight': 2.0,
    'lr_relative': 0.07,
    'forget_batch': 1024,
    'steps': 300,
}

#: Of the retries.
_HARDER: dict[str, Any] = {'emphasis': 2.0, 'multiplier': 1.0}
_FIRM = _MATCH | _HARDER | {'distillation': 64.0}
_FIRM_FEATURES = _MATCH_FEATURES | _HARDER | {'distillation': 96.0}

_FEW = 0.005  # Of the training interactions.
_ENOUGH = 0.98  # Of the validation recall.
_ENDS = ('passed', 'not_measurable', 'noop')

#: Attempts in turn, by kind of request. The second one is another schedule of the first. All was
#: chosen on draws of requests of their own, by validation edges. What each setting is worth beside
#: others, and where models stand that were retrained on the same draws, is in
#: ``docs/unlearning-choice.md``, made by ``benchmarks/unlearning_choice.py``.
#:
#: ``'interactions'``: forgotten pairs are still served, so their scores have to come down to
#: the held-out level and no further. Matching conditional quantiles of held-out pairs with
#: distillation has that level as its optimum, so it runs all its steps, whatever the stop rule
#: says on the way.
#:
#: * Emphasis on the top of the scores keeps recall, and a multiplier makes up for what it holds
#:   back: without both, validation recall is lower by 0.000 to 0.003 on five draws of lastfm-2k-mm,
#:   and the area ends at 0.505 to 0.507 instead of 0.497 to 0.500 (retrained 0.500 to 0.504).
#: * Half of the steps do not arrive (0.509 to 0.513). The model's own loss takes time and changes
#:   nothing. Marginal quantiles leave 0.002 to 0.004 less of the recall.
#: * Only rows of users and items of forgotten pairs move. Within one request it hardly matters
#:   (recall on ml-1m is 0.199 instead of 0.200); a stream of single requests should gain, since
#:   Adam moves every row that it may by its rate, however small the gradient.
#: * The rate is a share of the root mean square of the rows, since that of training belongs to its
#:   batches: on ml-1m eight times that leaves a distance of scores of 0.014 instead of 0.007.
#: * What has no rows (projections, attention) goes at a tenth of it: it moves every score. At one
#:   rate LIRDRec is left with a recall of 0.371 instead of 0.386.
#:
#: The retry takes its time: it holds the rest sixteen times as hard, and the multiplier brings the
#: forgotten pairs down all the same. On TikTok it leaves a distance of scores of 0.054 and a recall
#: of 0.100; 300 steps held as the first attempt leave 0.091 and 0.098 (retrained 0.025 and 0.098).
#:
#: ``'few interactions'``: at most one in two hundred. Few rows move, and arrive sooner: with 0.1 %
#: of lastfm-2k-mm, 150 steps end where 50 do (areas 0.504 and 0.506).
#:
#: ``'interactions, trained features'``: the same of a model that trains features of items as
#: well, which has more to move: FREEDOM on lastfm-2k-mm ends at 0.498 (retrained 0.495). On TikTok
#: the first attempt leaves a distance of 0.156 and the retry 0.062; half of its hold does as well.
#:
#: ``'nodes'``: users or items are gone, or users have nothing left; what remembered them is
#: their row, which is drawn anew. A short repair on retained pairs settles their neighbours, and
#: goes gently, since nothing else has to move.
#: Where it leaves less than 0.98 of the validation recall, the full rate takes its turn: without
#: the 20 % of CURE4Rec's users who did least (retrained 0.294) the edit alone leaves 0.278, the
#: gentle repair 0.282, the full rate 0.291.
#:
#: ``'features'``: no interaction is forgotten. Features are edited, what was built from them
#: is rebuilt, and a repair on retained pairs makes up for the loss. Without the texts of 5 % of
#: the items, FREEDOM's level of these items on lastfm-2k-mm is 0.132 from that of retrained models
#: after the edit alone, 0.113 after 50 steps, 0.095 after 200 and 0.085 after 400 (retrained models
#: from each other: 0.075), and drift grows from 0.120 to 0.135 (0.122).
#:
#: ``'untouched'``: the model is neither built from nor trained on what was removed, see
#: :func:`~graphrec.unlearn.untouched.is_untouched`.
TABLE: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    'interactions': (
        ('heldout_match', _MATCH | {'steps': 150}),
        ('heldout_match', _FIRM | {'steps': 300}),
    ),
    'few interactions': (
        ('heldout_match', _MATCH | {'steps': 50}),
        ('heldout_match', _FIRM | {'steps': 150}),
    ),
    'interactions, trained features': (
        ('heldout_match', _MATCH_FEATURES),
        ('heldout_match', _FIRM_FEATURES),
    ),
    'nodes': (
        ('finetune', {'steps': 50, 'lr_scale': 0.3, 'decay': True}),
        ('finetune', {'steps': 50}),
    ),
    'features': (('finetune', {'steps': 200}), ('finetune', {'steps': 400})),
    'untouched': (('edit_only', {}),),
}

_PREFERENCE = (
    'passed',
    'not_measurable',
    'under_forgotten',
    'over_forgotten',
    'utility_loss',
    'failed',
)


def request_kind(edited: EditResult, model: Recommender) -> str:
    """The row of :data:`TABLE` for a request to a model that can depend on it."""
    forget = edited.forget
    pairs = served_pairs(edited.data, forget).size(1)
    if pairs and model.feature_rows():
        return 'interactions, trained features'
    if pairs:
        few = pairs <= _FEW * (train_edges(edited.data).size(1) + forget.pairs.size(1))
        return 'few interactions' if few else 'interactions'
    if any(each.numel() for each in (forget.users, forget.items, forget.emptied)):
        return 'nodes'
    return 'features'


def auto_options(given: Any) -> AutoOptions:
    """The options from an instance, a mapping or nothing.

    Raises:
        GraphError: If there is no option of that name.
    """
    if isinstance(given, AutoOptions):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise GraphError(f"'options' must be an AutoOptions or a dict for 'auto' (got {given!r})")
    unknown = sorted(set(given or {}) - {'retrain'})
    if unknown:
        raise GraphError(f"'auto' has no option {unknown[0]!r}; its options are ['retrain']")
    return AutoOptions(**dict(given or {}))


def attempts(run: Callable[[str, dict[str, Any]], Any], kind: str, options: AutoOptions) -> Any:
    """Runs the attempts for a request until one passes (where users or items are gone, with
    nearly all of the validation recall), and returns the best of them, whose report tells of the
    others and counts their time.

    Args:
        run: From a method and its options to a result with a ``report``.
        kind: The row of :data:`TABLE`, see :func:`request_kind`.
        options: See :class:`AutoOptions`.
    """
    plan = [*TABLE[kind], *([('gold', {})] if options.retrain else [])]
    results: list[Any] = []
    for method, settings in plan:
        if method == 'gold' and any(result.report.status in _ENDS for result in results):
            break
        results.append(run(method, settings))
        if _is_enough(results[-1].report, kind):
            break
    best = min(results, key=lambda result: _order(result.report))
    others = [result.report for result in results if result is not best]
    report = best.report
    report.attempts = [other.brief() for other in others]
    for other in others:
        for name in ('repair', 'evaluation', 'rebuild'):
            spent = other.seconds.get(name, 0.0)
            report.seconds[name] = report.seconds.get(name, 0.0) + spent
        report.steps += other.steps
    report.notes.append(f'chosen by method="auto" for a request of kind {kind!r}')
    if report.status not in _ENDS:
        report.notes.append('no attempt passed: retrain, or serve this model with its status')
    return best


def _is_enough(report: ForgetReport, kind: str) -> bool:
    if report.status not in _ENDS:
        return False
    return kind != 'nodes' or not _kept(report) < _ENOUGH


def _order(report: ForgetReport) -> tuple[int, float]:
    place = _PREFERENCE.index(report.status) if report.status in _PREFERENCE else 0
    auc = report.metrics.get('forget_auc', {}).get('after', math.nan)
    if report.status == 'utility_loss' or math.isnan(auc):  # The smaller the loss, the better.
        kept = _kept(report)
        return place, math.inf if math.isnan(kept) else -kept
    return place, abs(auc - 0.5)


def _kept(report: ForgetReport) -> float:
    """The share of the validation recall that is left."""
    found = [m for name, m in report.metrics.items() if name.startswith('valid_')]
    return found[0]['after'] / found[0]['before'] if found and found[0]['before'] else math.nan
