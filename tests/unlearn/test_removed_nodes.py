"""Removed nodes stay in the numbering, but nobody is trained, evaluated or served with them."""

import json

import numpy as np
import pytest
import torch

import graphrec
from graphrec import GraphError, datasets
from graphrec.graphs import BPRSampler
from graphrec.models import MF, ItemKNN, Popularity
from graphrec.unlearn import RemoveItems, RemoveUsers

USERS, ITEMS = [3, 17], [0, 5, 9]


@pytest.fixture(scope='module')
def data():
    whole = datasets.planted(seed=0, num_users=40, num_items=30, modalities={})
    return (RemoveUsers(USERS) | RemoveItems(ITEMS)).apply(whole).data


@pytest.mark.parametrize('negatives', ['uniform', 'popularity'])
@pytest.mark.parametrize('uniform', ['edges', 'users'])
@pytest.mark.parametrize('items', [None, torch.arange(12)])
def test_removed_items_are_no_negatives(data, negatives, uniform, items):
    sampler = BPRSampler(
        data, 64, num_negatives=3, uniform=uniform, negatives=negatives, items=items
    )
    drawn = torch.cat([b.neg.flatten() for b in sampler.epoch(torch.Generator().manual_seed(0))])
    there = set(range(30 if items is None else 12)) - set(ITEMS)
    assert set(drawn.tolist()) == there


def test_the_few_items_left_to_a_user_are_none_that_was_removed():
    data = datasets.planted(seed=0, num_users=4, num_items=10, num_interactions=20, modalities={})
    everything = torch.cartesian_prod(torch.arange(1), torch.arange(9)).t()
    data['user', 'interacts', 'item'].edge_index = everything
    del data['user', 'interacts', 'item'].time, data['user', 'interacts', 'item'].is_noise
    edited = RemoveItems([9]).apply(data).data  # The only item that user 0 does not have.
    with pytest.raises(GraphError, match='no negative'):
        BPRSampler(edited)


def test_removed_items_are_no_candidates_and_removed_users_not_evaluated(data):
    model = Popularity.from_graph(data)
    result = graphrec.evaluate(model, data, k=(5, 27), metrics=('recall', 'coverage'))
    assert not set(result.per_user['user']) & set(USERS)
    assert result.dropped['removed from the graph'] == 2
    assert 'full ranking of 27 items' in result.protocol
    assert result['recall@27'] == 1
    with pytest.raises(GraphError, match='27 items'):
        graphrec.evaluate(model, data, k=28)
    with pytest.raises(GraphError, match='no user is left'):
        graphrec.evaluate(model, data, users=USERS)


def test_chosen_items_are_ranked_without_the_removed(data):
    model = Popularity.from_graph(data)
    chosen = graphrec.evaluate(model, data, items=[*ITEMS, *range(10, 20)], k=10)
    assert 'full ranking of 10 chosen items' in chosen.protocol
    against = graphrec.evaluate(model, data, items=range(10, 20), cold_against='all', k=10)
    assert 'full ranking of 27 items' in against.protocol
    with pytest.raises(GraphError, match='every item has training edges'):
        graphrec.evaluate(model, data, items='cold', k=1)


def test_scores_equal_those_of_the_renumbered_graph():
    whole = datasets.planted(seed=0, num_users=40, num_items=30, modalities={})
    edit = RemoveUsers(USERS) | RemoveItems(ITEMS)
    scores = []
    for compact in (False, True):
        data = edit.apply(whole, compact=compact).data
        # Scores tie rarely and by number, whose order is kept.
        found = graphrec.evaluate(ItemKNN.from_graph(data), data, k=5, metrics=('recall', 'ndcg'))
        sampled = graphrec.evaluate(ItemKNN.from_graph(data), data, k=2, num_negatives=3, seed=3)
        scores.append(dict(found) | dict(sampled))
    assert scores[0] == pytest.approx(scores[1])


def test_nothing_removed_is_served(data):
    model = MF.from_graph(data, dim=4)
    top = graphrec.recommend(model, data, k=27)
    assert set(top['user']) == set(range(40)) - set(USERS)
    assert not set(top['item']) & set(ITEMS)
    some = graphrec.recommend(model, data, users=[1], items=[*ITEMS, 6, 7], k=2, exclude_seen=False)
    assert set(some['item']) == {6, 7}
    with pytest.raises(GraphError, match="'k' is 28"):
        graphrec.recommend(model, data, k=28)
    with pytest.raises(GraphError, match=r'1 of 2 user ids were removed .* \(first one: 17\)'):
        graphrec.recommend(model, data, users=[1, 17])
    knn = ItemKNN.from_graph(data)
    with pytest.raises(GraphError, match='1 of 2 item ids were removed'):
        graphrec.recommend(knn, data, history=[5, 6])


def test_exported_vectors_leave_the_removed_out(data, tmp_path):
    model = MF.from_graph(data, dim=4)
    folder = graphrec.export_vectors(model, data, tmp_path / 'vectors')
    ids = json.loads((folder / 'ids.json').read_text())
    assert ids['user'] == [n for n in range(40) if n not in USERS]
    assert ids['item'] == [n for n in range(30) if n not in ITEMS]
    vectors = np.load(folder / 'item.npy')
    assert np.array_equal(vectors, model()['item'].detach().numpy()[ids['item']])
