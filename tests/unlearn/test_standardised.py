import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.unlearn.standardised import candidate_items, user_scores


@pytest.fixture
def data():
    graph = HeteroData()
    graph['user'].num_nodes, graph['item'].num_nodes = 3, 5
    graph['user', 'interacts', 'item'].edge_index = torch.tensor([[0, 0, 2], [0, 1, 4]])
    graph['item'].is_removed = torch.tensor([False, False, False, True, False])
    return graph


def test_moments_are_over_unobserved_candidates(data):
    scores = torch.tensor(
        [[9.0, 9, 1, 50, 3], [2, 4, 6, 50, 8], [1, 2, 3, 50, 7]], dtype=torch.float64
    )
    pairs = torch.tensor([[2, 0, 0], [2, 1, 4]])
    found = user_scores(lambda index: scores[index].clone(), data, pairs)
    assert found.users.tolist() == [0, 2]
    assert found.raw.tolist() == [3, 9, 3]
    # User 0 has items 0 and 1, item 3 is removed: items 2 and 4 are left, scores 1 and 3.
    assert found.mean.tolist() == pytest.approx([2, 2])
    assert found.std[0] == pytest.approx(1)
    assert found.std[1] == pytest.approx((2 / 3) ** 0.5)
    assert found.z.tolist() == pytest.approx([1 / (2 / 3) ** 0.5, 7, 1])


def test_blocks_do_not_change_anything(data, monkeypatch):
    scores = torch.randn(3, 5)
    pairs = torch.tensor([[2, 0, 1, 0, 2], [2, 2, 1, 4, 0]])
    whole = user_scores(lambda index: scores[index], data, pairs)
    calls = []

    def ranker(index):
        calls.append(index.numel())
        return scores[index]

    monkeypatch.setattr('graphrec.unlearn.standardised._BLOCK_USERS', 1)
    monkeypatch.setattr('graphrec.unlearn.standardised._BLOCK_BYTES', 1)
    parts = user_scores(ranker, data, pairs)
    assert calls == [1, 1, 1]
    assert torch.equal(whole.z, parts.z)


def test_no_pairs_and_no_mask(data):
    del data['item'].is_removed
    assert candidate_items(data).all()
    found = user_scores(lambda index: None, data, torch.zeros(2, 0, dtype=torch.long))
    assert found.z.numel() == 0
