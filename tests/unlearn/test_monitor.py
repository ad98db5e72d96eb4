import math

import pytest
import torch

import graphrec
from graphrec import unlearn
from graphrec.unlearn.monitor import MIN_PAIRS, Monitor, served_pairs


@pytest.fixture(scope='module')
def data():
    return graphrec.datasets.planted(80, 60, num_interactions=1600, num_communities=3, seed=2)


@pytest.fixture(scope='module')
def edited(data):
    pairs = data['user', 'interacts', 'item'].edge_index[:, ::12].t().tolist()
    edit = unlearn.RemoveInteractions(pairs) | unlearn.RemoveUsers([4]) | unlearn.RemoveItems([7])
    return edit.apply(data)


class Fixed(graphrec.models.Popularity):
    """Scores that a test writes down."""

    def ranker(self):
        return lambda index: self.scores[index].clone()


def fixed(data, scores):
    model = Fixed.from_graph(data)
    model.scores = scores
    return model


def test_served_pairs_have_both_ends(edited):
    served = served_pairs(edited.data, edited.forget)
    assert served.size(1) < edited.forget.pairs.size(1)
    assert 4 not in served[0]
    assert 7 not in served[1]


def test_random_scores_are_forgotten_and_planted_ones_are_not(edited):
    monitor = Monitor(edited.data, edited.forget, tolerance=0.0)
    scores = torch.randn(80, 60, generator=torch.Generator().manual_seed(0))
    auc = monitor.auc(fixed(edited.data, scores))
    assert monitor.side(auc) == 0
    for shift, side in ((2.0, 1), (-2.0, -1)):
        moved = scores.clone()
        moved[monitor.served[0], monitor.served[1]] += shift
        assert monitor.side(monitor.auc(fixed(edited.data, moved))) == side
    assert 0 < monitor.band == monitor.half_width < 0.2
    assert monitor.seconds > 0


def test_recall_is_over_retained_pairs(edited):
    monitor = Monitor(edited.data, edited.forget)
    valid = edited.data['user', 'holdout_valid', 'item'].edge_index
    perfect = torch.zeros(80, 60)
    perfect[valid[0], valid[1]] = 1.0
    assert monitor.recall(fixed(edited.data, perfect)) == pytest.approx(1)
    assert monitor.recall(fixed(edited.data, -perfect)) < 0.5
    assert 4 not in valid[0]


def test_scores_that_are_not_finite_are_no_area(edited):
    monitor = Monitor(edited.data, edited.forget)
    assert math.isnan(monitor.auc(fixed(edited.data, torch.full((80, 60), math.nan))))
    assert monitor.side(math.nan) == 0


def test_what_cannot_be_measured(data, edited):
    blind = edited.data.clone()
    del blind['user', 'holdout_valid', 'item']
    monitor = Monitor(blind, edited.forget)
    assert not monitor.measures_forgetting
    assert not monitor.measures_utility
    assert math.isnan(monitor.recall(fixed(blind, torch.zeros(80, 60))))
    few = data['user', 'interacts', 'item'].edge_index[:, : MIN_PAIRS - 1].t().tolist()
    small = unlearn.RemoveInteractions(few).apply(data)
    assert not Monitor(small.data, small.forget).measures_forgetting
    gone = unlearn.RemoveUsers([3]).apply(data)
    assert not Monitor(gone.data, gone.forget).measures_forgetting
    assert Monitor(gone.data, gone.forget).measures_utility


def test_checks_look_at_so_many_users(edited):
    monitor = Monitor(edited.data, edited.forget, max_users=10)
    assert monitor._forgotten[0].unique().numel() == 10
    same = Monitor(edited.data, edited.forget, max_users=10)
    assert torch.equal(monitor._forgotten, same._forgotten)


def test_golds_take_the_place_of_the_held_out_level(edited):
    draw = torch.Generator().manual_seed(0)
    scores = [torch.randn(80, 60, generator=draw) for _ in range(4)]
    served = served_pairs(edited.data, edited.forget)
    for each in scores:  # Retrained models that rank the pairs a little above held-out ones.
        each[served[0], served[1]] += 0.7
    golds = [fixed(edited.data, each) for each in scores[:3]]
    monitor = Monitor(edited.data, edited.forget, tolerance=0.0, golds=golds)
    areas = [monitor.auc(gold) for gold in golds]
    assert monitor.target == pytest.approx(sum(areas) / 3)
    assert monitor.target > 0.6
    assert monitor.side(monitor.auc(fixed(edited.data, scores[3]))) == 0
    assert monitor.side(0.5) == -1
    assert monitor.side(0.99) == 1
    with pytest.raises(graphrec.GraphError, match='golds'):
        Monitor(edited.data, edited.forget, golds=golds[:2])
