r"""Whether the difference between two evaluations could be chance."""

from typing import NamedTuple

import numpy as np

from graphrec.errors import GraphError
from graphrec.evaluation import Evaluation


class PairedTest(NamedTuple):
    r"""Result of :func:`paired_test`.

    Attributes:
        difference: Mean over users of the first minus the second.
        p_value: Probability of a difference at least so large if there were none.
        statistic: Student's t, or Wilcoxon's W.
        num_users: Users that are in both.
    """

    difference: float
    p_value: float
    statistic: float
    num_users: int


def paired_test(
    a: Evaluation, b: Evaluation, metric: str = 'ndcg@20', test: str = 't'
) -> PairedTest:
    r"""Two-sided paired test over the users of both evaluations, aligned by user id.

    With the differences :math:`d_u` of :math:`n` users, Student's statistic is
    :math:`t = \sqrt{n}\, \bar d / s_d`; Wilcoxon's compares ranks of :math:`|d_u|` and
    does not assume that means are normally distributed.

    Args:
        a: One evaluation.
        b: The other, on the same split.
        metric: A per-user column of both.
        test: ``'t'`` or ``'wilcoxon'``.

    Raises:
        GraphError: If a side lacks the metric, or fewer than two users are in both.
    """
    from scipy import stats  # Half a second that other uses of the package need not pay.

    for name, side in (('a', a), ('b', b)):
        if metric not in side.per_user or metric in ('user', 'num_heldout'):
            has = [column for column in side.per_user if column not in ('user', 'num_heldout')]
            raise GraphError(
                f"'metric' is {metric!r}, but {name!r} has no such value a user (it has "
                f'{has}); evaluate with metrics=[{metric.split("@")[0]!r}] and that k'
            )
    if test not in ('t', 'wilcoxon'):
        raise GraphError(f"'test' needs to be 't' or 'wilcoxon' (got {test!r})")
    first, second = (side.per_user.set_index('user')[metric] for side in (a, b))
    first, second = first.align(second, join='inner')
    if len(first) < 2:
        raise GraphError(
            f'only {len(first)} users are in both evaluations; a paired test needs at least 2 '
            '(evaluate both models on the same data and split)'
        )
    gap = (first - second).to_numpy(dtype=float)
    if not gap.any():
        return PairedTest(0.0, 1.0, 0.0, len(gap))
    if np.ptp(gap) == 0 and test == 't':  # No spread: t is infinite.
        return PairedTest(float(gap[0]), 0.0, float(np.copysign(np.inf, gap[0])), len(gap))
    result = stats.ttest_rel(first, second) if test == 't' else stats.wilcoxon(gap)
    return PairedTest(float(gap.mean()), float(result.pvalue), float(result.statistic), len(gap))
