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
from graphrec.unlearn.fresh_rows import copy_on, fresh_rows, fresh_seed, put_rows
from graphrec.unlearn.methods import METHODS, method_options
from graphrec.unlearn.monitor import Monitor
from graphrec.unlearn.peak_memory import watch_memory
from graphrec.unlearn.report import ForgetReport
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.unlearn.task import Outcome, Task, fit_settings

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
    parameter, unless the method found that none has to: a pair that scores no higher than held-out
    pairs like it needs the edit of the graph alone. The status is then what is measured, which for
    a few pairs is ``'not_measurable'``, and the reason says so.

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
        GraphError: If the method, an option or a setting is unknown, or the model was built
            for another graph or other training edges.
    """
    check_model(model, data)
    if compact and (isinstance(model, ShardedRecommender) or method in ('sisa', 'receraser')):
        raise GraphError("a sharded model cannot be compacted; leave out 'compact'")
    request = _Request(model, data, edit, seed, fit, data_edited, golds, progress)
    if method == 'auto':
        result = _by_table(request, auto_options(options))
    else:
        result = _by_method(request, method, options)
    if not compact:
        return result
    graph, id_map = compacted(result.data)
    return ForgetResult(compact_model(result.model, graph, id_map), graph, result.report)


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

    def edited(self) -> EditResult:
        """The edited graph, made now unless it came along."""
        return self.edit.apply(self.data) if self.data_edited is None else self.data_edited


def _by_table(request: _Request, options: AutoOptions) -> ForgetResult:
    begin = time.perf_counter()
    edited = request.edited()
    applied = time.perf_counter() - begin
    request = request._replace(data_edited=edited)

    def run(method: str, settings: dict[str, Any]) -> ForgetResult:
        return _by_method(request, method, settings)

    result: ForgetResult = attempts(run, request_kind(edited, request.model), options)
    result.report.seconds['rebuild'] += applied
    return result


def _by_method(request: _Request, method: str, options: Any) -> ForgetResult:
    model, seed = request.model, request.seed
    if isinstance(model, ShardedRecommender) and method not in SHARD_METHODS:
        raise GraphError(
            f'a sharded model forgets by one of {list(SHARD_METHODS)}, not by {method!r}'
        )
    chosen = method_options(method, options)
    settings = fit_settings(request.fit)
    begin = time.perf_counter()
    edited = request.edited()
    report = ForgetReport(
        request=request.edit.digest(),
        method=method,
        guarantee=METHODS[method].guarantee,
        seed=seed,
        settings={'options': dataclasses.asdict(chosen), 'fit': settings},
        digests={'before': edited.summary.digest_before, 'after': edited.summary.digest_after},
        counts=_counts(edited),
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
    return _finish(report, model, outcome, edited, monitor, before)


def _before(monitor: Monitor, model: Recommender) -> dict[str, float]:
    return {'forget_auc': monitor.auc(model), f'valid_recall@{monitor.k}': monitor.recall(model)}


def _finish(
    report: ForgetReport,
    original: Recommender,
    outcome: Outcome,
    edited: EditResult,
    monitor: Monitor,
    before: dict[str, float] | None = None,
) -> ForgetResult:
    """Measures the result and settles its status."""
    model = outcome.model.eval()
    before = _before(monitor, original) if before is None else before
    report.steps, report.reason = outcome.steps, outcome.reason
    report.notes += outcome.notes
    report.guarantee = outcome.guarantee or report.guarantee
    report.update_norm = update_norm(original, model)
    diverged = report.status == 'diverged' or not _is_finite(model)
    if diverged:
        report.status = 'failed'
        after = dict.fromkeys(before, math.nan)
    else:
        after = {
            'forget_auc': monitor.auc(model),
            f'valid_recall@{monitor.k}': monitor.recall(model),
        }
        unmoved = METHODS[report.method].moves and not outcome.needless and not report.update_norm
        _judge(report, after, before, monitor, model.has_queries, unmoved)
    report.metrics = {
        name: {'before': before[name], 'after': after[name]}
        for name in before
        if not (math.isnan(before[name]) and math.isnan(after[name]))
    }
    if monitor.measures_forgetting:
        report.metrics['forget_auc']['half_width'] = monitor.half_width
    report.seconds['evaluation'] = monitor.seconds
    return ForgetResult(model, edited.data if outcome.data is None else outcome.data, report)


def _judge(
    report: ForgetReport,
    after: dict[str, float],
    before: dict[str, float],
    monitor: Monitor,
    reads_queries: bool,
    unmoved: bool,
) -> None:
    auc, recall = after['forget_auc'], after[f'valid_recall@{monitor.k}']
    floor = (1 - monitor.epsilon) * before[f'valid_recall@{monitor.k}']
    if report.guarantee == 'S':
        report.status = 'under_forgotten'
    elif report.guarantee == 'E':
        report.status = 'passed'
    elif unmoved:
        report.status = 'failed'
        report.reason += '; no parameter changed'
    elif recall < floor:
        report.status = 'utility_loss'
        report.reason += f'; validation recall fell below {floor:.4f}'
    elif monitor.measures_forgetting:
        side = monitor.side(auc)
        report.status = {0: 'passed', 1: 'under_forgotten', -1: 'over_forgotten'}[side]
    elif monitor.served.size(1) or not monitor.measures_utility:
        report.status = 'not_measurable'
        report.reason += '; too few held-out pairs to compare with'
    elif reads_queries and monitor.served_searches:
        report.status = 'not_measurable'
        report.reason += '; what searches alone had taught is not measured here'
    else:
        report.status = 'passed'
        report.notes.append(
            'no trained row scores what was forgotten any more: the status rests on the rows '
            'that were drawn anew and on validation recall'
        )


@torch.no_grad()
def update_norm(before: Recommender, after: Recommender) -> float:
    r""":math:`\|\theta_u - \theta_0\|_2` over the parameters that both models have."""
    old = dict(before.named_parameters())
    total = sum(
        float((value - old[name]).double().square().sum())
        for name, value in after.named_parameters()
        if name in old and old[name].shape == value.shape
    )
    return math.sqrt(total)


def _is_finite(model: Recommender) -> bool:
    return all(bool(torch.isfinite(p.detach()).all()) for p in model.parameters())


def _counts(edited: EditResult) -> dict[str, int]:
    forget = edited.forget
    return {
        'pairs': forget.pairs.size(1),
        'users': forget.users.numel(),
        'items': forget.items.numel(),
        'queries': forget.queries.numel(),
        'users_left_with_nothing': forget.emptied.numel(),
        'modality_cells': sum(each.numel() for each in forget.modality_cells.values()),
    }
