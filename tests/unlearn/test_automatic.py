import math
from types import SimpleNamespace

import pytest

import graphrec
from graphrec import unlearn
from graphrec.models import FREEDOM, LightGCN
from graphrec.unlearn.automatic import (
    TABLE,
    AutoOptions,
    attempts,
    auto_options,
    request_kind,
)
from graphrec.unlearn.methods import method_options
from graphrec.unlearn.report import ForgetReport


@pytest.fixture(scope='module')
def data():
    return graphrec.datasets.planted(40, 30, num_interactions=300, num_communities=2, seed=0)


def pairs(data):
    return data['user', 'interacts', 'item'].edge_index[:, :3].t().tolist()


def test_kinds_of_requests(data):
    interactions = unlearn.RemoveInteractions(pairs(data))
    edges = data['user', 'interacts', 'item'].edge_index
    everything = edges[:, edges[0] == edges[0, 0]].t().tolist()
    for edit, kind in (
        (interactions, 'interactions'),
        (unlearn.RemoveInteractions(pairs(data)[:1]), 'few interactions'),
        (unlearn.RemoveInteractions(everything), 'nodes'),
        (unlearn.RemoveUsers([1]), 'nodes'),
        (unlearn.RemoveItems([1]), 'nodes'),
        (unlearn.RemoveModality('visual', items=[1]), 'features'),
        (interactions | unlearn.RemoveUsers([39]), 'interactions'),
        (unlearn.RemoveUsers([1]) | unlearn.RemoveModality('text'), 'nodes'),
    ):
        assert request_kind(edit.apply(data), LightGCN.from_graph(data, dim=4)) == kind


def test_models_that_train_features_have_a_row_of_their_own(data):
    edited = unlearn.RemoveInteractions(pairs(data)).apply(data)
    for freeze, kind in ((False, 'interactions, trained features'), (True, 'interactions')):
        model = FREEDOM.from_graph(data, dim=4, freeze_features=freeze)
        assert request_kind(edited, model) == kind


def test_the_table_names_methods_and_options_that_exist():
    for plan in TABLE.values():
        for method, options in plan:
            method_options(method, options)


def runner(*found):
    """Runs that end with these statuses and areas, and what was asked of them."""
    asked, left = [], list(found)

    def run(method, options):
        status, auc = left.pop(0)
        asked.append(method)
        report = ForgetReport('digest', method, 'A', status=status, steps=5)
        report.seconds = {'repair': 1.0, 'evaluation': 0.5, 'rebuild': 0.25}
        report.metrics = {'forget_auc': {'before': 0.9, 'after': auc}}
        return SimpleNamespace(report=report)

    return run, asked


def test_it_stops_at_the_first_that_passes():
    run, asked = runner(('passed', 0.5))
    result = attempts(run, 'interactions', AutoOptions())
    assert asked == ['heldout_match']
    assert result.report.attempts == []
    assert result.report.seconds['repair'] == 1


def test_the_retry_of_a_match_holds_the_rest_harder():
    for kind, plan in TABLE.items():
        if plan[0][0] == 'heldout_match':
            (_, first), (_, second) = plan
            for name in ('distillation', 'emphasis', 'multiplier'):
                assert second[name] > first[name], (kind, name)


def test_the_best_attempt_is_kept_and_all_are_counted():
    run, asked = runner(('under_forgotten', 0.7), ('under_forgotten', 0.6))
    result = attempts(run, 'interactions', AutoOptions())
    assert len(asked) == 2
    report = result.report
    assert report.metrics['forget_auc']['after'] == 0.6
    assert report.seconds == {'repair': 2.0, 'evaluation': 1.0, 'rebuild': 0.5}
    assert report.steps == 10
    assert [attempt['status'] for attempt in report.attempts] == ['under_forgotten']
    assert any('retrain' in note for note in report.notes)


def test_a_loss_of_utility_is_worse_than_too_little():
    run, _ = runner(('under_forgotten', 0.8), ('utility_loss', 0.5))
    assert attempts(run, 'interactions', AutoOptions()).report.status == 'under_forgotten'


def test_of_two_losses_of_utility_the_smaller_is_kept():
    run, _ = runner(('utility_loss', 0.5), ('utility_loss', 0.6))
    recall = iter([0.2, 0.3])

    def noted(method, options):
        result = run(method, options)
        result.report.metrics['valid_recall@20'] = {'before': 0.4, 'after': next(recall)}
        return result

    report = attempts(noted, 'interactions', AutoOptions()).report
    assert report.metrics['valid_recall@20']['after'] == 0.3


@pytest.mark.parametrize(
    ('kind', 'recalls', 'asked', 'kept'),
    [
        ('nodes', [0.395], 1, 0.395),
        ('nodes', [0.385, 0.39], 2, 0.39),
        ('nodes', [0.385, 0.37], 2, 0.385),
        ('features', [0.385], 1, 0.385),
    ],
)
@pytest.mark.parametrize('retrain', [False, True])
def test_without_users_or_items_most_of_the_recall_has_to_stay(kind, recalls, asked, kept, retrain):
    run, methods = runner(*[('passed', math.nan)] * len(recalls))
    left = iter(recalls)

    def noted(method, options):
        result = run(method, options)
        result.report.metrics['valid_recall@20'] = {'before': 0.4, 'after': next(left)}
        return result

    report = attempts(noted, kind, AutoOptions(retrain=retrain)).report
    assert methods == ['finetune'] * asked
    assert report.metrics['valid_recall@20']['after'] == kept


def test_retraining_comes_last_and_only_if_allowed():
    run, asked = runner(('failed', 0.5), ('utility_loss', 0.5), ('passed', 0.5))
    result = attempts(run, 'interactions', AutoOptions(retrain=True))
    assert asked[-1] == 'gold'
    assert result.report.method == 'gold'


def test_options():
    assert auto_options(None) == AutoOptions()
    assert auto_options({'retrain': True}).retrain
    with pytest.raises(graphrec.GraphError, match='no option'):
        auto_options({'steps': 3})
    with pytest.raises(graphrec.GraphError, match='must be'):
        auto_options(3)
