import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

import graphrec
from graphrec.datasets.planted import planted
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch, BPRSampler
from graphrec.graphs.schema import HOLDOUT_TEST, INTERACTS
from graphrec.models.mf import MF


def small_graph() -> HeteroData:
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 3, 4
    data[INTERACTS].edge_index = torch.tensor([[0, 0, 1, 2], [1, 2, 1, 3]])
    return data


def slow_loss(model: MF, batch: BPRBatch) -> torch.Tensor:
    """The formula, one triple after the other."""
    z = model.forward()
    negatives = batch.neg.view(batch.user.numel(), -1)
    total = torch.zeros((), dtype=z['user'].dtype)
    for row in range(batch.user.numel()):
        p, q = z['user'][batch.user[row]], z['item'][batch.pos[row]]
        total = total + model.config.reg / 2 * (p.dot(p) + q.dot(q))
        for j in negatives[row]:
            other = z['item'][j]
            gap = p.dot(q) - p.dot(other)
            part = -gap.sigmoid().log() + model.config.reg / 2 * other.dot(other)
            total = total + part / negatives.size(1)
    return total / batch.user.numel()


@pytest.mark.parametrize('shape', [(5,), (5, 1), (5, 3)])
def test_loss_and_gradient_equal_the_formula(shape):
    model = MF.from_graph(small_graph(), dim=4, reg=0.3, init_std=1.0).double()
    generator = torch.Generator().manual_seed(0)
    batch = BPRBatch(
        torch.tensor([0, 0, 1, 2, 2]),  # Rows repeat, so gradients have to add up.
        torch.tensor([1, 2, 1, 3, 3]),
        torch.randint(4, shape, generator=generator),
    )
    fast, slow = model.loss(batch), slow_loss(model, batch)
    assert torch.allclose(fast, slow, rtol=1e-12)
    left = torch.autograd.grad(fast, model.embedding)[0]
    right = torch.autograd.grad(slow, model.embedding)[0]
    assert torch.allclose(left, right, rtol=1e-10, atol=1e-14)


def test_gradcheck():
    model = MF.from_graph(small_graph(), dim=3, reg=0.1, init_std=1.0).double()
    batch = BPRBatch(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([[0, 3], [1, 1]]))

    def loss(table: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(_Loss(model), {'model.embedding': table}, (batch,))

    table = model.embedding.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (table,))


class _Loss(torch.nn.Module):
    def __init__(self, model: MF) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: BPRBatch) -> torch.Tensor:
        return self.model.loss(batch)


def test_extreme_scores_stay_finite():
    model = MF.from_graph(small_graph(), dim=2, reg=0.0)
    with torch.no_grad():
        model.embedding.fill_(100.0)
        model.embedding[3 + 1].fill_(-100.0)
    batch = BPRBatch(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    assert model.loss(batch).item() == pytest.approx(4e4)


def test_training_learns_the_planted_blocks():
    # Users 0-4 have items 0-4 but one each, users 5-9 items 5-9 likewise.
    user, item = torch.meshgrid(torch.arange(10), torch.arange(10), indexing='ij')
    inside = (user // 5 == item // 5) & (user % 5 != item % 5)
    data = HeteroData()
    data['user'].num_nodes = data['item'].num_nodes = 10
    data[INTERACTS].edge_index = torch.stack([user[inside], item[inside]])
    model = MF.from_graph(data, dim=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(0)
    edge_user, pos = data[INTERACTS].edge_index
    for _ in range(100):
        other = (pos + 5 - pos % 5 + torch.randint(5, pos.shape, generator=generator)) % 10
        optimizer.zero_grad()
        model.loss(BPRBatch(edge_user, pos, other)).backward()
        optimizer.step()
    best = model.score(torch.arange(10)).topk(5).indices // 5
    assert torch.equal(best, (torch.arange(10) // 5)[:, None].expand(10, 5))


def test_scores_are_dot_products_and_seeded():
    data = small_graph()
    model, same = MF.from_graph(data, seed=1), MF.from_graph(data, seed=1)
    assert torch.equal(model.embedding, same.embedding)
    assert not torch.equal(model.embedding, MF.from_graph(data, seed=2).embedding)
    user, item = model.embedding[:3], model.embedding[3:]
    assert torch.allclose(model.score(torch.tensor([2, 0])), user[[2, 0]] @ item.t())
    assert model.embedding.std().item() == pytest.approx(0.1, rel=0.2)


def test_heldout_edges_change_nothing_and_refresh_keeps_the_parameters():
    data = small_graph()
    model = MF.from_graph(data)
    before = model.embedding.detach().clone()
    data[HOLDOUT_TEST].edge_index = torch.tensor([[1], [3]])
    model.refresh(data)
    assert torch.equal(model.embedding, before)
    assert torch.equal(MF.from_graph(data).embedding, before)


def test_unknown_people_are_placed_among_their_items():
    model = MF.from_graph(small_graph(), dim=5)
    item = model.embedding[3:].detach()
    scores = model.rank_history([torch.tensor([1, 3, 3]), torch.tensor([], dtype=torch.long)])
    assert torch.allclose(scores[0], item @ item[[1, 3]].mean(0), atol=1e-6)
    assert scores[1].count_nonzero() == 0
    assert not scores.requires_grad
    with pytest.raises(GraphError, match='item number 4'):
        model.rank_history([torch.tensor([4])])


@pytest.mark.parametrize(('setting', 'value'), [('dim', 0), ('reg', -1.0), ('init_std', 0.0)])
def test_bad_settings_are_named(setting, value):
    with pytest.raises(GraphError, match=f"'{setting}'.*{value}"):
        MF.from_graph(small_graph(), **{setting: value})


def test_sparse_steps_touch_only_the_rows_of_a_batch():
    data = graphrec.datasets.planted(num_users=60, num_items=40, seed=0)
    model = MF.from_graph(data, dim=4, reg=0.0, sparse=True)
    dense = MF.from_graph(data, dim=4, reg=0.0)
    batch = next(iter(BPRSampler(data, 5).epoch(torch.Generator().manual_seed(0))))
    grads = [torch.autograd.grad(m.loss(batch), m.embedding)[0] for m in (model, dense)]
    assert grads[0].is_sparse
    torch.testing.assert_close(grads[0].to_dense(), grads[1])
    history = graphrec.fit(model, data, epochs=15, lr=0.02, batch_size=64, progress=False)
    assert history['loss'].iloc[-1] < 0.8 * history['loss'].iloc[0]
    with pytest.raises(GraphError, match=r"'weight_decay' is 0\.1"):
        graphrec.fit(model, data, epochs=1, weight_decay=0.1, progress=False)


def test_score_takes_numbers_lists_arrays_and_tensors():
    data = planted(num_users=20, num_items=15, num_interactions=120, seed=2)
    model = MF.from_graph(data, dim=4)
    table = model.score(torch.arange(20))
    assert table.shape == (20, 15)
    assert torch.allclose(model.score(3, 5), table[3, 5])
    assert model.score(3, 5).dim() == 0
    assert torch.allclose(model.score(3), table[3])
    assert torch.allclose(model.score([3], np.array([5, 6])), table[3, [5, 6]])
    assert torch.allclose(model.score([3, 4], torch.tensor([5, 6])), table[[3, 4], [5, 6]])
    pairs = model.score(torch.tensor([3, 4]), torch.tensor([[5, 6, 7], [8, 9, 1]]))
    assert torch.allclose(pairs, table[[[3], [4]], [[5, 6, 7], [8, 9, 1]]])
    with pytest.raises(GraphError, match="'item' has shape"):
        model.score([3, 4], [5, 6, 7])
