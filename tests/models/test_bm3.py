import copy

import pytest
import torch

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import BM3

USERS, ITEMS = 6, 7
ALL = torch.arange(USERS)


@pytest.fixture
def data(more_items):
    return more_items


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 5], [0, 2, 2, 4], [6, 4, 3, 0]]))


def dense_embeddings(model, data, layers):
    adjacency = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    user, item = data['user', 'interacts', 'item'].edge_index
    adjacency[user, USERS + item] = adjacency[USERS + item, user] = 1
    scale = adjacency.sum(1).clamp(min=1).rsqrt()
    adjacency = scale[:, None] * adjacency * scale[None]
    e = model.embedding.double()
    z = sum(torch.linalg.matrix_power(adjacency, power) @ e for power in range(layers + 1))
    z = z / (layers + 1)
    return z[:USERS], z[USERS:] + e[USERS:]


def unit(x):
    return x / x.square().sum(1, keepdim=True).sqrt().clamp(min=1e-8)


@pytest.mark.parametrize('layers', [0, 1, 2])
def test_scores_equal_dense_powers(data, layers):
    model = BM3.from_graph(data, dim=4, num_layers=layers)
    user, item = dense_embeddings(model, data, layers)
    weight, bias = model.predictor.weight.double(), model.predictor.bias.double()
    expected = (user @ weight.t() + bias) @ (item @ weight.t() + bias).t()
    torch.testing.assert_close(model.score(ALL).double(), expected.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('freeze_features', [True, False])
@pytest.mark.parametrize('dropout', [0.0, 0.5])
def test_loss_and_gradients_equal_the_equation(data, batch, dropout, freeze_features):
    config = {'dropout': dropout, 'freeze_features': freeze_features, 'num_layers': 2, 'reg': 0.3}
    model = BM3.from_graph(data, dim=4, feature_weight=1.5, **config).double()
    model.begin_epoch(torch.Generator().manual_seed(7))
    loss = model.loss(batch)
    grads = torch.autograd.grad(loss, list(model.parameters()))

    draws = torch.Generator().manual_seed(7)

    def target(z):
        z = z.detach()
        if not dropout:
            return z
        return torch.where(torch.rand(z.shape, generator=draws) < dropout, 0.0, z / (1 - dropout))

    def predict(z):
        return z @ model.predictor.weight.t() + model.predictor.bias

    def distance(a, b):
        return 1 - (unit(a) * unit(b)).sum(1).mean()

    z_user, z_item = dense_embeddings(model, data, 2)
    u, i = z_user[batch.user], z_item[batch.pos]
    target_u, target_i = target(u), target(i)
    expected = distance(predict(u), target_i) + distance(predict(i), target_u)
    x = [data['item'].x_text.double(), data['item'].x_visual.double()]
    if not freeze_features:
        x = [model.features[:, :3], model.features[:, 3:]]
    for linear, part in zip(model.transforms, x, strict=True):
        f = part[batch.pos] @ linear.weight.t() + linear.bias
        expected = expected + 1.5 * (
            distance(predict(f), target_i) + distance(predict(f), target(f))
        )
    norms = z_user.square().sum().sqrt() + z_item.square().sum().sqrt()
    expected = expected + 0.3 * norms / ITEMS
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
    others = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(grads, others, atol=1e-6, rtol=1e-5)


def test_gradcheck(data, batch, gradcheck):
    model = BM3.from_graph(data, dim=3, dropout=0.0, reg=0.1).double()
    # Targets are constants: they are taken from a copy that does not move.
    fixed = copy.deepcopy(model)
    z_user, z_item = (z.detach() for z in fixed.embed())
    targets = [
        z_user[batch.user],
        z_item[batch.pos],
        *(f.detach() for f in fixed.encode(batch.pos)),
    ]

    def before():
        queue = iter(targets)
        model._target = lambda z: next(queue)

    assert gradcheck(model, batch, before)


def test_identical_views_lose_nothing(data):
    """Without dropout, an online network that is its target has distance 0."""
    model = BM3.from_graph(data, dim=4, num_layers=0, dropout=0.0, reg=0.0, feature_weight=0.0)
    with torch.no_grad():
        model.embedding.copy_(torch.ones(USERS + ITEMS, 4))
        model.predictor.weight.copy_(torch.eye(4))
        model.predictor.bias.zero_()
    batch = BPRBatch(*torch.tensor([[0, 1], [0, 2], [1, 1]]))
    loss = model.loss(batch)
    torch.testing.assert_close(loss, torch.zeros(()))
    assert model.score(ALL).unique().numel() == 1


def test_no_gradient_reaches_targets(data, batch):
    model = BM3.from_graph(data, dim=4, reg=0.0)
    assert not model._target(model.embedding).requires_grad
    with torch.no_grad():
        model.predictor.weight.zero_()
        model.predictor.bias.fill_(1.0)
    model.loss(batch).backward()
    # A constant online side: whatever reached the embeddings came through a target.
    assert not model.embedding.grad.any()
    assert not model.features.grad.any()
    assert model.predictor.bias.grad.any()


def test_dropout_follows_the_epoch_and_is_absent_in_serving(data, batch):
    model = BM3.from_graph(data, dim=8)
    seen = []
    for seed in (0, 1, 0):
        model.begin_epoch(torch.Generator().manual_seed(seed))
        seen.append(model.loss(batch))
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    model.eval()
    assert torch.equal(model.loss(batch), model.loss(batch))
    assert torch.equal(model.score(ALL), model.score(ALL))


def test_features_act_through_training_only(data, batch):
    model = BM3.from_graph(data, dim=4, freeze_features=True)
    changed = copy.deepcopy(data)
    changed['item'].x_visual[0] += 1
    other = BM3.from_graph(changed, dim=4, freeze_features=True)
    assert torch.equal(model.score(ALL), other.score(ALL))
    model.eval(), other.eval()
    assert not torch.equal(model.loss(batch), other.loss(batch))
    model.refresh(changed)
    assert torch.equal(model.loss(batch), other.loss(batch))


def test_negatives_are_not_read(data, batch):
    model = BM3.from_graph(data).eval()
    assert torch.equal(model.loss(batch), model.loss(batch._replace(neg=None)))


def test_training_stays_finite_with_empty_rows(data, batch):
    model = BM3.from_graph(data, dim=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for seed in range(20):
        model.begin_epoch(torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.isfinite().all() for p in model.parameters())
    assert max(p.grad.abs().max() for p in model.parameters()) < 100
    assert model.score(ALL).isfinite().all()
    assert losses[-1] < losses[0]


def test_held_out_edges_change_nothing(data, batch):
    before = BM3.from_graph(data).eval()
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor([[5], [6]])
    after = BM3.from_graph(data).eval()
    assert torch.equal(before.loss(batch), after.loss(batch))
    assert torch.equal(before.score(ALL), after.score(ALL))


def test_scores_follow_permutations(data):
    item_of = torch.tensor([3, 0, 5, 1, 6, 2, 4])  # New number of every item.
    user_of = torch.tensor([2, 5, 0, 1, 4, 3])
    moved = copy.deepcopy(data)
    user, item = data['user', 'interacts', 'item'].edge_index
    moved['user', 'interacts', 'item'].edge_index = torch.stack([user_of[user], item_of[item]])
    for name in ('x_visual', 'x_text'):
        moved['item'][name][item_of] = data['item'][name]
    model, other = BM3.from_graph(data).eval(), BM3.from_graph(moved).eval()
    with torch.no_grad():
        other.embedding[user_of] = model.embedding[:USERS]
        other.embedding[USERS + item_of] = model.embedding[USERS:]
    torch.testing.assert_close(other.score(user_of)[:, item_of], model.score(ALL))
    users, items = torch.tensor([0, 1, 5]), torch.tensor([0, 2, 4])
    renamed = BPRBatch(user_of[users], item_of[items], items)
    torch.testing.assert_close(other.loss(renamed), model.loss(BPRBatch(users, items, items)))


def test_refresh_follows_an_edit(data):
    model = BM3.from_graph(data, dim=4)
    edited = copy.copy(data)
    edge_index = data['user', 'interacts', 'item'].edge_index
    edited['user', 'interacts', 'item'].edge_index = edge_index[:, 3:]
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.refresh(edited)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name])
    assert torch.equal(model.score(ALL), BM3.from_graph(edited, dim=4).score(ALL))


@pytest.mark.parametrize('layers', [0, 1, 2])
def test_unknown_users_are_a_node_more(data, layers):
    model = BM3.from_graph(data, dim=4, num_layers=layers)
    degree = torch.bincount(data['user', 'interacts', 'item'].edge_index[1], minlength=ITEMS)
    h = [model.embedding.detach()]
    for _ in range(layers):
        h.append(model._propagation.op @ h[-1])
    vector = 0
    for power in range(1, max(layers, 1) + 1):
        for item in (1, 3):
            part = h[power - 1][USERS + item] / (2 * degree[item].clamp(min=1)) ** 0.5
            vector = vector + (part / (layers + 1) if layers else part)
    expected = model.predictor(vector) @ model()['item'].t()
    scores = model.rank_history([torch.tensor([1, 3]), torch.tensor([6])])
    assert scores.shape == (2, ITEMS)
    torch.testing.assert_close(scores[0], expected.detach())
    assert not scores.requires_grad
    assert scores.isfinite().all()


def test_state_dict_round_trip_and_seed(data):
    first, second = BM3.from_graph(data, seed=1), BM3.from_graph(data, seed=1)
    assert torch.equal(first.score(ALL), second.score(ALL))
    other = BM3.from_graph(data, seed=2)
    assert not torch.equal(first.score(ALL), other.score(ALL))
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.score(ALL), other.score(ALL))


@pytest.mark.parametrize(
    'config',
    [
        {'dim': 0},
        {'num_layers': -1},
        {'dropout': 1.0},
        {'reg': -1.0},
        {'feature_weight': -1.0},
        {'modalities': ['smell']},
    ],
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=list(config)[-1]):
        BM3.from_graph(data, **config)
