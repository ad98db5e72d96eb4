import pytest
import torch
from torch.nn import functional as F

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import BUIR, LightGCN

USERS, ITEMS = 8, 6


@pytest.fixture
def data(make_graph):
    return make_graph(USERS, ITEMS, 0.5, lone_user=7)


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 6], [0, 2, 3, 2], [5, 4, 3, 0]]))


def build(data, **config):
    return BUIR.from_graph(data, **{'dim': 4, 'num_layers': 2, **config})


def test_loss_is_the_equation_and_no_gradient_reaches_the_target(data, batch):
    model = build(data).double().eval()
    generator = torch.Generator().manual_seed(0)
    model.target += 0.1 * torch.randn(model.target.shape, generator=generator)
    op, e = model.adjacency.to_dense(), model.embedding
    z, t = ((x + op @ x + op @ (op @ x)) / 3 for x in (e, model.target))
    user, item, q = batch.user, USERS + batch.pos, model.predictor
    cosines = F.cosine_similarity(q(z[user]), t[item]) + F.cosine_similarity(q(z[item]), t[user])
    expected, loss = (4 - 2 * cosines).mean(), model.loss(batch)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, model.embedding)[0] for value in (loss, expected))
    )
    assert not model.target.requires_grad


def test_target_lags_behind_the_online_network(data, batch):
    for momentum in (0.0, 0.9):
        model = build(data, momentum=momentum).train()
        start = model.embedding.detach().clone()
        model.loss(batch)
        assert torch.equal(model.target, start)  # No step was taken yet.
        with torch.no_grad():
            model.embedding.add_(1.0)
        model.loss(batch)
        expected = momentum * start + (1 - momentum) * (start + 1)
        torch.testing.assert_close(model.target, expected)
        if not momentum:
            assert torch.equal(model.target, model.embedding)


def test_target_of_the_batch_alone_moves(data, batch):
    model = build(data, momentum=0.5, moves='batch').train()
    start = model.embedding.detach().clone()
    model.loss(batch)
    with torch.no_grad():
        model.embedding.add_(1.0)
    other = BPRBatch(*torch.tensor([[5], [5], [0]]))
    model.loss(other)
    moved = (model.target - start).abs().sum(1) > 0.1
    rows = torch.cat([batch.user, USERS + batch.pos]).unique()
    assert torch.equal(moved.nonzero().squeeze(1), rows)


def test_evaluation_mode_moves_and_draws_nothing(data, batch):
    model = build(data).eval()
    with torch.no_grad():
        model.embedding.add_(1.0)
    before = model.target.clone()
    assert torch.equal(model.loss(batch), model.loss(batch))
    assert torch.equal(model.target, before)
    model.train()
    assert not torch.equal(model.loss(batch), model.loss(batch))


def test_score_uses_the_online_network_on_both_sides(data):
    model = build(data)
    plain = LightGCN.from_graph(data, dim=4, num_layers=2)
    z, q = plain(), model.predictor
    expected = q(z['user']) @ z['item'].t() + z['user'] @ q(z['item']).t()
    torch.testing.assert_close(model.score(torch.arange(USERS)), expected.detach())
    with torch.no_grad():
        model.target.zero_()
    torch.testing.assert_close(model.score(torch.arange(USERS)), expected.detach())


def test_rank_history_scores_a_person_like_a_user(data):
    model = build(data)
    plain = LightGCN.from_graph(data, dim=4, num_layers=2)
    items = torch.tensor([1, 3])
    person = plain._history_vectors([items])
    q, item = model.predictor, plain()['item']
    expected = q(person) @ item.t() + person @ q(item).t()
    torch.testing.assert_close(model.rank_history([items]), expected.detach())


@pytest.mark.parametrize('moves', ['all', 'batch'])
def test_a_run_killed_in_an_epoch_goes_on_with_the_same_bits(data, killed_run, moves):
    whole, resumed = killed_run(data, lambda: build(data, moves=moves, momentum=0.5))
    assert torch.equal(resumed.embedding, whole.embedding)
    assert torch.equal(resumed.target, whole.target)


def test_same_seed_same_parameters_and_reset(data):
    first, second = build(data, seed=4), build(data, seed=4)
    with torch.no_grad():
        for tensor in (*second.parameters(), second.target):
            tensor.zero_()
    second.reset_parameters()
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


@pytest.mark.parametrize('config', [{'momentum': 2.0}, {'max_dropout': 1.0}, {'moves': 'some'}])
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        build(data, **config)
