import numpy as np
import pandas as pd
import pytest
from scipy import stats

from graphrec.errors import GraphError
from graphrec.evaluation import Evaluation
from graphrec.significance import paired_test


def evaluation(values, users=None):
    users = list(range(len(values))) if users is None else users
    table = pd.DataFrame({'user': users, 'num_heldout': 1, 'ndcg@20': values})
    mean = {'ndcg@20': float(np.mean(values))}
    return Evaluation(mean, per_user=table, dropped={}, notes={}, protocol='')


def test_by_hand():
    # Differences 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, t = 0.2 / (0.1 / sqrt 3).
    result = paired_test(evaluation([0.5, 0.6, 0.7]), evaluation([0.4, 0.4, 0.4]))
    assert result.difference == pytest.approx(0.2)
    assert result.statistic == pytest.approx(2 * 3**0.5)
    assert result.p_value == pytest.approx(0.0741799)
    assert result.num_users == 3


def test_users_are_aligned_by_id():
    a = evaluation([0.1, 0.9, 0.4, 0.3], users=['p', 'q', 'r', 's'])
    b = evaluation([0.2, 0.5, 0.2, 0.7], users=['r', 'q', 'p', 't'])
    result = paired_test(a, b)
    expected = stats.ttest_rel([0.1, 0.9, 0.4], [0.2, 0.5, 0.2])
    assert result.num_users == 3
    assert result.statistic == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue)


def test_wilcoxon():
    a, b = np.random.default_rng(0).random((2, 30))
    result = paired_test(evaluation(a), evaluation(b), test='wilcoxon')
    assert result.p_value == pytest.approx(stats.wilcoxon(a, b).pvalue)


@pytest.mark.parametrize('test', ['t', 'wilcoxon'])
def test_equal_values(test):
    same = evaluation([0.2, 0.4])
    assert paired_test(same, same, test=test) == (0.0, 1.0, 0.0, 2)


def test_constant_difference():
    result = paired_test(evaluation([0.25, 0.5]), evaluation([0.75, 1.0]))
    assert result == (-0.5, 0.0, -np.inf, 2)


def test_bad_input():
    a = evaluation([0.1, 0.2])
    with pytest.raises(GraphError, match=r"'metric' is 'recall@20'.*ndcg@20"):
        paired_test(a, a, metric='recall@20')
    with pytest.raises(GraphError, match='only 0 users'):
        paired_test(a, evaluation([0.1, 0.2], users=['x', 'y']))
    with pytest.raises(GraphError, match="'test'"):
        paired_test(a, a, test='z')
