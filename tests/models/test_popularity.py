import torch
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import HOLDOUT_TEST, INTERACTS
from graphrec.models.popularity import Popularity


def small_graph() -> HeteroData:
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 3, 4
    data[INTERACTS].edge_index = torch.tensor([[0, 0, 1, 2], [1, 2, 1, 1]])
    return data


def test_scores_are_training_degrees_for_everyone():
    model = Popularity.from_graph(small_graph())
    expected = torch.tensor([0.0, 3.0, 1.0, 0.0])
    assert torch.equal(model.score(torch.tensor([2, 0])), expected.repeat(2, 1))
    assert torch.equal(model.rank_history([torch.tensor([3]), torch.tensor([])])[1], expected)
    assert not model.is_trainable
    assert model.state_dict() == {}


def test_scores_are_fresh_tensors():
    model = Popularity.from_graph(small_graph())
    model.score(torch.tensor([0])).fill_(-1)
    model.rank_history([torch.tensor([0])]).fill_(-1)
    assert model.degree.tolist() == [0, 3, 1, 0]


def test_refresh_follows_an_edit_and_heldout_edges_change_nothing():
    data = small_graph()
    model = Popularity.from_graph(data)
    data[HOLDOUT_TEST].edge_index = torch.tensor([[0], [3]])
    model.refresh(data)
    assert model.degree.tolist() == [0, 3, 1, 0]
    data[INTERACTS].edge_index = data[INTERACTS].edge_index[:, :2]
    model.refresh(data)
    assert model.degree.tolist() == [0, 1, 1, 0]
