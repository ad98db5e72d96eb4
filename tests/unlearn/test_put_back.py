import pytest
import torch

import graphrec
from graphrec import models, unlearn
from graphrec.unlearn.case import make_case
from graphrec.unlearn.put_back import put_back, shown_again, with_features

ITEMS = torch.tensor([5, 30])


@pytest.fixture(scope='module')
def small():
    return graphrec.datasets.planted(41, 37, num_interactions=600, num_communities=3, seed=1)


@pytest.fixture(scope='module')
def edited(small):
    return unlearn.RemoveItems(ITEMS.tolist()).apply(small)


def test_only_features_come_back(small, edited):
    graph = with_features(edited.data, small, ITEMS)
    assert torch.equal(graph['item'].x_visual, small['item'].x_visual)
    assert (edited.data['item'].x_visual[ITEMS] == 0).all()
    assert not torch.isin(graph['user', 'interacts', 'item'].edge_index[1], ITEMS).any()
    assert graph['item'].is_removed[ITEMS].all()


@pytest.mark.parametrize('config', [{'freeze_features': True}, {'freeze_features': False}])
def test_a_model_sees_them_and_the_others_stay(small, edited, config):
    model = models.VBPR.from_graph(edited.data, dim=4, **config)
    shown = shown_again(model, edited.data, small, ITEMS)
    before, after = (m.score(torch.arange(41)) for m in (model, shown))
    changed = (before != after).any(0).nonzero().squeeze(1)
    assert changed.tolist() == ITEMS.tolist()


def test_it_is_a_distance_from_gold(small, edited):
    case = make_case(small, edited.data, edited.forget)
    golds = [models.VBPR.from_graph(edited.data, dim=4, seed=seed) for seed in (1, 2, 3)]
    found = put_back(golds[0], golds[1], golds, case, edited.data, small)
    assert len(found.golds) == 3
    assert 0 <= found.unlearned <= 1
    assert put_back(golds[0], golds[1], [], case, edited.data, small) is None
