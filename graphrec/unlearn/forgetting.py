"""The one call that forgets: edit, copy, repair, check."""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError, TrainingError
from graphrec.models.recommender import Recommender
from graphrec.unlearn.automatic import AutoOptions, attempts, auto_options, request_kind
from graphrec.unlearn.built_for import check_model
from graphrec.unlearn.compact_model import compact_model
from graphrec.unlearn.compacting import compacted
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.forget_set import EditResult
from graphrec.unlearn.fresh_rows import Rows, copy_on, fresh_rows, fresh_seed, put_rows
from graphrec.unlearn.methods import METHODS, method_options
from graphrec.unlearn.monitor import Monitor
from graphrec.unlearn.nothing_left import check_left
from graphrec.unlearn.peak_memory import watch_memory
from graphrec.unlearn.report import ForgetReport, utc_now
from graphrec.unlearn.run_status import Change, same_scores, settle_status, update_norm
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.unlearn.taken import other_counts
from graphrec.unlearn.task import Outcome, Task, fit_settings
from graphrec.unlearn.untouched import UNTOUCHED, is_untouched

#: What forgets in a :class:`~graphrec.unlearn.sharded.ShardedRecommender`.
SHARD_METHODS = ('sisa', 'receraser', 'suppress')


@dataclasses.dataclass
class ForgetResult:
    """What :func:`forget` returns.

    Attributes:
        model: The new model, in evaluation mode.
        data: The graph that it belongs to.
        report: What was done and measured.
    """

    model: Recommender
    data: HeteroData
    report: ForgetReport


def forget(
    model: Recommender,
    data: HeteroData,
    edit: Edit,
    method: str = 'auto',
    *,
    seed: int = 0,
    fit: Mapping[str, Any] | None = None,
    options: Any = None,
    data_edited: EditResult | None = None,
    golds: Sequence[Recommender] = (),
    compact: bool = False,
    progress: bool = False,
) -> ForgetResult:
    r"""Makes a trained model forget what :obj:`edit` removes from its graph.

    1. The edit is applied. 2. The parameters move to a model built for the edited graph, so
    that no derived structure of the old one is left. 3. Rows of removed nodes, of users that
    lost all that they had, and feature rows of removed modalities that a model trains, become
    a fresh draw of the model's own initialiser. 4. The method repairs the rest, with a new
    optimiser. 5. Cheap checks give the status; :func:`graphrec.unlearn.audit` has the last
    word. Models in closed form are built anew, which is exact.

    A run that met a number that is not finite is ``'failed'``, and so is one that changed no
    parameter (``'edit_only'``: no parameter and no score) besides rows that were drawn anew, unless
    none has to change: a pair that scores no higher than held-out pairs like it needs the edit of
    the graph alone, and a pair of a removed user or item, whose row is a fresh draw, needs no step.
    The status is then what is measured, which for a few pairs is ``'not_measurable'``, and the
    reason says so.

    What a model is neither built from nor trained on (an attribute or a behaviour that it does not
    read, held-out pairs) it cannot have learned: such a request gets the edit alone, and
    ``'passed'``, from any method but retraining and the filter of serving.

    The model and the graph that come in are never changed. Same seed, same bits.

    Args:
        model: A trained model of :mod:`graphrec.models`.
        data: The graph that it was trained on.
        edit: What to forget.
        method: One of :data:`graphrec.unlearn.METHODS`, or ``'auto'``.
        seed: Of every random choice.
        fit: Settings of :func:`graphrec.fit` that the model was trained with (``epochs``,
            ``lr``, ``batch_size``, ...): retraining uses all of them, repairs the learning
            rate, the batch size and the optimiser. What is omitted is the default of ``fit``.
        options: Options of the method: a dict, or an instance of its class of options.
        data_edited: ``edit.apply(data)``, where it was computed already.
        golds: Retrained models on the edited graph, three at least: a repair then stops, and
            the status says, where forgotten pairs score as under them (audit mode), instead
            of where they score as held-out pairs do.
        compact: Whether removed nodes are dropped from the model and the graph that are
            returned and the others numbered anew, so that not even an id is left. Such a
            model has to be audited before: see
            :func:`~graphrec.unlearn.compact_model.expanded_model`.
        progress: Whether training shows a progress bar.

    Raises:
        GraphError: If the method, an option or a setting is unknown, the model was built for
            another graph or other training edges, or the edit leaves nothing to learn from.
    """
    received = utc_now()
    check_model(model, data)
    if compact and (isinstance(model, ShardedRecommender) or method in ('sisa', 'receraser')):
        raise GraphError("a sharded model cannot be compacted; leave out 'compact'")
    request = _Request(model, data, edit, seed, fit, data_edited, golds, progress)
    if method == 'auto':
        result = _by_table(request, auto_options(options))
    else:
        result = _by_method(request, method, options)
    result.report.received_at, result.report.unlearned_at = received, utc_now()
    if not compact:
        return result
    graph, id_map = compacted(result.data)
    return ForgetResult(compact_model(result.model, graph, id_map), graph, result.report)


def check_method(model: Recommender, method: str) -> None:
    """Raises :class:`GraphError` if the model is sharded and the method is none of shards."""
    if isinstance(model, ShardedRecommender) and method not in SHARD_METHODS:
        raise GraphError(
            f'a sharded model forgets by one of {list(SHARD_METHODS)}, not by {method!r}'
        )


class _Request(NamedTuple):
    """What all attempts have in common, see :func:`forget`."""

    model: Recommender
    data: HeteroData
    edit: Edit
    seed: int
    fit: Mapping[str, Any] | None
    data_edited: EditResult | None
    golds: Sequence[Recommender]
    progress: bool
    untouched: bool | None = None

    def edited(self) -> EditResult:
        """The edited graph, made now unless it came along."""
        return self.edit.apply(self.data) if self.data_edited is None else self.data_edited


def _by_table(request: _Request, options: AutoOptions) -> ForgetResult:
    begin = time.perf_counter()
    edited = request.edited()
    applied = time.perf_counter() - begin
    untouched = _is_untouched(request, edited)
    request = request._replace(data_edited=edited, untouched=untouched)
    kind = 'untouched' if untouched else request_kind(edited, request.model)

    def run(method: str, settings: dict[str, Any]) -> ForgetResult:
        return _by_method(request, method, settings)

    result: ForgetResult = attempts(run, kind, options)
    result.report.seconds['rebuild'] += applied
    return result


def _is_untouched(request: _Request, edited: EditResult) -> bool:
    if request.untouched is not None:
        return request.untouched
    if edited.summary.noop or not request.model.is_trainable:
        return False
    return is_untouched(request.model, request.data, edited.data, edited.forget)


def _by_method(request: _Request, method: str, options: Any) -> ForgetResult:
    model, seed = request.model, request.seed
    check_method(model, method)
    chosen = method_options(method, options)
    settings = fit_settings(request.fit)
    begin = time.perf_counter()
    edited = request.edited()
    if not edited.summary.noop:
        check_left(edited.data, model.has_queries)
    report = ForgetReport(
        request=request.edit.digest(),
        method=method,
        guarantee=METHODS[method].guarantee,
        seed=seed,
        settings={'options': dataclasses.asdict(chosen), 'fit': settings},
        digests={'before': edited.summary.digest_before, 'after': edited.summary.digest_after},
        counts=_counts(request.edit, edited),
    )
    copy, features = copy_on(model, edited.data)
    if edited.summary.noop:
        report.status, report.reason = 'noop', 'the graph holds nothing of what the edit asks for'
        report.seconds = {'repair': 0.0, 'rebuild': time.perf_counter() - begin, 'evaluation': 0.0}
        return ForgetResult(copy, edited.data, report)
    monitor = Monitor(edited.data, edited.forget, seed=seed, golds=request.golds)
    closed_form = not model.is_trainable and not isinstance(model, ShardedRecommender)
    if closed_form and method != 'suppress':
        report.guarantee = 'E'
        report.seconds = {'repair': 0.0, 'rebuild': time.perf_counter() - begin}
        outcome = Outcome(copy, 0, 'a model in closed form was built anew')
        return _finish(report, model, outcome, edited, monitor)
    if METHODS[method].is_repair and _is_untouched(request, edited):
        report.seconds = {'repair': 0.0, 'rebuild': time.perf_counter() - begin}
        outcome = _edit_alone(copy, edited)
        return _finish(report, model, outcome, edited, monitor, untouched=True)
    rows = fresh_rows(copy, edited.forget, fresh_seed(seed), features)
    put_rows(copy, rows)
    report.seconds['rebuild'] = time.perf_counter() - begin
    before = _before(monitor, model)
    checked = monitor.seconds
    task = Task(
        copy,
        edited.data,
        edited.forget,
        model,
        request.data,
        settings,
        seed,
        monitor,
        rows,
        request.progress,
    )
    begin, peak = time.perf_counter(), watch_memory(task.device)
    try:
        outcome = METHODS[method].run(task, chosen)
    except TrainingError as error:
        outcome = Outcome(copy, 0, str(error))
        task.settle()
        report.status = 'diverged'
    spent = time.perf_counter() - begin - (monitor.seconds - checked)
    report.peak_bytes = peak()
    report.seconds['repair'] = max(0.0, spent - outcome.evaluation - outcome.preparation)
    if outcome.preparation:
        report.seconds['preparation'] = outcome.preparation
    monitor.seconds += outcome.evaluation
    return _finish(report, model, outcome, edited, monitor, before, rows)


def _edit_alone(model: Recommender, edited: EditResult) -> Outcome:
    """Of a request that the model cannot depend on."""
    notes = []
    if 'valid' in edited.forget.heldout:
        notes.append(
            'validation pairs were removed: if training stopped by them, they had a say in when'
        )
    guarantee = 'A' if notes else 'E'
    return Outcome(model, 0, UNTOUCHED, notes, guarantee=guarantee, needless=True)


def _before(monitor: Monitor, model: Recommender) -> dict[str, float]:
    return {'forget_auc': monitor.auc(model), f'valid_recall@{monitor.k}': monitor.recall(model)}


def _finish(
    report: ForgetReport,
    original: Recommender,
    outcome: Outcome,
    edited: EditResult,
    monitor: Monitor,
    before: dict[str, float] | None = None,
    rows: Rows | None = None,
    untouched: bool = False,
) -> ForgetResult:
    """Measures the result and settles its status."""
    model = outcome.model.eval()
    before = _before(monitor, original) if before is None else before
    report.steps, report.reason = outcome.steps, outcome.reason
    report.notes += outcome.notes
    report.guarantee = outcome.guarantee or report.guarantee
    report.needless = outcome.needless
    report.update_norm = update_norm(original, model, rows)
    diverged = report.status == 'diverged' or not _is_finite(model)
    if diverged:
        report.status = 'failed'
        after = dict.fromkeys(before, math.nan)
    else:
        after = {
            'forget_auc': monitor.auc(model),
            f'valid_recall@{monitor.k}': monitor.recall(model),
        }
        stepped = report.update_norm > 0
        idle = not stepped and _is_idle(report.method, original, outcome, edited, monitor, rows)
        change = Change(idle, bool(rows), stepped, untouched)
        settle_status(report, after, before, monitor, model.has_queries, change)
    report.metrics = {
        name: {'before': before[name], 'after': after[name]}
        for name in before
        if not (math.isnan(before[name]) and math.isnan(after[name]))
    }
    if monitor.measures_forgetting:
        report.metrics['forget_auc']['half_width'] = monitor.half_width
    report.seconds['evaluation'] = monitor.seconds
    return ForgetResult(model, edited.data if outcome.data is None else outcome.data, report)


def _is_idle(
    method: str,
    original: Recommender,
    outcome: Outcome,
    edited: EditResult,
    monitor: Monitor,
    rows: Rows | None,
) -> bool:
    """Whether a run that moved no parameter had to."""
    served = monitor.served.size(1) > 0
    if METHODS[method].by_graph:
        users = edited.forget.pairs[0].unique().to(monitor.served.device)
        return served and not rows and same_scores(original, outcome.model, users)
    if not METHODS[method].moves or outcome.needless:
        return False
    return served or outcome.steps > 0 or not rows  # A fresh draw needs no step.


def _is_finite(model: Recommender) -> bool:
    return all(bool(torch.isfinite(p.detach()).all()) for p in model.parameters())


def _counts(edit: Edit, edited: EditResult) -> dict[str, int]:
    forget = edited.forget
    return {
        'pairs': forget.pairs.size(1),
        'users': forget.users.numel(),
        'items': forget.items.numel(),
        'queries': forget.queries.numel(),
        'users_left_with_nothing': forget.emptied.numel(),
        'modality_cells': sum(each.numel() for each in forget.modality_cells.values()),
        **other_counts(edit, edited),
    }
