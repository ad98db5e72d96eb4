import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch_geometric.nn import LightGCN as PyGLightGCN

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import MF, LightGCN

USERS, ITEMS = 7, 6


@pytest.fixture
def data(make_graph):
    return make_graph(USERS, ITEMS, 0.4, lone_user=6, lone_item=5)


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 6], [0, 2, 2, 1], [5, 4, 3, 0]]))


def dense_embeddings(model, data):
    """The paper's matrix form, in float64 and without any operator of ours."""
    adjacency = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    user, item = data['user', 'interacts', 'item'].edge_index
    adjacency[user, USERS + item] = adjacency[USERS + item, user] = 1
    scale = adjacency.sum(1).clamp(min=1).rsqrt()
    adjacency = scale[:, None] * adjacency * scale[None]
    e, z = model.embedding.double(), 0
    for power, weight in enumerate(model.layer_weights.tolist()):
        z = z + weight * torch.linalg.matrix_power(adjacency, power) @ e
    return z


@pytest.mark.parametrize('layers', [0, 1, 2, 3, 4])
def test_forward_equals_dense_powers(data, layers):
    model = LightGCN.from_graph(data, dim=5, num_layers=layers)
    z = model()
    out = torch.cat([z['user'], z['item']])
    torch.testing.assert_close(out.double(), dense_embeddings(model, data), atol=1e-6, rtol=1e-5)
    expected = model.embedding[[6, 12]] / (layers + 1)  # Isolated nodes keep their own.
    torch.testing.assert_close(out[[6, 12]], expected)


def test_given_layer_weights(data):
    model = LightGCN.from_graph(data, dim=5, num_layers=2, layer_weights=[0.0, 0.3, 0.7])
    out = torch.cat(list(model().values())).double()
    torch.testing.assert_close(out, dense_embeddings(model, data), atol=1e-6, rtol=1e-5)


def test_equals_pyg_lightgcn(data):
    model = LightGCN.from_graph(data, dim=5, num_layers=3)
    peer = PyGLightGCN(USERS + ITEMS, embedding_dim=5, num_layers=3)
    with torch.no_grad():
        peer.embedding.weight.copy_(model.embedding)
    user, item = data['user', 'interacts', 'item'].edge_index
    both = torch.cat([torch.stack([user, item + USERS]), torch.stack([item + USERS, user])], 1)
    torch.testing.assert_close(torch.cat(list(model().values())), peer.get_embedding(both))


@pytest.mark.parametrize('num_negatives', [1, 3])
def test_loss_and_gradient_equal_the_equation(data, num_negatives):
    model = LightGCN.from_graph(data, dim=5, num_layers=3, reg=0.1).double()
    generator = torch.Generator().manual_seed(0)
    user = torch.tensor([0, 1, 1, 6])
    pos = torch.tensor([0, 2, 2, 1])
    neg = torch.randint(ITEMS, (4, num_negatives), generator=generator)
    batch = BPRBatch(user, pos, neg.squeeze(1) if num_negatives == 1 else neg)
    loss = model.loss(batch)
    (grad,) = torch.autograd.grad(loss, model.embedding)

    z, e = dense_embeddings(model, data), model.embedding
    expected = 0.0
    for b in range(4):
        u, p = user[b], USERS + pos[b]
        for n in neg[b]:
            q = USERS + n
            margin = z[u] @ z[p] - z[u] @ z[q]
            norm = e[u].square().sum() + e[p].square().sum() + e[q].square().sum()
            expected = expected + (-F.logsigmoid(margin) + 0.05 * norm) / (4 * num_negatives)
    (expected_grad,) = torch.autograd.grad(expected, model.embedding)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(grad, expected_grad, atol=1e-6, rtol=1e-5)


def test_gradcheck(data, batch, gradcheck):
    assert gradcheck(LightGCN.from_graph(data, dim=3, num_layers=2).double(), batch)


def test_no_layers_is_mf(data, batch):
    light = LightGCN.from_graph(data, dim=4, num_layers=0, reg=0.01, seed=5)
    mf = MF.from_graph(data, dim=4, reg=0.01, seed=5)
    with torch.no_grad():
        mf.embedding.copy_(light.embedding)
    torch.testing.assert_close(light.loss(batch), mf.loss(batch))
    users = torch.arange(USERS)
    torch.testing.assert_close(light.score(users), mf.score(users))


def test_held_out_edges_change_nothing(data, batch):
    before = LightGCN.from_graph(data, dim=4)
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor([[6], [5]])
    after = LightGCN.from_graph(data, dim=4)
    assert torch.equal(before.loss(batch), after.loss(batch))


def test_scores_follow_a_permutation_of_items(data):
    model = LightGCN.from_graph(data, dim=4)
    permutation = torch.tensor([3, 0, 5, 1, 2, 4])  # New number of every item.
    moved = copy.copy(data)
    edge_index = data['user', 'interacts', 'item'].edge_index
    moved['user', 'interacts', 'item'].edge_index = torch.stack(
        [edge_index[0], permutation[edge_index[1]]]
    )
    other = LightGCN.from_graph(moved, dim=4)
    with torch.no_grad():
        other.embedding[:USERS] = model.embedding[:USERS]
        other.embedding[USERS + permutation] = model.embedding[USERS:]
    users = torch.arange(USERS)
    torch.testing.assert_close(other.score(users)[:, permutation], model.score(users))


def test_edge_dropout_is_redrawn_each_epoch_and_absent_in_serving(data):
    model = LightGCN.from_graph(data, dim=4, edge_dropout=0.5)
    full = model.eval()()['user'].clone()
    model.train()
    seen = []
    for seed in (0, 1, 0):
        model.begin_epoch(torch.Generator().manual_seed(seed))
        seen.append(model()['user'].detach())
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], full)
    torch.testing.assert_close(model.score(torch.arange(USERS)), full @ model.eval()()['item'].t())


def test_refresh_follows_an_edit(data):
    model = LightGCN.from_graph(data, dim=4)
    edited = copy.copy(data)
    edited['user', 'interacts', 'item'].edge_index = data['user', 'interacts', 'item'].edge_index[
        :, 3:
    ]
    kept = model.embedding.detach().clone()
    model.refresh(edited)
    assert torch.equal(model.embedding, kept)
    fresh = LightGCN.from_graph(edited, dim=4)
    assert torch.equal(model()['item'], fresh()['item'])


def test_rank_history_is_the_trained_graph_with_one_more_node(data):
    model = LightGCN.from_graph(data, dim=4, num_layers=3)
    layers = [h.double() for h in model.propagate_layers()]
    degree = torch.bincount(data['user', 'interacts', 'item'].edge_index[1], minlength=ITEMS)
    items = torch.tensor([1, 3])
    vector = sum(
        0.25 * layers[power - 1][USERS + item] / (2 * degree[item]).double().sqrt()
        for power in (1, 2, 3)
        for item in items
    )
    expected = vector @ torch.stack(layers).mean(0)[USERS:].t()
    scores = model.rank_history([items, torch.tensor([0])])
    assert scores.shape == (2, ITEMS)
    torch.testing.assert_close(scores[0].double(), expected, atol=1e-6, rtol=1e-5)


def test_state_dict_round_trip_and_seed(data):
    first, second = LightGCN.from_graph(data, seed=1), LightGCN.from_graph(data, seed=1)
    assert torch.equal(first.embedding, second.embedding)
    other = LightGCN.from_graph(data, seed=2)
    assert not torch.equal(first.embedding, other.embedding)
    other.load_state_dict(first.state_dict())
    users = torch.arange(USERS)
    assert torch.equal(other.score(users), first.score(users))


def test_low_precision_propagation(data, batch):
    exact, low = LightGCN.from_graph(data), LightGCN.from_graph(data, bf16=True)
    assert low.adjacency.weight.dtype == torch.bfloat16
    torch.testing.assert_close(low.loss(batch), exact.loss(batch), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize(
    'config',
    [
        {'dim': 0},
        {'num_layers': -1},
        {'reg': -1.0},
        {'edge_dropout': 1.0},
        {'num_layers': 2, 'layer_weights': [1.0]},
        {'depth': 3},
    ],
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=list(config)[-1]):
        LightGCN.from_graph(data, **config)


@pytest.mark.parametrize(
    ('name', 'value', 'wanted'),
    [
        ('dim', 2.5, 'a whole number'),
        ('dim', 'a', 'a whole number'),
        ('reg', float('nan'), 'a finite number'),
        ('reg', '1e-4', 'a finite number'),
        ('bf16', 1, 'True or False'),
        ('num_layers', True, 'a whole number'),
    ],
)
def test_settings_of_another_type_are_refused(data, name, value, wanted):
    with pytest.raises(GraphError, match=f"'{name}' must be {wanted}"):
        LightGCN.from_graph(data, **{name: value})


def test_numpy_numbers_are_settings(data):
    model = LightGCN.from_graph(data, dim=np.int64(4), reg=np.float32(0.5))
    assert (type(model.config.dim), type(model.config.reg)) == (int, float)


def test_edge_dropout_does_not_depend_on_the_order_of_edges(data):
    moved = copy.copy(data)
    edge_index = data['user', 'interacts', 'item'].edge_index
    moved['user', 'interacts', 'item'].edge_index = edge_index.flip(1)
    losses = []
    for graph in (data, moved):
        model = LightGCN.from_graph(graph, edge_dropout=0.5)
        model.begin_epoch(torch.Generator().manual_seed(0))
        losses.append(model()['user'])
    assert torch.equal(*losses)
