import pytest
import torch

from graphrec.errors import GraphError
from graphrec.models.mgcn import MGCN

USERS, ITEMS = 7, 6
NAMES = ('visual', 'text')


def build(data, **config):
    model = MGCN.from_graph(data, **{'dim': 4, 'k': 3, 'init_std': 0.5, **config})
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != 'embedding' and not name.startswith('x_'):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


def linear(layer, x):
    out = x @ layer.weight.double().t()
    return out if layer.bias is None else out + layer.bias.double()


def parts(model, data, dense, layers=2):
    """Behaviour c and side s of all nodes, users first, written out from the paper."""
    e = model.embedding.double()
    c = dense.lgn(data, e, layers)
    to_users = dense.adjacency(data)[:USERS, USERS:]
    views = []
    for name in NAMES:
        x = getattr(model, f'x_{name}').double() @ model.projection[name].weight.double().t()
        pure = e[USERS:] * torch.sigmoid(linear(model.gate[name], x))
        graph = dense.scaled(dense.cosines(data['item'][f'x_{name}'], 3).clamp(min=0))
        items = graph @ pure
        views.append(torch.cat([to_users @ items, items]))
    weights = [linear(model.attention, torch.tanh(linear(model.query, h))).exp() for h in views]
    common = sum(w * h for w, h in zip(weights, views, strict=True)) / sum(weights)
    side = common
    for name, h in zip(NAMES, views, strict=True):
        side = side + torch.sigmoid(linear(model.preference[name], c)) * (h - common)
    return c, side / 3


@pytest.mark.parametrize('layers', [0, 1, 2, 3])
def test_forward_equals_the_equation(featured, dense, layers):
    model = build(featured, num_layers=layers)
    c, s = parts(model, featured, dense, layers)
    out = torch.cat(list(model().values())).double()
    torch.testing.assert_close(out, c + s, atol=1e-6, rtol=1e-5)


def contrast(side, behaviour):
    """In-batch InfoNCE with temperature 0.2, row by row."""
    side = side / side.norm(dim=1, keepdim=True)
    behaviour = behaviour / behaviour.norm(dim=1, keepdim=True)
    total = 0.0
    for n in range(len(side)):
        total = total - torch.log(
            torch.exp(side[n] @ behaviour[n] / 0.2) / torch.exp(behaviour @ side[n] / 0.2).sum()
        )
    return total / len(side)


@pytest.mark.parametrize('deduplicate', [True, False])
@pytest.mark.parametrize('freeze', [True, False])
def test_loss_and_gradients_equal_the_equation(featured, triples, dense, deduplicate, freeze):
    triples = triples._replace(user=torch.tensor([0, 2, 2, 3]))  # None without a view.
    model = build(
        featured, reg=0.2, contrast_weight=0.3, deduplicate=deduplicate, freeze_features=freeze
    ).double()
    loss = model.loss(triples)
    names = [name for name, _ in model.named_parameters()]
    grads = torch.autograd.grad(loss, list(model.parameters()))

    c, s = parts(model, featured, dense)
    z = c + s
    expected = dense.bpr(z[:USERS], z[USERS:], triples)
    for u, i, j in zip(*triples, strict=True):
        norms = sum(z[n].square().sum() for n in (u, USERS + i, USERS + j))
        expected = expected + 0.2 / 2 * norms / 4
    for ids in (triples.user, USERS + triples.pos):
        nodes = ids.unique() if deduplicate else ids
        expected = expected + 0.3 * contrast(s[nodes], c[nodes])
    expected_grads = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
    for name, grad, other in zip(names, grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, other, atol=1e-5, rtol=1e-4, msg=name)


def test_equal_modalities_leave_no_residue(featured):
    featured['item'].x_text = featured['item'].x_visual.clone()
    model = build(featured)
    with torch.no_grad():
        for module in (model.projection, model.gate):
            for one, other in zip(
                module['visual'].parameters(), module['text'].parameters(), strict=True
            ):
                other.copy_(one)
    views = model.item_views()
    torch.testing.assert_close(views[0], views[1])
    torch.testing.assert_close(model.side(torch.randn(ITEMS, 4), views), views[0] / 3)


def test_the_item_graph_is_not_that_of_row_means(featured):
    model = build(featured, k=2)
    s = model._item_graph_0.to_dense()
    assert not torch.allclose(s, s.t())
    given = torch.tensor([0, 1, 2, 4, 5])
    assert not torch.allclose(s.sum(1)[given], torch.ones(5, dtype=torch.float64), atol=1e-3)


def test_an_isolated_user_has_no_views(featured):
    model = build(featured)
    z = model()['user'][6]
    torch.testing.assert_close(z, model.embedding[6] / 3)  # Layer 0 of the mean of three.


def test_rank_history_is_the_trained_graph_with_one_more_node(featured, dense):
    model = build(featured, num_layers=1)
    e = model.embedding.detach().double()
    degree = dense.incidence(featured).sum(0)
    scale = {i: (2 * degree[i]).rsqrt() for i in (1, 2)}
    c = sum(e[USERS + i] * scale[i] / 2 for i in scale)
    items = [h.detach().double() for h in model.item_views()]
    views = [sum(h[i] * scale[i] for i in scale) for h in items]
    weights = [linear(model.attention, torch.tanh(linear(model.query, h))).exp() for h in views]
    common = sum(w * h for w, h in zip(weights, views, strict=True)) / sum(weights)
    side = common
    for name, h in zip(NAMES, views, strict=True):
        side = side + torch.sigmoid(linear(model.preference[name], c)) * (h - common)
    final = sum(parts(model, featured, dense, 1))[USERS:]
    expected = (c + side / 3) @ final.t()
    scores = model.rank_history([torch.tensor([1, 2])])[0].double()
    torch.testing.assert_close(scores, expected.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    'config', [{'k': 0}, {'k': 99}, {'temperature': 0.0}, {'contrast_weight': -1.0}]
)
def test_bad_config_names_the_field(featured, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        build(featured, **config)
