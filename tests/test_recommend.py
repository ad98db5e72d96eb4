import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

from graphrec.datasets.planted import planted
from graphrec.errors import GraphError, UnknownIdError
from graphrec.models import Popularity
from graphrec.models.recommender import Recommender
from graphrec.recommend import build_index, check_index, export_vectors, recommend


class Fixed(Recommender):
    """A dot product of given vectors; a stranger is the sum of the items' vectors."""

    def __init__(self, user, item):
        torch.nn.Module.__init__(self)
        self.user, self.item = user, item
        self.num_users, self.num_items = len(user), len(item)

    def forward(self):
        return {'user': self.user, 'item': self.item}

    def rank_history(self, histories):
        return torch.stack([self.item[each].sum(0) for each in histories]) @ self.item.t()


class Scores(Recommender):
    """No vectors and no strangers."""

    def __init__(self, num_users, num_items):
        torch.nn.Module.__init__(self)
        self.num_users, self.num_items = num_users, num_items

    def ranker(self):
        return lambda users: torch.ones(len(users), self.num_items)


def graph(num_users, num_items, train):
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = num_users, num_items
    data['user'].id = 100 + np.arange(num_users)
    data['item'].id = np.array([f'i{n}' for n in range(num_items)], dtype=object)
    data['user', 'interacts', 'item'].edge_index = torch.tensor(train).t()
    return data


@pytest.fixture
def small():
    item = torch.eye(4) + torch.tensor([0.4, 0.3, 0.2, 0.1])
    user = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]])
    return Fixed(user, item), graph(2, 4, [[0, 0], [1, 3], [1, 0]])


def rows(table):
    return list(zip(table['user'], table['item'], table['rank'], strict=True))


def test_by_hand(small):
    # Scores of user 100: 1.4 0.4 0.4 0.4; of 101: 0.1 0.1 0.1 1.1. Seen: i0; i3, i0.
    table = recommend(*small, k=2)
    assert list(table.columns) == ['user', 'item', 'score', 'rank']
    assert rows(table) == [
        (
            100,
            'i1',
            1,
        ),
        (100, 'i2', 2),
        (101, 'i1', 1),
        (101, 'i2', 2),
    ]
    assert table['score'].tolist() == pytest.approx([0.4, 0.4, 0.1, 0.1])


def test_seen_items_stay_on_request(small):
    table = recommend(*small, users=[101], k=2, exclude_seen=False)
    assert rows(table) == [(101, 'i3', 1), (101, 'i0', 2)]


def test_short_lists_have_fewer_rows(small):
    table = recommend(*small, users=[101, 100], k=4)
    assert table.groupby('user', sort=False).size().to_dict() == {101: 2, 100: 3}
    assert table['rank'].tolist() == [1, 2, 1, 2, 3]


def test_candidates_and_unwanted_items(small):
    assert rows(recommend(*small, users=[100], k=2, items=['i3', 'i0'])) == [(100, 'i3', 1)]
    table = recommend(*small, users=[100], k=2, exclude=['i1'])
    assert table['item'].tolist() == ['i2', 'i3']
    with pytest.raises(GraphError, match=r"'k' is 2.* 1 items"):
        recommend(*small, k=2, items=['i3', 'i0'], exclude=['i0'])


@pytest.mark.parametrize(
    ('history', 'names'),
    [
        (['i0'], [0]),
        ([['i0'], ['i3', 'i2']], [0, 1]),
        ({'Ann': ['i0'], 'Bo': ['i3']}, ['Ann', 'Bo']),
    ],
)
def test_unknown_people(small, history, names):
    model, data = small
    table = recommend(model, data, history=history, k=1)
    assert table['user'].tolist() == names
    assert table['item'][0] == 'i1'  # i0 has the vector 1.4 .3 .2 .1 and is seen.
    again = recommend(model, data, history=history, k=1, exclude_seen=False)
    assert again['item'][0] == 'i0'


def test_history_agrees_with_a_user_of_that_history():
    generator = torch.Generator().manual_seed(0)
    item = torch.randn(30, 8, generator=generator)
    data = graph(1, 30, [[0, 4], [0, 9]])
    model = Fixed(item[[4, 9]].sum(0, keepdim=True), item)
    inside = recommend(model, data, users=[100], k=10)
    outside = recommend(model, data, history=['i9', 'i4', 'i9'], k=10)
    assert inside['item'].tolist() == outside['item'].tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_agrees_with_a_loop(seed, k):
    generator = torch.Generator().manual_seed(seed)
    user, item = torch.randn(5, 3, generator=generator), torch.randn(12, 3, generator=generator)
    train = (torch.rand(5, 12, generator=generator) < 0.4).nonzero().tolist() or [[0, 0]]
    table = recommend(Fixed(user, item), graph(5, 12, train), k=k, block_size=2)
    scores = (user @ item.t()).tolist()
    expected = []
    for u in range(5):
        left = [i for i in range(12) if [u, i] not in train]
        left.sort(key=lambda i: -scores[u][i])
        expected += [(100 + u, f'i{i}', n + 1) for n, i in enumerate(left[:k])]
    assert rows(table) == expected


def test_no_users_give_an_empty_table(small):
    table = recommend(*small, users=[], k=2)
    assert len(table) == 0
    assert list(table.columns) == ['user', 'item', 'score', 'rank']


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'k': 5}, GraphError, r"'k' is 5.* 4 items"),
        ({'k': 0}, GraphError, 'positive integer'),
        ({'users': [7]}, UnknownIdError, '7'),
        ({'users': ['100']}, GraphError, 'integers'),
        ({'users': '100'}, GraphError, 'need to be a list'),
        ({'items': ['x']}, UnknownIdError, "'x'"),
        ({'exclude': ['x']}, UnknownIdError, "'x'"),
        ({'history': ['x']}, UnknownIdError, "'x'"),
        ({'history': []}, GraphError, 'empty'),
        ({'history': {'Ann': []}}, GraphError, "'Ann' is empty"),
        ({'history': 'i0'}, GraphError, "'history'"),
        ({'history': ['i0'], 'users': [100]}, GraphError, 'not both'),
    ],
)
def test_bad_arguments(small, arguments, error, message):
    with pytest.raises(error, match=message):
        recommend(*small, **{'k': 1, **arguments})


def test_model_that_knows_no_strangers():
    with pytest.raises(GraphError, match='Scores cannot serve'):
        recommend(Scores(2, 4), graph(2, 4, [[0, 0]]), history=['i0'], k=1)


def test_export_of_vectors(small, tmp_path):
    model, data = small
    for _ in range(2):  # The second one takes the place of the first.
        folder = export_vectors(model, data, tmp_path / 'vectors')
    assert np.array_equal(np.load(folder / 'user.npy'), model.user.numpy())
    assert np.array_equal(np.load(folder / 'item.npy'), model.item.numpy())
    ids = json.loads((folder / 'ids.json').read_text())
    assert ids == {'user': [100, 101], 'item': ['i0', 'i1', 'i2', 'i3']}
    assert [p.name for p in tmp_path.iterdir()] == ['vectors']


def test_export_keeps_what_is_not_its_own(small, tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(GraphError, match='other things'):
        export_vectors(*small, tmp_path)
    assert (tmp_path / 'notes.txt').read_text() == 'mine'
    with pytest.raises(GraphError, match='Scores has no vectors'):
        export_vectors(Scores(2, 4), small[1], tmp_path / 'vectors')
    with pytest.raises(GraphError, match='could not be written'):
        export_vectors(*small, tmp_path / 'notes.txt' / 'vectors')


@pytest.fixture
def many():
    generator = torch.Generator().manual_seed(0)
    model = Fixed(
        torch.randn(40, 16, generator=generator), torch.randn(500, 16, generator=generator)
    )
    return model, graph(40, 500, [[0, 0]])


def test_flat_index_agrees_with_exact_search(many):
    pytest.importorskip('faiss')
    model, data = many
    assert check_index(build_index(model), model, data, k=20) == 1.0
    assert check_index(build_index(model), model, data, k=5, users=[103, 139]) == 1.0
    assert check_index(build_index(model, 'hnsw'), model, data, k=20) > 0.9


def test_check_counts_what_an_index_misses(many):
    model, data = many

    class Half:
        def search(self, vectors, k):
            found = (torch.from_numpy(vectors) @ model.item.t()).topk(k).indices
            found[:, k // 2 :] = -1
            return None, found.numpy()

    assert check_index(Half(), model, data, k=20) == 0.5


def test_index_arguments(many):
    pytest.importorskip('faiss')
    with pytest.raises(GraphError, match="'kind'"):
        build_index(many[0], 'tree')
    with pytest.raises(GraphError, match='length'):
        build_index(many[0], 'hnsw', length=3)
    with pytest.raises(GraphError, match='has no vectors'):
        build_index(Scores(2, 4))


def test_index_without_faiss(many, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'faiss', None)
    with pytest.raises(GraphError, match=r"install 'graphrec\[faiss\]'"):
        build_index(many[0])


@pytest.mark.parametrize('kind', [torch.tensor, np.array, pd.Series, lambda ids: iter(ids)])
def test_ids_in_any_container(kind):
    data = planted(num_users=20, num_items=15, num_interactions=120, seed=2)
    model = Popularity.from_graph(data)
    expected = recommend(model, data, users=[3, 1], items=[2, 4, 5], k=2)
    pd.testing.assert_frame_equal(
        recommend(model, data, users=kind([3, 1]), items=kind([2, 4, 5]), k=2), expected
    )
    expected = recommend(model, data, history=[2, 4], k=2)
    pd.testing.assert_frame_equal(recommend(model, data, history=kind([2, 4]), k=2), expected)


@pytest.mark.parametrize('arguments', [{'users': 3}, {'items': 3}, {'exclude': 3}, {'history': 3}])
def test_a_single_id_is_explained(arguments):
    data = planted(num_users=20, num_items=15, num_interactions=120, seed=2)
    with pytest.raises(GraphError, match=r'list .*\(got 3\)'):
        recommend(Popularity.from_graph(data), data, k=2, **arguments)
