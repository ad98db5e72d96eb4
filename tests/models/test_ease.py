import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import HOLDOUT_TEST, INTERACTS
from graphrec.models import ease
from graphrec.models.ease import EASE, EASEConfig, solve_ease


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


def ridge_by_column(matrix: np.ndarray, regularization: float) -> np.ndarray:
    """The same problem solved item by item: a ridge regression on all other items."""
    count = matrix.shape[1]
    weights = np.zeros((count, count))
    for j in range(count):
        others = np.delete(np.arange(count), j)
        x = matrix[:, others]
        gram = x.T @ x + regularization * np.eye(count - 1)
        weights[others, j] = np.linalg.solve(gram, x.T @ matrix[:, j])
    return weights


@pytest.mark.parametrize('regularization', [0.5, 20.0, 250.0])
def test_equals_one_ridge_regression_an_item(regularization, monkeypatch):
    monkeypatch.setattr(ease, 'BLOCK_ROWS', 5)
    data = random_graph(40, 13, 160)
    model = EASE.from_graph(data, regularization=regularization)
    matrix = dense_matrix(data)
    weights = ridge_by_column(matrix, regularization)
    assert np.allclose(model.weight.numpy(), weights, atol=1e-5)
    assert model.weight.diagonal().count_nonzero() == 0
    scores = model.score(torch.arange(40)).numpy()
    assert np.allclose(scores, matrix @ weights, atol=1e-5)


def test_solves_in_place_and_in_double_precision():
    x = torch.randn(30, 6, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    gram = x.t() @ x
    weight = solve_ease(gram, 2.0)
    assert weight.data_ptr() == gram.data_ptr()
    assert np.allclose(weight.numpy(), ridge_by_column(x.numpy(), 2.0), atol=1e-12)


def test_users_without_items_and_users_in_any_order():
    data = random_graph(40, 13, 30)
    model = EASE.from_graph(data)
    expected = torch.from_numpy(dense_matrix(data)).float() @ model.weight
    user = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(model.score(user), expected[user], atol=1e-6)
    assert (dense_matrix(data).sum(1) == 0).any()


def test_item_weights_add_up_to_the_score():
    data = random_graph(20, 7, 60)
    model = EASE.from_graph(data, regularization=5.0)
    history = torch.from_numpy(dense_matrix(data)).float()
    for item in range(7):
        score = model.score(torch.arange(20))[:, item]
        assert torch.allclose(history @ model.item_weights(item), score, atol=1e-6)


def test_history_of_an_unknown_person_ranks_as_that_of_a_known_one():
    data = random_graph(20, 7, 60)
    model = EASE.from_graph(data)
    user, item = data[INTERACTS].edge_index
    histories = [item[user == u] for u in range(20)]
    scores = model.rank_history(histories)
    assert torch.allclose(scores, model.score(torch.arange(20)), atol=1e-6)
    assert model.rank_history([torch.tensor([], dtype=torch.long)]).count_nonzero() == 0


def test_permuting_users_and_items_permutes_scores():
    data = random_graph(20, 7, 60)
    generator = torch.Generator().manual_seed(1)
    users, items = torch.randperm(20, generator=generator), torch.randperm(7, generator=generator)
    moved = HeteroData()
    moved['user'].num_nodes, moved['item'].num_nodes = 20, 7
    user, item = data[INTERACTS].edge_index
    moved[INTERACTS].edge_index = torch.stack([users[user], items[item]])
    before = EASE.from_graph(data).score(torch.arange(20))
    after = EASE.from_graph(moved).score(torch.arange(20))
    assert torch.allclose(after[users][:, items], before, atol=1e-6)


def test_heldout_edges_change_nothing_and_refresh_follows_an_edit():
    data = random_graph(20, 7, 60)
    model = EASE.from_graph(data)
    before = model.score(torch.arange(20))
    data[HOLDOUT_TEST].edge_index = torch.tensor([[0, 1], [0, 1]])
    model.refresh(data)
    assert torch.equal(model.score(torch.arange(20)), before)
    data[INTERACTS].edge_index = data[INTERACTS].edge_index[:, 10:]
    model.refresh(data)
    again = EASE.from_graph(data).score(torch.arange(20))
    assert torch.equal(model.score(torch.arange(20)), again)
    assert not torch.equal(again, before)


def test_nothing_of_the_solution_is_saved():
    assert EASE.from_graph(random_graph(20, 7, 60)).state_dict() == {}


def test_memory_hint_counts_the_gram_matrix():
    hint = EASE.memory_hint(42_712, 26_822, 182_357, EASEConfig())
    assert 26_822**2 * 4 < sum(hint.values()) < 26_822**2 * 5


def test_bad_regularization_is_named():
    with pytest.raises(GraphError, match=r"'regularization'.*-1"):
        EASE.from_graph(random_graph(3, 3, 4), regularization=-1.0)
