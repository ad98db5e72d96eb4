import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs import cooccurrence
from graphrec.graphs.schema import HOLDOUT_TEST, INTERACTS
from graphrec.models.item_knn import ItemKNN


def random_graph(users: int, items: int, edges: int, seed: int = 0) -> HeteroData:
    generator = torch.Generator().manual_seed(seed)
    key = torch.randperm(users * items, generator=generator)[:edges]
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = users, items
    data[INTERACTS].edge_index = torch.stack([key // items, key % items])
    return data


def dense_matrix(data: HeteroData) -> np.ndarray:
    matrix = np.zeros((data['user'].num_nodes, data['item'].num_nodes))
    matrix[tuple(data[INTERACTS].edge_index.numpy())] = 1
    return matrix


def dense_weights(matrix: np.ndarray, k: int, shrinkage: float, similarity: str) -> np.ndarray:
    """Row i: the k most similar items of i, one item after the other."""
    count = matrix.shape[1]
    weights = np.zeros((count, count), dtype=np.float32)
    for i in range(count):
        ranked = []
        for j in range(count):
            common = matrix[:, i] @ matrix[:, j]
            left, right = matrix[:, i].sum(), matrix[:, j].sum()
            base = np.sqrt(left * right) if similarity == 'cosine' else left + right - common
            if j != i and common > 0:
                ranked.append((-np.float32(common / (base + shrinkage)), j))
        for value, j in sorted(ranked)[:k]:
            weights[i, j] = -value
    return weights


@pytest.mark.parametrize('similarity', ['cosine', 'jaccard'])
@pytest.mark.parametrize(('k', 'shrinkage'), [(1, 0.0), (3, 10.0), (50, 2.5)])
def test_equals_dense_algebra(similarity, k, shrinkage, monkeypatch):
    monkeypatch.setattr(cooccurrence, 'BLOCK_ENTRIES', 60)  # Several blocks of rows.
    data = random_graph(30, 17, 140)
    model = ItemKNN.from_graph(data, k=k, shrinkage=shrinkage, similarity=similarity)
    matrix = dense_matrix(data)
    weights = dense_weights(matrix, k, shrinkage, similarity)
    assert np.array_equal(model.neighbours.toarray(), weights)
    scores = model.score(torch.arange(30)).numpy()
    assert np.allclose(scores, matrix @ weights.T, atol=1e-6)


def test_ties_go_to_the_smaller_number():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 1, 4
    data[INTERACTS].edge_index = torch.tensor([[0, 0, 0, 0], [3, 1, 0, 2]])
    model = ItemKNN.from_graph(data, k=2, shrinkage=0.0)
    expected = [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert np.allclose(model.neighbours.toarray(), expected)


def test_item_weights_add_up_to_the_score():
    data = random_graph(12, 9, 40)
    model = ItemKNN.from_graph(data, k=3)
    history = torch.from_numpy(dense_matrix(data)).float()
    for item in range(9):
        score = model.score(torch.arange(12))[:, item]
        assert torch.allclose(history @ model.item_weights(item), score, atol=1e-6)


def test_history_of_an_unknown_person_ranks_as_that_of_a_known_one():
    data = random_graph(12, 9, 40)
    model = ItemKNN.from_graph(data, k=3)
    user, item = data[INTERACTS].edge_index
    histories = [item[user == u].repeat(2) for u in range(12)]  # Twice counts once.
    assert torch.equal(model.rank_history(histories), model.score(torch.arange(12)))
    assert model.rank_history([torch.tensor([], dtype=torch.long)]).count_nonzero() == 0
    with pytest.raises(GraphError, match='item number 9'):
        model.rank_history([torch.tensor([9])])


def test_permuting_items_permutes_scores():
    data = random_graph(40, 11, 150)
    data[INTERACTS].edge_index = data[INTERACTS].edge_index[:, :]
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    moved = HeteroData()
    moved['user'].num_nodes, moved['item'].num_nodes = 40, 11
    user, item = data[INTERACTS].edge_index
    moved[INTERACTS].edge_index = torch.stack([user, order[item]])
    # All neighbours are kept: which of two equals is kept depends on the numbers.
    before = ItemKNN.from_graph(data, k=11).score(torch.arange(40))
    after = ItemKNN.from_graph(moved, k=11).score(torch.arange(40))
    assert torch.allclose(after[:, order], before, atol=1e-6)


def test_heldout_edges_change_nothing():
    data = random_graph(12, 9, 40)
    before = ItemKNN.from_graph(data).score(torch.arange(12))
    data[HOLDOUT_TEST].edge_index = torch.tensor([[0, 1], [0, 1]])
    assert torch.equal(ItemKNN.from_graph(data).score(torch.arange(12)), before)


def test_graph_without_edges_scores_zero():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 2, 3
    data[INTERACTS].edge_index = torch.empty(2, 0, dtype=torch.long)
    assert ItemKNN.from_graph(data).score(torch.arange(2)).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ('setting', 'value'), [('k', 0), ('shrinkage', -1.0), ('similarity', 'euclid')]
)
def test_bad_settings_are_named(setting, value):
    with pytest.raises(GraphError, match=f"'{setting}'.*{value}"):
        ItemKNN.from_graph(random_graph(3, 3, 4), **{setting: value})
