from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRSampler


def graph(pairs, users, items):
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = users, items
    pairs = torch.tensor(sorted(pairs), dtype=torch.long).reshape(-1, 2)
    data['user', 'interacts', 'item'].edge_index = pairs.t().contiguous()
    return data


def epoch(sampler, seed=0, start=0):
    return list(sampler.epoch(torch.Generator().manual_seed(seed), start=start))


def equal(first, second):
    pairs = zip(first, second, strict=True)
    return all(torch.equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=25),
    st.sampled_from(['edges', 'users']),
    st.sampled_from(['uniform', 'popularity']),
    st.integers(1, 3),
    st.integers(1, 7),
)
def test_triples_are_right(pairs, uniform, negatives, n, batch_size):
    data = graph(pairs, 5, 6)
    full = {u for u in range(5) if all((u, i) in pairs for i in range(6))}
    trained = {pair for pair in pairs if pair[0] not in full}
    if not trained:
        with pytest.raises(GraphError, match='no negative'):
            BPRSampler(data)
        return
    told = pytest.warns(UserWarning, match=f'{len(full)} users') if full else nullcontext()
    with told:
        sampler = BPRSampler(
            data, batch_size, num_negatives=n, uniform=uniform, negatives=negatives
        )
    batches = epoch(sampler)
    assert sampler.num_saturated_users == len(full)
    assert len(batches) == len(sampler)
    seen = [(u, i) for b in batches for u, i in zip(b.user.tolist(), b.pos.tolist(), strict=True)]
    assert len(seen) == len(trained)
    assert set(seen) <= trained
    if uniform == 'edges':
        assert set(seen) == trained
    for batch in batches:
        assert batch.neg.shape == ((batch.user.numel(),) if n == 1 else (batch.user.numel(), n))
        for user, items in zip(batch.user.tolist(), batch.neg.view(-1, n).tolist(), strict=True):
            assert all((user, item) not in pairs for item in items)


def test_user_with_all_items_but_one():
    pairs = {(0, i) for i in range(500) if i != 321} | {(1, 0)}
    for negatives in ('uniform', 'popularity'):
        sampler = BPRSampler(graph(pairs, 2, 500), 64, negatives=negatives)
        neg = torch.cat([b.neg[b.user == 0] for b in epoch(sampler)])
        assert neg.numel() == 499
        assert bool((neg == 321).all())


def test_same_seed_same_batches_and_resume():
    data = graph({(u, (u * 7 + k) % 50) for u in range(40) for k in range(5)}, 40, 50)
    sampler = BPRSampler(data, batch_size=16)
    first, second, other = epoch(sampler), epoch(sampler), epoch(sampler, seed=1)
    assert equal(first, second)
    assert not torch.equal(first[0].user, other[0].user)
    resumed = epoch(sampler, start=5)
    assert len(resumed) == len(first) - 5
    assert equal(first[5:], resumed)


def test_users_uniform_gives_distinct_users_whatever_their_degree():
    pairs = {(0, i) for i in range(60)} | {(u, u) for u in range(1, 30)}
    sampler = BPRSampler(graph(pairs, 30, 70), batch_size=10, uniform='users')
    counts = torch.zeros(30)
    for seed in range(100):
        for batch in epoch(sampler, seed):
            assert batch.user.unique().numel() == batch.user.numel()
            counts += torch.bincount(batch.user, minlength=30)
    expected = counts.sum() / 30  # Multinomial: 4 deviations of a Poisson count.
    assert bool(((counts - expected).abs() < 4 * expected.sqrt()).all())


def test_uniform_negatives_are_uniform_over_the_complement():
    pairs = {(0, 0), (0, 1)}
    sampler = BPRSampler(graph(pairs, 1, 10), batch_size=2, num_negatives=4000)
    counts = torch.cat([b.neg.flatten() for b in epoch(sampler)]).bincount(minlength=10)
    assert counts[:2].tolist() == [0, 0]
    assert bool(((counts[2:] - 1000).abs() < 4 * 1000**0.5).all())


def test_popularity_negatives_follow_degrees():
    pairs = {(u, 0) for u in range(16)} | {(16, 1)} | {(17, 2)}
    sampler = BPRSampler(
        graph(pairs, 18, 4), batch_size=18, num_negatives=3000, negatives='popularity'
    )
    batch = epoch(sampler)[0]
    neg = batch.neg[batch.user == 17].flatten().bincount(minlength=4)
    assert neg[2:].tolist() == [0, 0]  # Own item; an item that nobody has.
    share = 16**0.75 / (16**0.75 + 1)
    assert abs(neg[0] / neg.sum() - share) < 4 * (share * (1 - share) / 3000) ** 0.5


def test_candidate_items_only():
    data = graph({(u, u % 3) for u in range(9)}, 9, 10)
    sampler = BPRSampler(data, items=torch.tensor([0, 1, 2]))
    assert bool((torch.cat([b.neg for b in epoch(sampler)]) < 3).all())


@pytest.mark.parametrize(
    ('keyword', 'value'),
    [('batch_size', 0), ('num_negatives', 0), ('uniform', 'x'), ('negatives', 'x')],
)
def test_bad_arguments(keyword, value):
    with pytest.raises(GraphError, match=f"'{keyword}'"):
        BPRSampler(graph({(0, 0)}, 1, 2), **{keyword: value})
    with pytest.raises(GraphError, match='no training edges'):
        BPRSampler(graph(set(), 1, 2))
