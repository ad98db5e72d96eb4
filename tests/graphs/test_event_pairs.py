import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.event_pairs import EventPairs, training_events, union_graph
from graphrec.graphs.words import WordLists

WORDS = WordLists.of([[0, 1], [2], []])


@pytest.fixture
def data():
    """User 0 found item 0 twice and has it, user 1 found item 2 without having it."""
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes, data['query'].num_nodes = 3, 3, 3
    data['user', 'interacts', 'item'].edge_index = torch.tensor([[2, 0, 0], [1, 1, 0]])
    data['user', 'searches', 'query'].edge_index = torch.tensor([[1, 0, 0], [2, 1, 0]])
    data['query', 'finds', 'item'].edge_index = torch.tensor([[2, 1, 0], [2, 0, 0]])
    return data


def gathered(data, **options):
    return EventPairs.of(training_events(data, **options), WORDS, 3, (3, 3))


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, [(0, 1, -1), (2, 1, -1), (0, 0, 0), (0, 0, 1), (1, 2, 2)]),
        ({'recommendations': 'none'}, [(0, 0, 0), (0, 0, 1), (1, 2, 2)]),
        (
            {'recommendations': 'all', 'searches': False},
            [(0, 0, -1), (0, 1, -1), (2, 1, -1)],
        ),
        ({'searches': False}, [(0, 1, -1), (2, 1, -1)]),
    ],
)
def test_events_by_option_in_an_order_of_their_own(data, options, expected):
    for _ in range(2):
        events = training_events(data, **options)
        assert list(zip(*(each.tolist() for each in events), strict=True)) == expected
        for edge_type in data.edge_types:  # Stored the other way round.
            data[edge_type].edge_index = data[edge_type].edge_index.flip(1)


def test_held_out_edges_are_no_events(data):
    before = training_events(data)
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor([[1], [1]])
    data['user', 'holdout_test', 'query'].edge_index = torch.tensor([[1], [0]])
    data['query', 'holdout_test', 'item'].edge_index = torch.tensor([[0], [1]])
    assert all(torch.equal(a, b) for a, b in zip(before, training_events(data), strict=True))


def test_pairs_gather_their_events(data):
    pairs = gathered(data, recommendations='all')
    assert list(zip(pairs.user.tolist(), pairs.item.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 2), (2, 1),
    ]  # fmt: skip
    assert pairs.count.tolist() == [3, 1, 1, 1]
    assert pairs.recommended.tolist() == [True, True, False, True]
    assert [sorted(words) for words in pairs.words.tolist()] == [[0, 1, 2], [], [], []]
    assert pairs.user_words.to_dense().tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert pairs.find(torch.tensor([2, 0]), torch.tensor([1, 0])).tolist() == [3, 0]


def test_means_over_events_with_and_without_dropped_pairs(data):
    pairs = gathered(data, recommendations='all')
    whole = pairs.messages(None, torch.float64)
    assert whole.to_user.to_dense().tolist() == [[0.75, 0.25, 0], [0, 0, 1], [0, 1, 0]]
    assert torch.equal(whole.to_user.T.to_dense(), whole.to_user.to_dense().t())
    assert whole.to_item.to_dense().tolist() == [[1, 0, 0], [0.5, 0, 0.5], [0, 1, 0]]
    assert torch.equal(whole.to_item.T.to_dense(), whole.to_item.to_dense().t())
    assert whole.user_share.tolist() == [0.25, 0.25, 1, 1]
    word = torch.tensor([[1.0], [10.0], [100.0]], dtype=torch.float64)
    user, item = pairs.mean_queries(whole, word)
    assert user.flatten().tolist() == [111 / 4, 0, 0]
    assert item.flatten().tolist() == [111 / 3, 0, 0]

    part = pairs.messages(torch.tensor([0, 0, 3]), torch.float64)
    assert part.to_user.to_dense().tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert part.to_item.to_dense().tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert part.item_share.tolist() == [0, 1, 1, 0]
    for means in pairs.mean_queries(part, word):
        assert torch.equal(means, torch.zeros(3, 1, dtype=torch.float64))


def test_union_graph(data):
    out = union_graph(data, training_events(data))
    assert out['user', 'interacts', 'item'].edge_index.tolist() == [[0, 0, 1, 2], [0, 1, 2, 1]]
    assert out.edge_types == [('user', 'interacts', 'item')]


def test_bad_options_are_named(data):
    with pytest.raises(GraphError, match="'recommendations' must be one of"):
        training_events(data, recommendations='some')
    with pytest.raises(GraphError, match='no training event is left'):
        training_events(data, searches=False, recommendations='none')
