import pytest
import torch

from graphrec.errors import GraphError
from graphrec.models.lgmrec import LGMRec

USERS, ITEMS = 7, 6
ALL = torch.arange(USERS)
NAMES = ('visual', 'text')


def build(data, **config):
    model = LGMRec.from_graph(data, **{'dim': 4, 'init_std': 0.5, 'num_hyperedges': 3, **config})
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != 'embedding' and not name.startswith('x_'):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


def weight(layer):
    return layer.weight.double().t()


def normed(x):
    norm = x.norm(dim=1, keepdim=True)
    return torch.where(norm > 0, x / norm.clamp(min=1e-12), 0.0)


def parts(model, data, dense, hyperedges=None):
    """Final rows, users first, and the global views; :obj:`hyperedges` replace those without
    noise."""
    config, r, a = model.config, dense.incidence(data), dense.adjacency(data)
    c = dense.lgn(data, model.embedding.double(), config.num_layers)
    z, views = c, []
    for place, name in enumerate(NAMES):
        x = getattr(model, f'x_{name}').double()
        f = x @ weight(model.projection[name])
        f = torch.cat([r @ f / r.sum(1, keepdim=True).clamp(min=1), f])
        z = z + normed(torch.linalg.matrix_power(a, config.num_feature_layers) @ f)
        if hyperedges is None:
            logits = x @ weight(model.membership[name])
            h_item, h_user = (
                (part / config.hyperedge_temperature).softmax(1) for part in (logits, r @ logits)
            )
        else:
            h_item, h_user = hyperedges[place]
        item = c[USERS:]
        for _ in range(config.num_global_layers):
            centre = h_item.t() @ item
            item, user = h_item @ centre, h_user @ centre
        views.append(torch.cat([user, item]))
    return z + config.global_weight * normed(sum(views)), views


@pytest.mark.parametrize('layers', [0, 1, 2])
@pytest.mark.parametrize('steps', [0, 1, 2])
@pytest.mark.parametrize('passes', [1, 2, 4])
def test_served_embeddings_equal_the_equation(featured, dense, layers, steps, passes):
    model = build(
        featured, num_layers=layers, num_feature_layers=steps, num_global_layers=passes
    ).eval()
    out = torch.cat(list(model().values())).double()
    torch.testing.assert_close(out, parts(model, featured, dense)[0], atol=1e-5, rtol=1e-5)


def hand_contrast(one, other, ids):
    """The sum over a batch of -log of the softmax over all nodes, repeats included."""
    one, other = (x / x.norm(dim=1, keepdim=True) for x in (one, other))
    total = 0.0
    for n in ids:
        total = total - torch.log(
            torch.exp(one[n] @ other[n] / 0.2) / torch.exp(other @ one[n] / 0.2).sum()
        )
    return total


@pytest.mark.parametrize('freeze', [True, False])
def test_loss_and_gradients_equal_the_equation(featured, triples, dense, freeze):
    model = build(featured, reg=0.2, contrast_weight=0.3, freeze_features=freeze).double()
    model.eval()  # Without noise and dropout.
    loss = model.loss(triples)
    names = [name for name, _ in model.named_parameters()]
    grads = torch.autograd.grad(loss, list(model.parameters()))

    z, (one, other) = parts(model, featured, dense)
    expected = dense.bpr(z[:USERS], z[USERS:], triples)
    user, pos, neg = triples
    for rows in (z[user], z[USERS + pos], z[USERS + neg]):
        expected = expected + 0.2 / 4 * rows.square().sum().sqrt()
    expected = expected + 0.3 * hand_contrast(one[:USERS], other[:USERS], user)
    expected = expected + 0.3 * hand_contrast(one[USERS:], other[USERS:], pos)
    expected_grads = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
    for name, grad, wanted in zip(names, grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, wanted, atol=1e-5, rtol=1e-4, msg=name)


def test_training_is_the_equation_with_the_noise_that_it_drew(featured, dense):
    model, drawn = build(featured), []
    model.begin_epoch(torch.Generator().manual_seed(3))
    original = model.memberships

    def record(*logits):
        drawn.append(original(*logits))
        return drawn[-1]

    model.memberships = record
    out = torch.cat(list(model().values())).double()
    hyperedges = [tuple(h.double() for h in pair) for pair in drawn]
    expected, _ = parts(model, featured, dense, hyperedges)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_rows_of_hyperedges_sum_to_one(featured):
    logits = torch.randn(50, 3)
    noisy, plain = build(featured, keep=1.0), build(featured, keep=1.0).eval()
    torch.testing.assert_close(noisy.memberships(logits, logits)[0].sum(1), torch.ones(50))
    soft, same = plain.memberships(logits, logits)
    torch.testing.assert_close(soft, (logits / 0.2).softmax(1))
    assert torch.equal(soft, same)
    featureless = plain.memberships(torch.zeros(1, 3), logits)[0]
    torch.testing.assert_close(featureless, torch.full((1, 3), 1 / 3))


def test_gumbel_noise_chooses_with_the_probability_of_the_softmax(featured):
    model = build(featured, keep=1.0)
    logits = torch.tensor([[0.0, 1.0, -0.5]]).expand(20000, 3)
    chosen = model.memberships(logits, logits)[0].argmax(1)
    share = torch.bincount(chosen, minlength=3) / 20000
    torch.testing.assert_close(share, logits[0].softmax(0), atol=0.015, rtol=0)


def test_dropout_keeps_a_share_and_the_mean(featured):
    model, logits = build(featured, keep=0.3), torch.zeros(20000, 3)
    dropped = model.memberships(logits, logits)[0]
    assert abs(float((dropped > 0).float().mean()) - 0.3) < 0.01
    assert abs(float(dropped.mean()) - 1 / 3) < 0.01


def test_serving_draws_noise_only_if_asked(featured):
    model = build(featured)
    assert torch.equal(model.score(ALL), model.score(ALL))
    noisy = build(featured, gumbel_in_serving=True)
    assert not torch.equal(noisy.score(ALL), noisy.score(ALL))


@pytest.mark.parametrize('steps', [0, 1, 2])
def test_rank_history_is_the_trained_graph_with_one_more_node(featured, dense, steps):
    model = build(featured, num_layers=1, num_feature_layers=steps, num_global_layers=2)
    z_items = parts(model, featured, dense)[0][USERS:]
    r, a = dense.incidence(featured), dense.adjacency(featured)
    row = torch.zeros(ITEMS, dtype=torch.float64)
    row[[1, 2]] = (2 * r.sum(0)[[1, 2]]).rsqrt()
    e = model.embedding.double()
    behaviour = dense.lgn(featured, e, 1)[USERS:]
    z, total = row @ e[USERS:] / 2, 0.0
    for name in NAMES:
        x = getattr(model, f'x_{name}').double()
        f = x @ weight(model.projection[name])
        if steps:
            f = torch.cat([r @ f / r.sum(1, keepdim=True).clamp(min=1), f])
            f = row @ (torch.linalg.matrix_power(a, steps - 1) @ f)[USERS:]
        else:
            f = (f[1] + f[2]) / 2
        z = z + f / f.norm()
        logits = x @ weight(model.membership[name])
        h_item, h_user = ((part / 0.2).softmax(-1) for part in (logits, logits[1] + logits[2]))
        total = total + h_user @ h_item.t() @ h_item @ h_item.t() @ behaviour
    z = z + model.config.global_weight * total / total.norm()
    scores = model.rank_history([torch.tensor([1, 2])])[0].double()
    torch.testing.assert_close(scores, (z_items @ z).detach(), atol=1e-5, rtol=1e-5)
    assert model.training


@pytest.mark.parametrize(
    'config',
    [
        {'keep': 0.0},
        {'num_hyperedges': 0},
        {'num_global_layers': 0},
        {'hyperedge_temperature': 0.0},
        {'temperature': 0.0},
        {'contrast_weight': -1.0},
        {'global_weight': -1.0},
        {'num_feature_layers': -1},
    ],
)
def test_bad_config_names_the_field(featured, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        build(featured, **config)
