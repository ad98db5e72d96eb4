import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrec.errors import GraphError
from graphrec.graphs import schema, splits
from graphrec.graphs.interactions import from_tables

PARTS = [schema.INTERACTS, schema.HOLDOUT_VALID, schema.HOLDOUT_TEST]


def graph(counts, with_time=True, **columns):
    """User u has counts[u] items, numbered on, at times that rise."""
    user = np.repeat(np.arange(len(counts)), counts)
    frame = pd.DataFrame({'user': user, 'item': np.arange(len(user)), **columns})
    if with_time:
        frame['timestamp'] = np.arange(len(user))
    return from_tables(frame)


def edges(data, edge_type):
    if edge_type not in data.edge_types:
        return []
    return [tuple(pair) for pair in data[edge_type].edge_index.t().tolist()]


def pooled(data):
    return [pair for edge_type in PARTS for pair in edges(data, edge_type)]


def counts_of(data, edge_type):
    found = edges(data, edge_type)
    return np.bincount([u for u, _ in found], minlength=schema.num_users(data)).tolist()


def test_random_counts_by_the_rounding_rule():
    data = graph([1, 2, 4, 5, 10, 15, 35])
    before = edges(data, schema.INTERACTS)
    out = splits.split(data, 'random', seed=1)
    assert counts_of(out, schema.HOLDOUT_TEST) == [0, 0, 0, 1, 1, 2, 4]
    assert counts_of(out, schema.HOLDOUT_VALID) == [0, 0, 0, 1, 1, 2, 4]
    assert sorted(pooled(out)) == before
    assert edges(data, schema.INTERACTS) == before  # The input is untouched.
    assert schema.HOLDOUT_TEST not in data.edge_types


def test_one_training_edge_is_kept():
    out = splits.split(graph([1, 2, 3]), 'random', ratios=(0.2, 0.4, 0.4))
    assert counts_of(out, schema.INTERACTS) == [1, 1, 1]
    assert counts_of(out, schema.HOLDOUT_TEST) == [0, 1, 1]


def test_seed_decides():
    data = graph([30, 30])
    same = [edges(splits.split(data, seed=s), schema.HOLDOUT_TEST) for s in (0, 0, 1)]
    assert same[0] == same[1]
    assert same[0] != same[2]
    torch_seeded = [
        edges(splits.split(data, seed=torch.Generator().manual_seed(4)), schema.HOLDOUT_TEST)
        for _ in range(2)
    ]
    assert torch_seeded[0] == torch_seeded[1]


def test_random_is_uniform():
    data = graph([5])
    tested = [edges(splits.split(data, seed=s), schema.HOLDOUT_TEST)[0][1] for s in range(200)]
    assert (np.bincount(tested, minlength=5) > 20).all()  # 40 expected, deviation 5.7.


def test_leave_one_out_by_time():
    out = splits.split(graph([1, 2, 4]), 'leave_one_out')
    assert edges(out, schema.HOLDOUT_TEST) == [(1, 2), (2, 6)]
    assert edges(out, schema.HOLDOUT_VALID) == [(2, 5)]
    assert out[schema.HOLDOUT_TEST].time.tolist() == [2, 6]


def test_time_needs_times():
    data = graph([3], with_time=False)
    for how in ('leave_one_out', 'time', 'time_per_user'):
        with pytest.raises(GraphError, match=f"how='{how}' needs a 'time'"):
            splits.split(data, how)
    out = splits.split(data, 'leave_one_out_random', seed=2)
    assert [len(edges(out, t)) for t in PARTS] == [1, 1, 1]


def test_global_time_keeps_equal_times_together():
    data = graph([5, 5])
    data[schema.INTERACTS].time = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 7, 9])
    out = splits.split(data, 'time')
    assert [len(edges(out, t)) for t in PARTS] == [9, 0, 1]
    assert edges(out, schema.HOLDOUT_TEST) == [(1, 9)]


def test_time_per_user():
    out = splits.split(graph([5, 10]), 'time_per_user')
    assert edges(out, schema.HOLDOUT_TEST) == [(0, 4), (1, 14)]
    assert edges(out, schema.HOLDOUT_VALID) == [(0, 3), (1, 13)]


def test_pools_what_is_held_out():
    once = splits.split(graph([10, 10]), 'random', seed=3)
    again = splits.split(once, 'time_per_user')
    assert edges(again, schema.HOLDOUT_TEST) == [(0, 9), (1, 19)]
    everything = splits.split(again, ratios=(1.0, 0.0, 0.0))
    assert len(edges(everything, schema.INTERACTS)) == 20
    assert schema.HOLDOUT_TEST not in everything.edge_types


def test_bad_arguments():
    data = graph([5])
    with pytest.raises(GraphError, match="'how' must be one of"):
        splits.split(data, 'by_luck')
    for ratios in ((0.8, 0.1), (0.5, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)):
        with pytest.raises(GraphError, match="'ratios'"):
            splits.split(data, ratios=ratios)


def test_search_events_follow_their_pair():
    frame = pd.DataFrame({'user': [0] * 10, 'item': range(10), 'timestamp': range(10)})
    events = pd.DataFrame({'user': [0, 0, 0], 'item': [9, 3, 8], 'query': ['a', 'b', 'c']})
    data = from_tables(frame, queries=events)
    assert data[schema.FINDS].edge_index[1].tolist() == [9, 3, 8]
    out = splits.split(data, 'time')
    assert out[schema.FINDS].edge_index.tolist() == [[1], [3]]
    assert out['query', 'holdout_test', 'item'].edge_index.tolist() == [[0], [9]]
    assert out['user', 'holdout_valid', 'query'].edge_index.tolist() == [[0], [2]]
    assert data[schema.FINDS].edge_index[1].tolist() == [9, 3, 8]


def test_carve_validation_from_training_only():
    frame = pd.DataFrame({'user': [0] * 11, 'item': range(11), 'split': ['train'] * 10 + ['test']})
    events = pd.DataFrame({'user': 0, 'item': range(11), 'query': [f'q{i}' for i in range(11)]})
    data = from_tables(frame, queries=events)
    out = splits.carve_validation(data, fraction=0.2, seed=5)
    valid = edges(out, schema.HOLDOUT_VALID)
    assert len(valid) == 2
    assert sorted(edges(out, schema.INTERACTS) + valid) == [(0, i) for i in range(10)]
    assert edges(out, schema.HOLDOUT_TEST) == [(0, 10)]
    found = out['query', 'holdout_valid', 'item'].edge_index[1].tolist()
    assert sorted(found) == sorted(i for _, i in valid)
    with pytest.raises(GraphError, match='has 2 validation edges'):
        splits.carve_validation(out)
    with pytest.raises(GraphError, match='larger fraction'):
        splits.carve_validation(graph([2, 2]), fraction=0.1)
    with pytest.raises(GraphError, match="'fraction' must lie between 0 and 1"):
        splits.carve_validation(data, fraction=1.0)


def test_cold_items_never_train():
    frame = pd.DataFrame(
        {
            'user': [0] * 10 + [1] * 10 + [0],
            'item': [*range(10), *range(10), 3],
            'behavior': ['buy'] * 20 + ['view'],
        }
    )
    data = from_tables(frame, target_behavior='buy')
    out = splits.cold_items(data, fraction=0.4, seed=0)
    trained = {i for _, i in edges(out, schema.INTERACTS)}
    valid = {i for _, i in edges(out, schema.HOLDOUT_VALID)}
    test = {i for _, i in edges(out, schema.HOLDOUT_TEST)}
    assert (len(trained), len(valid), len(test)) == (6, 2, 2)
    assert trained | valid | test == set(range(10))
    assert set(out['item'].is_cold.nonzero().flatten().tolist()) == valid | test
    viewed = ('user', 'holdout_cold_views' if 3 in valid | test else 'views', 'item')
    assert edges(out, viewed) == [(0, 3)]
    assert 'is_cold' not in data['item']
    with pytest.raises(GraphError, match='0 of 10 items would be cold'):
        splits.cold_items(data, fraction=0.01)


def test_cold_views_leave_training():
    frame = pd.DataFrame(
        {
            'user': [0] * 20,
            'item': [*range(10), *range(10)],
            'behavior': ['buy'] * 10 + ['view'] * 10,
        }
    )
    out = splits.cold_items(from_tables(frame, target_behavior='buy'), fraction=0.3)
    cold = set(out['item'].is_cold.nonzero().flatten().tolist())
    assert {i for _, i in edges(out, ('user', 'holdout_cold_views', 'item'))} == cold
    assert {i for _, i in edges(out, ('user', 'views', 'item'))} == set(range(10)) - cold


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    how=st.sampled_from(splits.HOW),
    seed=st.integers(0, 5),
)
def test_every_split_is_a_partition(counts, how, seed):
    data = graph(counts)
    out = splits.split(data, how, seed=seed)
    schema.validate(out)
    together = pooled(out)
    assert sorted(together) == sorted(edges(data, schema.INTERACTS))
    if how != 'time':
        assert min(counts_of(out, schema.INTERACTS)) >= 1
