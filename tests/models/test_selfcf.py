import pytest
import torch
from torch.nn import functional as F

import graphrec
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import LightGCN, SelfCF

USERS, ITEMS = 8, 6


@pytest.fixture
def data(make_graph):
    return make_graph(USERS, ITEMS, 0.5)


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 6], [0, 2, 3, 2], [5, 4, 3, 0]]))


def build(data, variant='ed', **config):
    return SelfCF.from_graph(data, dim=4, variant=variant, **config)


def equation(model, z, t, batch, reg):
    q, user, item = model.predictor, batch.user, USERS + batch.pos
    cosines = F.cosine_similarity(q(z[user]), t[item]) + F.cosine_similarity(q(z[item]), t[user])
    norms = z[user].square().sum() + z[item].square().sum()
    return -cosines.mean() / 2 + reg / 2 * norms


def test_loss_is_the_equation_and_no_gradient_reaches_targets(data, batch):
    model = build(data, dropout=0.0, reg=0.1).double()
    z = LightGCN.forward(model)
    z = torch.cat([z['user'], z['item']])
    expected = equation(model, z, z.detach(), batch, 0.1)
    loss = model.loss(batch)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, model.embedding)[0] for value in (loss, expected))
    )


def test_identical_views_have_the_least_loss(data, batch):
    """Without dropout, an online network that is its target: both cosines are 1."""
    model = build(data, dropout=0.0, reg=0.0)
    with torch.no_grad():
        model.embedding.fill_(1.0)
        model.predictor.weight.copy_(torch.eye(4))
        model.predictor.bias.zero_()
    torch.testing.assert_close(model.loss(batch), torch.tensor(-1.0))


def test_history_is_the_last_visit(data, batch):
    model = build(data, 'he', momentum=0.3, reg=0.0).double().train()
    first = model.last.clone()
    z = LightGCN.forward(model)
    z = torch.cat([z['user'], z['item']])
    visited = torch.cat([batch.user, USERS + batch.pos]).unique()
    target = (0.3 * first + 0.7 * z).detach()
    torch.testing.assert_close(model.loss(batch), equation(model, z, target, batch, 0.0))
    torch.testing.assert_close(model.last[visited], z[visited].detach())
    others = torch.ones(USERS + ITEMS, dtype=torch.bool)
    others[visited] = False
    assert torch.equal(model.last[others], first[others])
    # At momentum 0 the target is the online network.
    online = build(data, 'he', momentum=0.0, reg=0.0).double().train()
    torch.testing.assert_close(online.loss(batch), equation(online, z, z.detach(), batch, 0.0))


def test_pruned_graph_is_the_target(data, batch):
    model = build(data, 'ep', dropout=0.5, reg=0.0).double()
    model.begin_epoch(torch.Generator().manual_seed(0))
    z = LightGCN.forward(model)
    z = torch.cat([z['user'], z['item']])
    pruned = model._pruned.op.to_dense()
    assert 0 < int((pruned != 0).sum()) < model.adjacency.nnz
    e = model.embedding
    target = ((e + pruned @ e + pruned @ (pruned @ e)) / 3).detach()
    torch.testing.assert_close(model.loss(batch), equation(model, z, target, batch, 0.0))


@pytest.mark.parametrize('variant', ['ed', 'he', 'ep'])
def test_perturbation_is_for_training_and_repeats_with_the_seed(data, batch, variant):
    losses = []
    for seed in (0, 0, 1):
        model = build(data, variant, dropout=0.5).train()
        model.begin_epoch(torch.Generator().manual_seed(seed))
        losses.append(float(model.loss(batch).detach()))
    assert losses[0] == losses[1]
    assert (losses[0] != losses[2]) == (variant != 'he')
    model.eval()
    assert torch.equal(model.loss(batch), model.loss(batch))


def test_score_is_that_of_the_online_network(data):
    model = build(data)
    z, q = LightGCN.forward(model), model.predictor
    expected = q(z['user']) @ z['item'].t() + z['user'] @ q(z['item']).t()
    torch.testing.assert_close(model.score(torch.arange(USERS)), expected.detach())


@pytest.mark.parametrize('variant', ['ed', 'he', 'ep'])
def test_a_run_killed_in_an_epoch_goes_on_with_the_same_bits(data, killed_run, variant):
    whole, resumed = killed_run(data, lambda: build(data, variant))
    assert all(
        torch.equal(value, whole.state_dict()[name]) for name, value in resumed.state_dict().items()
    )


def test_training_separates_what_was_seen(data):
    model = build(data, reg=0.0)
    graphrec.fit(model, data, epochs=40, batch_size=16, lr=0.02, progress=False)
    score = model.score(torch.arange(USERS))
    seen = torch.zeros(USERS, ITEMS, dtype=torch.bool)
    seen[tuple(data['user', 'interacts', 'item'].edge_index)] = True
    assert score[seen].mean() > score[~seen].mean()


@pytest.mark.parametrize('config', [{'variant': 'xx'}, {'momentum': -1.0}, {'dropout': 1.0}])
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        SelfCF.from_graph(data, **config)
