import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrec.datasets.planted import planted
from graphrec.datasets.planted_pairs import draw_degrees
from graphrec.datasets.planted_sides import Modality
from graphrec.errors import GraphError
from graphrec.graphs.schema import INTERACTS, holdout, modalities, validate

SPLITS = [INTERACTS, holdout('valid'), holdout('test')]


def all_pairs(data):
    return torch.cat([data[t].edge_index for t in SPLITS if t in data.edge_types], dim=1)


def equal(first, second):
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return np.array_equal(first, second)


def assert_same(first, second, skip=()):
    assert first.node_types == second.node_types
    assert first.edge_types == second.edge_types
    for one, two in zip(first.stores, second.stores, strict=True):
        for key, value in one.items():
            if key not in skip:
                assert equal(value, two[key]), key


def test_default_graph():
    data = planted(seed=0)
    validate(data)
    assert (data['user'].num_nodes, data['item'].num_nodes) == (1000, 500)
    assert modalities(data) == ['text', 'visual']
    pairs = all_pairs(data)
    assert pairs.size(1) == 20_000
    assert (pairs[0] * 500 + pairs[1]).unique().numel() == 20_000  # Also across splits.
    assert data[INTERACTS].edge_index[0].bincount(minlength=1000).min() >= 3
    shares = [data[t].edge_index.size(1) / 20_000 for t in SPLITS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert data['item'].popularity.sum() == pytest.approx(1)
    assert not data[INTERACTS].is_noise.any()


def test_same_seed_same_graph():
    kwargs = {
        'num_users': 60, 'num_items': 40, 'num_queries': 9, 'query_words': True, 'sessions': True,
        'noise_share': 0.2, 'duplicate_share': 0.1, 'missing_share': 0.3,
    }  # fmt: skip
    assert_same(planted(**kwargs, seed=3), planted(**kwargs, seed=3))
    other = planted(**kwargs, seed=4)
    assert not torch.equal(all_pairs(planted(**kwargs, seed=3)), all_pairs(other))


def test_a_further_modality_changes_nothing_else():
    one = planted(60, 40, modalities={'visual': 0.5})
    two = planted(60, 40, modalities={'text': 0.9, 'visual': 0.5})
    assert_same(one, two)
    assert modalities(two) == ['text', 'visual']


def recall_at_20(data, scores):
    train, test = (torch.zeros(1000, 500) for _ in range(2))
    train[tuple(data[INTERACTS].edge_index)] = 1
    test[tuple(data[holdout('test')].edge_index)] = 1
    top = scores.masked_fill(train > 0, -math.inf).topk(20, dim=1).indices
    return float((test.gather(1, top).sum(1) / test.sum(1).clamp(min=1))[test.sum(1) > 0].mean())


def test_co_occurrence_beats_popularity():
    data = planted(seed=0)
    train = torch.zeros(1000, 500)
    train[tuple(data[INTERACTS].edge_index)] = 1
    popularity = recall_at_20(data, train.sum(0).expand(1000, 500))
    co_occurrence = recall_at_20(data, train @ (train.T @ train).fill_diagonal_(0))
    assert co_occurrence > 1.8 * popularity


def test_structure_is_absent_where_none_is_planted():
    data = planted(seed=0, community_strength=0.0, noise_share=1.0, popularity_skew=0.0)
    assert data[INTERACTS].is_noise.all()
    pairs = all_pairs(data)
    inside = data['user'].community[pairs[0]] == data['item'].community[pairs[1]]
    assert inside.float().mean() == pytest.approx(1 / 8, abs=0.01)


@pytest.mark.parametrize('strength', [0.0, 0.3, 1.0])
def test_share_inside_the_community(strength):
    data = planted(num_users=2000, num_items=800, community_strength=strength)
    pairs = all_pairs(data)
    inside = data['user'].community[pairs[0]] == data['item'].community[pairs[1]]
    # Four standard errors of 40,000 draws.
    assert inside.float().mean() == pytest.approx(strength, abs=0.01)


def test_noise_edges_are_marked_and_uniform():
    data = planted(num_users=5000, num_items=50, num_interactions=25_000, noise_share=0.4)
    is_noise = torch.cat([data[t].is_noise for t in SPLITS])
    assert is_noise.float().mean() == pytest.approx(0.4, abs=0.015)
    pairs = all_pairs(data)
    inside = (data['user'].community[pairs[0]] == data['item'].community[pairs[1]]).float()
    assert inside[is_noise].mean() < 0.2 < 0.75 < inside[~is_noise].mean()


def test_popularity_follows_the_skew():
    data = planted(num_users=20_000, num_items=400, num_interactions=60_000, popularity_skew=1.0)
    ranked = data['item'].popularity.sort(descending=True).values
    assert ranked[0] / ranked[9] == pytest.approx(10.0)
    degree = all_pairs(data)[1].bincount(minlength=400).double()
    rho = np.corrcoef(degree.argsort().argsort(), data['item'].popularity.argsort().argsort())[0, 1]
    assert rho > 0.85


def test_duplicates():
    data = planted(num_items=100, duplicate_share=0.2)
    original = data['item'].duplicate_of
    copy = (original >= 0).nonzero().squeeze(1)
    assert copy.numel() == 20
    assert (original[original[copy]] == -1).all()
    for key in ('community', 'popularity'):
        assert torch.equal(data['item'][key][copy], data['item'][key][original[copy]])
    x = torch.nn.functional.normalize(data['item'].x_visual)
    similarity = x @ x.T
    near = similarity[copy, original[copy]]
    assert near.min() > 0.99
    assert similarity[copy].median() < 0.8


def test_informativeness_is_the_share_of_the_community():
    shapes = {
        'clear': Modality(dim=64, informativeness=1.0, noise=0.0),
        'half': Modality(dim=64, informativeness=0.5, noise=0.0),
        'none': Modality(dim=64, informativeness=0.0, noise=0.0),
        'noisy': Modality(dim=64, informativeness=1.0, noise=2.0),
    }
    data = planted(10, 2000, num_communities=2, modalities=shapes)
    group = data['item'].community

    def between(name):  # Share of the variance that lies between the communities.
        x = data['item'][f'x_{name}']
        means = torch.stack([x[group == g].mean(0) for g in (0, 1)])
        within = (x - means[group]).square().mean()
        return float(1 - within / (within + means.square().mean()))

    found = [between(name) for name in shapes]
    assert found == pytest.approx([1.0, 0.5, 0.0, 0.2], abs=0.12)


def test_missing_rows_are_zero_and_marked():
    data = planted(30, 40, missing_share={'visual': 0.25})
    absent = ~data['item'].has_visual
    assert int(absent.sum()) == 10
    assert not data['item'].x_visual[absent].any()
    assert data['item'].x_visual[~absent].any(dim=1).all()
    assert data['item'].has_text.all()


def test_queries_find_items_of_their_community():
    data = planted(200, 60, num_queries=20, query_words=True)
    count = 0
    for label in ('train', 'valid', 'test'):
        held = label != 'train'
        searches = data[holdout(label, 'user', 'query') if held else ('user', 'searches', 'query')]
        finds = data[holdout(label, 'query', 'item') if held else ('query', 'finds', 'item')]
        user, query = searches.edge_index
        again, item = finds.edge_index
        assert torch.equal(query, again)
        assert torch.equal(data['query'].community[query], data['item'].community[item])
        known = data[holdout(label) if held else INTERACTS].edge_index
        assert torch.isin(user * 60 + item, known[0] * 60 + known[1]).all()
        count += query.numel()
    assert count > 1000
    query, word = data['query', 'contains', 'word'].edge_index
    texts = [' '.join(data['word'].id[word[query == q]]) for q in range(20)]
    assert texts == list(data['query'].text)
    assert len(set(data['word'].id)) == 96


def test_sessions_hold_training_pairs_in_order():
    data = planted(50, 40, sessions=True)
    session, item = data['session', 'contains', 'item'].edge_index
    position = data['session', 'contains', 'item'].position
    time = data['session', 'contains', 'item'].time
    user = data['session'].user[session]
    key = (user * 40 + item).sort().values
    train = data[INTERACTS].edge_index
    assert torch.equal(key, (train[0] * 40 + train[1]).sort().values)
    for number in range(data['session'].num_nodes):
        mine = session == number
        assert position[mine].tolist() == list(range(int(mine.sum())))
        assert (time[mine].diff() == 60).all()
        assert data['session'].time[number] == time[mine][0]
    assert 1.5 < session.numel() / data['session'].num_nodes < 6


@pytest.mark.parametrize('sessions', [False, True])
def test_held_out_pairs_are_the_latest(sessions):
    data = planted(50, 40, sessions=sessions)
    latest = torch.zeros(50, dtype=torch.long)
    for edge_type in SPLITS:
        user, time = data[edge_type].edge_index[0], data[edge_type].time
        assert (time >= latest[user]).all()
        latest = latest.scatter_reduce(0, user, time, 'amax')


@settings(max_examples=30, deadline=None)
@given(
    num_users=st.integers(1, 12),
    num_items=st.integers(1, 15),
    share=st.floats(0, 1),
    skew=st.sampled_from([0.0, 1.0, 4.0, 10.0]),
    strength=st.sampled_from([0.0, 0.5, 1.0]),
    noise=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 100),
)
def test_any_density_gives_exact_counts(num_users, num_items, share, skew, strength, noise, seed):
    wanted = max(1, round(share * num_users * num_items))
    data = planted(
        num_users, num_items, num_interactions=wanted, num_communities=min(4, num_items),
        popularity_skew=skew, community_strength=strength, noise_share=noise, seed=seed,
    )  # fmt: skip
    validate(data)
    pairs = all_pairs(data)
    assert pairs.size(1) == wanted
    assert (pairs[0] * num_items + pairs[1]).unique().numel() == wanted
    degree = pairs[0].bincount(minlength=num_users)
    train = data[INTERACTS].edge_index[0].bincount(minlength=num_users)
    assert (train >= degree.clamp(max=3)).all()


def test_full_catalogue_at_steep_popularity():
    data = planted(20, 300, num_interactions=5990, popularity_skew=6.0)
    pairs = all_pairs(data)
    assert (pairs[0] * 300 + pairs[1]).unique().numel() == 5990


def test_degrees_sum_up_and_stay_below_the_catalogue():
    degree = draw_degrees(100, 10, 900, np.random.default_rng(0))
    assert degree.sum() == 900
    assert degree.max() == 10
    assert degree.min() >= 5


def test_a_large_graph():
    data = planted(100_000, 20_000, num_interactions=300_000, modalities={})
    assert all_pairs(data).size(1) == 300_000
    assert modalities(data) == []


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('num_users', 0), ('num_users', 2.5), ('num_items', -1), ('num_items', True),
        ('num_interactions', 10**9), ('num_interactions', 0), ('num_communities', 501),
        ('popularity_skew', -1), ('popularity_skew', math.nan), ('community_strength', 1.1),
        ('noise_share', '0.5'), ('duplicate_share', 0.6), ('num_queries', -3), ('seed', None),
        ('ratios', (0.5, 0.5)), ('ratios', (0.5, 0.1, 0.1)), ('ratios', (0, 0.5, 0.5)),
        ('modalities', {'visual': 1.5}), ('modalities', {'two words': 0.5}),
        ('modalities', ['visual']), ('modalities', {'visual': Modality(dim=0)}),
        ('modalities', {'visual': Modality(noise=-1)}), ('missing_share', 2.0),
        ('missing_share', {'sound': 0.5}), ('num_intents', 501), ('silent_share', 1.5),
    ],
)  # fmt: skip
def test_bad_arguments(name, value):
    with pytest.raises(GraphError, match=name):
        planted(**{name: value})
