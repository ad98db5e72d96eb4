import pandas as pd
import pytest
import torch

import graphrec
from graphrec.errors import GraphError
from graphrec.graphs import search_events, split_searches, split_training
from graphrec.graphs.schema import HOLDOUT_TEST, HOLDOUT_VALID, INTERACTS, holdout, validate
from graphrec.graphs.search import event_labels


def triples(data, split):
    events = search_events(data, split)
    return sorted(zip(*(end.tolist() for end in events[:3]), strict=True))


@pytest.fixture
def tagged():
    """Ten searched pairs of user 0 without an interaction, two searches each, and three with."""
    pairs = pd.DataFrame({'user': [0, 0, 0, 1], 'item': [20, 21, 22, 0]})
    pairs['split'] = ['train', 'valid', 'test', 'train']
    rows = [(0, item, f'q{n} {item}', 100 - item + n) for item in range(10) for n in (0, 50)]
    rows += [(0, item, 'seen', 7) for item in (20, 21, 22)]
    queries = pd.DataFrame(rows, columns=['user', 'item', 'query', 'timestamp'])
    return graphrec.graphs.from_tables(pairs, queries=queries)


def test_free_pairs_are_split_in_time_and_the_others_follow_their_interaction(tagged):
    assert event_labels(tagged) == ['train', 'none', 'test', 'valid']
    data = split_searches(tagged, ratios=(0.8, 0.1, 0.1))
    validate(data)
    assert event_labels(data) == ['train', 'test', 'valid']
    items = {split: {item for _, _, item in triples(data, split)} for split in event_labels(data)}
    id_of = data['item'].id
    # Item 0 was searched last, item 1 before it; both searches of a pair stay together.
    assert {int(id_of[i]) for i in items['test']} == {0, 22}
    assert {int(id_of[i]) for i in items['valid']} == {1, 21}
    assert len(triples(data, 'test')) == 3
    assert len(triples(data, 'train')) == 17
    everything = [triple for split in event_labels(data) for triple in triples(data, split)]
    before = [triple for split in event_labels(tagged) for triple in triples(tagged, split)]
    assert sorted(everything) == sorted(before)
    assert event_labels(tagged) == ['train', 'none', 'test', 'valid']  # The input stays.


def test_times_travel_with_their_events(tagged):
    old = {}
    for split in event_labels(tagged):
        events = search_events(tagged, split)
        old |= dict(zip(triples_in_order(events), events.time.tolist(), strict=True))
    data = split_searches(tagged, how='random', seed=3)
    for split in event_labels(data):
        events = search_events(data, split)
        assert [old[t] for t in triples_in_order(events)] == events.time.tolist()


def triples_in_order(events):
    return list(zip(*(end.tolist() for end in events[:3]), strict=True))


def test_random_splits_follow_the_seed(tagged):
    one, two, three = (split_searches(tagged, how='random', seed=s) for s in (1, 1, 2))
    assert triples(one, 'test') == triples(two, 'test')
    assert triples(one, 'test') != triples(three, 'test')


def test_without_time_or_without_searches(tagged):
    for label in event_labels(tagged):
        for edge_type in graphrec.graphs.search.event_types(label):
            del tagged[edge_type].time
    with pytest.raises(GraphError, match='time'):
        split_searches(tagged)
    bare = graphrec.datasets.planted(num_users=10, num_items=8, seed=0)
    with pytest.raises(GraphError, match='no search events'):
        split_searches(bare)


def test_training_is_split_around_held_out_searches():
    data = graphrec.datasets.planted(num_users=60, num_items=40, num_queries=16, seed=0)
    kept = triples(data, 'test')
    was = {INTERACTS: data[INTERACTS].edge_index, HOLDOUT_TEST: data[HOLDOUT_TEST].edge_index}
    out = split_training(data, seed=1)
    validate(out)
    assert triples(out, 'test') == kept
    assert torch.equal(out[holdout('search_test')].edge_index, was[HOLDOUT_TEST])
    parts = [out[t].edge_index for t in (INTERACTS, HOLDOUT_VALID, HOLDOUT_TEST)]
    sizes = [part.size(1) for part in parts]
    assert sum(sizes) == was[INTERACTS].size(1)
    assert sizes[1] / sum(sizes) == pytest.approx(0.1, abs=0.03)
    joined = torch.cat(parts, dim=1)
    assert {tuple(p) for p in joined.t().tolist()} == {
        tuple(p) for p in was[INTERACTS].t().tolist()
    }
    assert out[HOLDOUT_TEST].time.numel() == sizes[2]
    test_pairs = {tuple(p) for p in parts[2].t().tolist()}
    assert {(u, i) for u, _, i in triples(out, 'warm')} <= test_pairs
    assert triples(out, 'warm')
    train_pairs = {tuple(p) for p in parts[0].t().tolist()}
    assert {(u, i) for u, _, i in triples(out, 'train')} <= train_pairs
    assert torch.equal(data[INTERACTS].edge_index, was[INTERACTS])
    plain = graphrec.datasets.planted(num_users=20, num_items=15, seed=0)
    assert event_labels(split_training(plain)) == []


def test_all_triplets_of_lastfm_are_used(data_root):
    data = split_searches(graphrec.load(data_root / 'lastfm-2k-mm', modalities=[]))
    assert event_labels(data) == ['train', 'test', 'valid']
    assert sum(search_events(data, s).user.numel() for s in event_labels(data)) == 90_392
    held = {(u, i) for s in ('valid', 'test') for u, _, i in triples(data, s)}
    assert not held & {(u, i) for u, _, i in triples(data, 'train')}


def test_the_cold_queries_of_amazon_stay_the_test(data_root):
    data = split_training(graphrec.load(data_root / 'amazon-cellphones-search'), seed=0)
    assert search_events(data, 'test').user.numel() == 667
    asked = set(search_events(data, 'test').query.tolist())
    assert not asked & set(search_events(data).query.tolist())
    assert data[holdout('search_test')].edge_index.size(1) == 615
    assert (
        data[INTERACTS].edge_index.size(1)
        + data[HOLDOUT_VALID].edge_index.size(1)
        + data[HOLDOUT_TEST].edge_index.size(1)
        == 150_048
    )
