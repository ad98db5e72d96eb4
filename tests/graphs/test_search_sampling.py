import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.event_pairs import training_events
from graphrec.graphs.search_sampling import SearchSampler


@pytest.fixture
def data():
    """User 2 has every item, one of them by a search alone."""
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes, data['query'].num_nodes = 3, 4, 2
    data['user', 'interacts', 'item'].edge_index = torch.tensor(
        [[0, 0, 1, 2, 2, 2], [0, 1, 3, 0, 1, 2]]
    )
    data['user', 'searches', 'query'].edge_index = torch.tensor([[0, 0, 2, 1], [0, 1, 1, 0]])
    data['query', 'finds', 'item'].edge_index = torch.tensor([[0, 1, 1, 0], [2, 2, 3, 3]])
    return data


def epoch(data, seed=0, size=2, start=0):
    sampler = SearchSampler(data, training_events(data), batch_size=size)
    return list(sampler.epoch(torch.Generator().manual_seed(seed), start)), sampler


@pytest.mark.filterwarnings('ignore:1 users have every item')
def test_every_event_once_with_a_negative_that_its_user_lacks(data):
    batches, sampler = epoch(data)
    assert len(sampler) == len(batches) == 3
    rows = [row for batch in batches for row in zip(*(x.tolist() for x in batch), strict=True)]
    events = sorted((u, i, q) for u, i, _, q, _ in rows)
    assert events == [(0, 0, -1), (0, 1, -1), (0, 2, 0), (0, 2, 1), (1, 3, 0)]
    known = {0: {0, 1, 2}, 1: {3}}
    assert all(j not in known[u] for u, _, j, _, _ in rows)
    assert all(is_search == (q >= 0) for *_, q, is_search in rows)


@pytest.mark.filterwarnings('ignore:1 users have every item')
def test_seeds_and_a_resumed_epoch(data):
    (first, _), (same, _), (other, _) = epoch(data), epoch(data), epoch(data, seed=1)
    for ours, theirs in zip(first, same, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert any(not torch.equal(x.user, y.user) for x, y in zip(first, other, strict=True))
    rest, _ = epoch(data, start=2)
    assert len(rest) == 1
    assert all(torch.equal(a, b) for a, b in zip(rest[0], first[2], strict=True))


@pytest.mark.filterwarnings('ignore:1 users have every item')
def test_negatives_are_uniform_over_what_is_left(data):
    drawn = torch.cat([b.neg[b.user == 1] for s in range(300) for b in epoch(data, s, 8)[0]])
    assert torch.bincount(drawn).div(300).sub(1 / 3).abs().max() < 0.1


@pytest.mark.filterwarnings('ignore:1 users have every item')
def test_batch_size_is_checked(data):
    with pytest.raises(GraphError, match="'batch_size' must be at least 1"):
        epoch(data, size=0)


def test_removed_items_are_no_negatives(data):
    """User 1 has item 3: of items 0 to 2, item 2 was removed."""
    data['item'].is_removed = torch.tensor([False, False, True, False])
    data['user', 'searches', 'query'].edge_index = torch.tensor([[1], [0]])
    data['query', 'finds', 'item'].edge_index = torch.tensor([[0], [3]])
    drawn = {
        (u, j)
        for seed in range(20)
        for b in epoch(data, seed)[0]
        for u, j in zip(*_ends(b), strict=True)
    }
    assert {j for u, j in drawn if u == 1} == {0, 1}
    assert 2 not in {j for _, j in drawn}


def _ends(batch):
    return batch.user.tolist(), batch.neg.tolist()
