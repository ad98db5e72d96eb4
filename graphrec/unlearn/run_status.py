"""How a run of unlearning ended: what changed, and the status of what was measured."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from graphrec.models.recommender import Recommender
from graphrec.unlearn.fresh_rows import Rows
from graphrec.unlearn.monitor import Monitor
from graphrec.unlearn.report import ForgetReport

_CHUNK = 256


class Change(NamedTuple):
    """What a run did to the model.

    Attributes:
        idle: Whether it changed nothing although something had to change.
        drawn: Whether rows of removed nodes were drawn anew.
        stepped: Whether anything else moved.
        untouched: Whether the model cannot depend on what was removed, see
            :func:`~graphrec.unlearn.untouched.is_untouched`.
    """

    idle: bool
    drawn: bool
    stepped: bool
    untouched: bool = False


def settle_status(
    report: ForgetReport,
    after: Mapping[str, float],
    before: Mapping[str, float],
    monitor: Monitor,
    reads_queries: bool,
    change: Change,
) -> None:
    """Writes the status into the report and adds to its reason."""
    auc, recall = after['forget_auc'], after[f'valid_recall@{monitor.k}']
    floor = (1 - monitor.epsilon) * before[f'valid_recall@{monitor.k}']
    if report.guarantee == 'S':
        report.status = 'under_forgotten'
        return
    if report.guarantee == 'E' or change.untouched:
        report.status = 'passed'
        return
    if change.drawn and not change.stepped:
        report.reason += '; only rows were drawn anew'
        report.reason += '' if report.steps else ', no step was taken'
    if change.idle:
        report.status = 'failed'
        report.reason += '; no parameter changed' + (' besides' if change.drawn else '')
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
        report.notes.append(_rests_on(change))


def _rests_on(change: Change) -> str:
    if change.drawn:
        return (
            'no trained row scores what was forgotten any more: the status rests on the rows '
            'that were drawn anew and on validation recall'
        )
    return 'no interaction was forgotten: the status rests on validation recall alone'


@torch.no_grad()
def update_norm(before: Recommender, after: Recommender, apart: Rows | None = None) -> float:
    r""":math:`\|\theta_u - \theta_0\|_2` over the parameters that both models have, apart from
    the given rows."""
    old, apart = dict(before.named_parameters()), apart or {}
    total = 0.0
    for name, value in after.named_parameters():
        if name not in old or old[name].shape != value.shape:
            continue
        gap = (value - old[name]).double()
        if name in apart:
            gap[apart[name][0]] = 0.0
        total += float(gap.square().sum())
    return math.sqrt(total)


@torch.no_grad()
def same_scores(first: Recommender, second: Recommender, users: Tensor) -> bool:
    """Whether two models give these users :math:`(n)` the same scores of all items, bit by
    bit."""
    rankers = first.ranker(), second.ranker()
    return all(torch.equal(*(ranker(part) for ranker in rankers)) for part in users.split(_CHUNK))
