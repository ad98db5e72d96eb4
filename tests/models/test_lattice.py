import copy

import pytest
import torch

from graphrec.errors import GraphError
from graphrec.models.lattice import LATTICE

USERS, ITEMS = 7, 6
ALL = torch.arange(USERS)


def build(data, **config):
    model = LATTICE.from_graph(data, **{'dim': 4, 'k': 3, 'init_std': 0.5, **config})
    with torch.no_grad():
        model.importance.copy_(torch.tensor([0.7, -0.4]))
    return model


def projected(model, name):
    return getattr(model, f'x_{name}').double() @ model.projection[name].weight.double().t()


def final(model, data, dense, layers=2, keep=0.9):
    """The equations on I x I matrices, differentiable in all parameters."""
    share = model.importance.double().softmax(0)
    learned = original = 0.0
    for place, name in enumerate(('visual', 'text')):
        x = projected(model, name)
        chosen = dense.cosines(x.detach(), 3)
        norm = x.norm(dim=1).clamp(min=1e-9)
        cosine = (x @ x.t()) / norm[:, None] / norm[None]
        cosine = torch.where(torch.eye(ITEMS, dtype=torch.bool), 1.0, cosine)
        learned = learned + share[place] * torch.where(chosen > 0, cosine, 0.0)
        raw = dense.cosines(data['item'][f'x_{name}'], 3).clamp(min=0)
        original = original + share[place] * dense.scaled(raw)
    s = (1 - keep) * dense.scaled(learned) + keep * original
    e = model.embedding.double()
    z = dense.lgn(data, e, layers)
    h = s @ e[USERS:]
    return z[:USERS], z[USERS:] + h / h.norm(dim=1, keepdim=True)


@pytest.mark.parametrize('layers', [0, 1, 2])
@pytest.mark.parametrize('keep', [0.0, 0.3, 0.9, 1.0])
def test_forward_equals_the_equation(featured, dense, layers, keep):
    model = build(featured, num_layers=layers, original_weight=keep)
    user, item = final(model, featured, dense, layers, keep)
    z = model()
    torch.testing.assert_close(z['user'].double(), user, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(z['item'].double(), item, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('freeze', [True, False])
def test_loss_and_gradients_equal_the_equation(featured, triples, dense, freeze):
    featured['item'].x_visual[3] = 0.5  # The dense form has no gradient at zero rows.
    featured['item'].x_text[3] = -0.5
    model = build(featured, reg=0.2, original_weight=0.4, freeze_features=freeze).double()
    model.begin_epoch(torch.Generator().manual_seed(0))
    loss = model.loss(triples)
    names = [name for name, _ in model.named_parameters()]
    grads = torch.autograd.grad(loss, list(model.parameters()))

    user, item = final(model, featured, dense, keep=0.4)
    expected = dense.bpr(user, item, triples)
    for u, i, j in zip(*triples, strict=True):
        norms = user[u].square().sum() + item[i].square().sum() + item[j].square().sum()
        expected = expected + 0.2 / 2 * norms / 4
    expected_grads = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
    for name, grad, other in zip(names, grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, other, atol=1e-5, rtol=1e-4, msg=name)


def test_every_batch_trains_the_graph_on_the_neighbours_of_the_epoch(featured, triples):
    model = build(featured)
    model.begin_epoch(torch.Generator().manual_seed(0))
    nearest = model.nearest.clone()
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        (grad,) = torch.autograd.grad(model.loss(triples), model.projection['text'].weight)
        assert grad.abs().sum() > 0
        with torch.no_grad():
            noise = torch.randn(4, 4, generator=generator)
            model.projection['text'].weight.neg_().add_(noise)
    assert torch.equal(model.nearest, nearest)
    assert not torch.equal(model.search(), nearest)
    model.begin_epoch(torch.Generator().manual_seed(1))
    assert torch.equal(model.nearest, model.search())


def test_serving_follows_the_features_of_the_moment(featured, dense):
    model = build(featured)
    model.begin_epoch(torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.projection['visual'].weight.copy_(torch.randn(4, 5))
    user, item = final(model, featured, dense)
    torch.testing.assert_close(
        model.score(ALL).double(), (user @ item.t()).detach(), atol=1e-5, rtol=1e-4
    )


def test_a_run_that_was_killed_goes_on_with_the_neighbours_of_its_epoch(featured, triples):
    model = build(featured)
    model.begin_epoch(torch.Generator().manual_seed(5))
    with torch.no_grad():
        model.projection['text'].weight.copy_(torch.randn(4, 4))
    state, nearest = copy.deepcopy(model.state_dict()), model.nearest.clone()
    other = build(featured)
    other.load_state_dict(state)
    other.begin_epoch(torch.Generator().manual_seed(5))
    assert torch.equal(other.nearest, nearest)
    assert torch.equal(other.loss(triples), model.loss(triples))
    other.begin_epoch(torch.Generator().manual_seed(5))  # Not restored any more.
    assert torch.equal(other.nearest, other.search())


def test_an_edit_forgets_the_neighbours_of_the_epoch(featured, triples):
    model = build(featured, freeze_features=True)
    model.begin_epoch(torch.Generator().manual_seed(0))
    other = copy.copy(featured)
    other['item'].x_text = featured['item'].x_text.flip(0)
    model.refresh(other)
    fresh = build(other, freeze_features=True)
    assert torch.equal(model.loss(triples), fresh.loss(triples))


def test_rank_history_is_the_trained_graph_with_one_more_node(featured, dense):
    model = build(featured, num_layers=1)
    e = model.embedding.detach().double()
    degree = dense.incidence(featured).sum(0)
    vector = sum(e[USERS + i] / (2 * degree[i]).sqrt() / 2 for i in (1, 2))
    expected = vector @ final(model, featured, dense, 1)[1].detach().t()
    scores = model.rank_history([torch.tensor([1, 2])])[0].double()
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('config', [{'k': 0}, {'k': 99}, {'original_weight': 1.5}])
def test_bad_config_names_the_field(featured, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        build(featured, **config)
