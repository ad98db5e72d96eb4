import copy
import math

import pytest
import torch
from torch.nn import functional as F

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.semantic import semantic_graph
from graphrec.models import MMHCL, LightGCN
from graphrec.training import fit

USERS, ITEMS = 7, 6
EDGE = ('user', 'interacts', 'item')


@pytest.fixture
def data(positive_features):
    return positive_features


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 2, 3], [0, 2, 2, 1], [5, 4, 3, 0]]))


def settings(**config):
    return {'dim': 5, 'k': 3, 'reg': 0.1, 'user_weight': 0.3, 'item_weight': 0.7, **config}


def interactions(data):
    r = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    r[tuple(data[EDGE].edge_index)] = 1
    return r


def dense_user_graph(data):
    g = interactions(data) @ interactions(data).t()
    g.fill_diagonal_(0)
    return g / g.sum(1, keepdim=True).clamp(min=1)


def dense_item_graph(data, k=3, names=('text', 'visual')):
    parts = []
    for name in names:
        x = F.normalize(data['item'][f'x_{name}'].double(), dim=1)
        chosen = (x @ x.t()).topk(k, dim=1).indices
        parts.append(torch.zeros(ITEMS, ITEMS, dtype=torch.float64).scatter_(1, chosen, 1.0))
    h = torch.cat(parts, 1)
    g = h @ h.t()
    scale = g.sum(1).rsqrt()
    return scale[:, None] * g * scale[None]


def dense_adjacency(data):
    r = interactions(data)
    a = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    a[:USERS, USERS:], a[USERS:, :USERS] = r, r.t()
    scale = a.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * a * scale[None]


def dense_first(model, data):
    a, x = dense_adjacency(data), model.embedding.double()
    layers = [x]
    for layer in range(model.config.num_layers):
        if model.config.backbone == 'mf':
            break
        near = a @ x
        if model.config.backbone == 'lightgcn':
            x = near
            layers.append(x)
            continue
        w1, w2 = model.transforms[2 * layer : 2 * layer + 2]
        x = F.leaky_relu(w1(near)) + F.leaky_relu(w2(x * near))
        layers.append(x / x.norm(dim=1, keepdim=True).clamp(min=1e-12))
    return sum(layers) / len(layers)


def dense_embeddings(model, data):
    """The equations with matrices, in float64."""
    config = model.config
    first = dense_first(model, data).split([USERS, ITEMS])
    h_user = torch.linalg.matrix_power(dense_user_graph(data), config.user_layers)
    h_user = h_user @ model.user_embedding.double()
    h_item = torch.linalg.matrix_power(dense_item_graph(data, config.k), config.item_layers)
    h_item = h_item @ model.item_embedding.double()
    z = [x + F.normalize(h, dim=1) for x, h in zip(first, (h_user, h_item), strict=True)]
    return *z, h_user, h_item


def naive_contrast(a, b, tau):
    """C in a double loop."""
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    total = 0.0
    for n in range(len(a)):
        below = sum(
            (a[n] @ b[j] / tau).exp() + ((a[n] @ a[j] / tau).exp() if j != n else 0.0)
            for j in range(len(a))
        )
        total = total - ((a[n] @ b[n] / tau).exp() / below).log()
    return total / len(a)


@pytest.mark.parametrize('backbone', ['lightgcn', 'ngcf', 'mf'])
@pytest.mark.parametrize('layers', [(2, 3, 2), (1, 1, 0), (0, 0, 1)])
def test_forward_equals_dense_matrices(data, backbone, layers):
    first, user, item = layers
    model = MMHCL.from_graph(
        data,
        **settings(backbone=backbone, num_layers=first, user_layers=user, item_layers=item),
    ).eval()
    z_user, z_item, _, _ = dense_embeddings(copy.deepcopy(model).double(), data)
    z = model()
    torch.testing.assert_close(z['user'].double(), z_user, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(z['item'].double(), z_item, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('num_negatives', [1, 3])
def test_loss_and_gradient_equal_the_equation(data, num_negatives):
    model = MMHCL.from_graph(data, **settings()).double()
    neg = torch.tensor([[5, 4, 1], [4, 3, 0], [3, 5, 5], [0, 2, 3]])[:, :num_negatives]
    user, pos = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 2, 2, 1])
    batch = BPRBatch(user, pos, neg.squeeze(1) if num_negatives == 1 else neg)
    parameters = list(model.parameters())
    loss = model.loss(batch)
    grads = torch.autograd.grad(loss, parameters)

    z_user, z_item, h_user, h_item = dense_embeddings(model, data)
    expected = 0.3 * naive_contrast(z_user, h_user, 0.6)
    expected = expected + 0.7 * naive_contrast(z_item, h_item, 0.6)
    for b in range(4):
        for n in neg[b]:
            u, i, j = z_user[user[b]], z_item[pos[b]], z_item[n]
            norms = u.square().sum() + i.square().sum() + j.square().sum()
            term = -F.logsigmoid(u @ i - u @ j) + 0.05 * norms
            expected = expected + term / (4 * num_negatives)
    expected_grads = torch.autograd.grad(expected, parameters)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    for grad, wanted in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, wanted, atol=1e-5, rtol=1e-4)
        assert grad.abs().sum() > 0


def test_operators_of_users_and_items(data):
    model = MMHCL.from_graph(data, **settings())
    user, item = model.user_graph.to_dense(), model.item_graph.to_dense()
    torch.testing.assert_close(user, dense_user_graph(data), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(item, dense_item_graph(data), atol=1e-6, rtol=1e-5)
    sums = user.sum(1)
    assert set(sums.round(decimals=5).tolist()) == {0.0, 1.0}
    assert sums[6] == 0
    assert user.diagonal().abs().max() < 1e-6
    torch.testing.assert_close(item, item.t())
    assert abs(torch.linalg.eigvalsh(item).max() - 1) < 1e-5


def test_every_row_chooses_k_items(data):
    data['item'].x_text[4] = data['item'].x_text[1]  # A tie.
    graph = semantic_graph(data, 'text', 3)
    assert ((graph.index >= 0).sum(1) == 3).all()
    assert graph.index[4].tolist()[:2] == [4, 1]
    assert graph.index[1].tolist()[:2] == [1, 4]


def test_contrast_of_special_tables(data):
    model = MMHCL.from_graph(data, **settings())
    one = torch.randn(1, 5)
    assert model.contrast(one, torch.randn(1, 5)).abs() < 1e-6
    equal = torch.ones(9, 5)
    assert model.contrast(equal, equal).item() == pytest.approx(math.log(2 * 9 - 1), abs=1e-5)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(9, 5, generator=generator) for _ in range(2))
    steps = [model.contrast(a, torch.cat([b[:1].lerp(a[:1], t), b[1:]])) for t in (0, 0.5, 1)]
    assert steps[0] > steps[1] > steps[2] >= 0
    torch.testing.assert_close(steps[0], naive_contrast(a, b, 0.6), atol=1e-5, rtol=1e-5)


def test_contrast_sample_estimates_the_whole(data):
    model = MMHCL.from_graph(data, **settings(contrast_sample=20))
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(40, 5, generator=generator)
    b = a + torch.randn(40, 5, generator=generator)
    whole = naive_contrast(a, b, 0.6)
    model.begin_epoch(torch.Generator().manual_seed(2))
    drawn = torch.stack([model.contrast(a, b) for _ in range(100)])
    assert drawn.std() > 0
    assert abs(drawn.mean() - whole) < 0.1 * whole
    model.begin_epoch(torch.Generator().manual_seed(2))
    assert model.contrast(a, b) == drawn[0]
    full = MMHCL.from_graph(data, **settings(contrast_sample=40))
    torch.testing.assert_close(full.contrast(a, b), whole, atol=1e-5, rtol=1e-5)


def test_without_hypergraphs_it_is_lightgcn(data, batch):
    off = {'user_weight': 0.0, 'item_weight': 0.0, 'reg': 0.0, 'num_layers': 2, 'dim': 5}
    model = MMHCL.from_graph(data, **off, init_std=0.1, seed=4)
    light = LightGCN.from_graph(data, dim=5, num_layers=2, reg=0.0, seed=4)
    assert [name for name, _ in model.named_parameters()] == ['embedding']
    users = torch.arange(USERS)
    torch.testing.assert_close(model.score(users), light.score(users))
    for net in (model, light):
        optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        for _ in range(3):
            loss = net.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.testing.assert_close(model.embedding, light.embedding, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('kind', ['user', 'item'])
def test_one_hypergraph_off(data, batch, kind):
    other = {'user': 'item', 'item': 'user'}[kind]
    model = MMHCL.from_graph(data, **settings(**{f'{kind}_weight': 0.0}))
    assert getattr(model, f'{kind}_graph') is None
    assert getattr(model, f'{kind}_embedding') is None
    first = dict(zip(('user', 'item'), model.first_order().split([USERS, ITEMS]), strict=True))
    z = model()
    assert torch.equal(z[kind], first[kind])
    assert not torch.equal(z[other], first[other])
    assert model.loss(batch).isfinite()


def test_any_number_of_modalities(data):
    for names in (['visual'], ['text', 'visual']):
        model = MMHCL.from_graph(data, **settings(modalities=names))
        expected = dense_item_graph(data, names=names)
        torch.testing.assert_close(model.item_graph.to_dense(), expected, atol=1e-6, rtol=1e-5)
    both = MMHCL.from_graph(data, **settings())
    torch.testing.assert_close(model.item_graph.to_dense(), both.item_graph.to_dense())


def test_frozen_neighbours_serve_as_well(data):
    expected = MMHCL.from_graph(data, **settings(modalities=['visual']))
    near = semantic_graph(data, 'visual', 4)
    del data['item'].x_visual, data['item'].x_text
    data['item'].knn_visual_index = near.index
    data['item'].knn_visual_similarity = near.similarity
    model = MMHCL.from_graph(data, **settings())
    torch.testing.assert_close(model.item_graph.to_dense(), expected.item_graph.to_dense())


def test_without_features_it_says_so(data):
    del data['item'].x_visual, data['item'].x_text
    with pytest.raises(GraphError, match='item_weight=0'):
        MMHCL.from_graph(data, **settings())
    assert MMHCL.from_graph(data, **settings(item_weight=0.0))().keys() == {'user', 'item'}


def test_an_item_without_features_is_alone_and_finite(data, batch):
    data['item'].x_visual[2] = data['item'].x_text[2] = 0
    model = MMHCL.from_graph(data, **settings())
    row = model.item_graph.to_dense()[2]
    torch.testing.assert_close(row, torch.eye(ITEMS, dtype=torch.float64)[2])
    loss = model.loss(batch)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_held_out_edges_change_nothing(data, batch):
    before = MMHCL.from_graph(data, **settings())
    for part in ('valid', 'test'):
        data['user', f'holdout_{part}', 'item'].edge_index = torch.tensor([[6, 0], [5, 5]])
    after = MMHCL.from_graph(data, **settings())
    assert torch.equal(before.loss(batch), after.loss(batch))
    assert torch.equal(before.user_graph.to_dense(), after.user_graph.to_dense())


def test_scores_follow_a_permutation_of_items(data):
    model = MMHCL.from_graph(data, **settings())
    permutation = torch.tensor([3, 0, 5, 1, 2, 4])  # New number of every item.
    moved = copy.copy(data)
    user, item = data[EDGE].edge_index
    moved[EDGE].edge_index = torch.stack([user, permutation[item]])
    for name in ('x_visual', 'x_text'):
        table = torch.empty_like(data['item'][name])
        table[permutation] = data['item'][name]
        moved['item'][name] = table
    other = MMHCL.from_graph(moved, **settings())
    with torch.no_grad():
        other.embedding[:USERS] = model.embedding[:USERS]
        other.embedding[USERS + permutation] = model.embedding[USERS:]
        other.user_embedding.copy_(model.user_embedding)
        other.item_embedding[permutation] = model.item_embedding
    users = torch.arange(USERS)
    torch.testing.assert_close(other.score(users)[:, permutation], model.score(users))


def test_refresh_follows_an_edit(data):
    model = MMHCL.from_graph(data, **settings())
    edited = copy.copy(data)
    edited[EDGE].edge_index = data[EDGE].edge_index[:, 3:]
    edited['item'].x_visual = data['item'].x_visual.flip(0)
    model.refresh(edited)
    fresh = MMHCL.from_graph(edited, **settings())
    assert torch.equal(model()['user'], fresh()['user'])
    assert torch.equal(model()['item'], fresh()['item'])


@pytest.mark.filterwarnings('ignore:1 users have every item')
def test_sampler_draws_users_evenly_and_no_training_item(data):
    dense = torch.zeros(USERS, ITEMS, dtype=torch.bool)
    dense[0, :5] = True  # Has all items but one.
    dense[1, 0] = dense[2, 0] = True
    data[EDGE].edge_index = dense.nonzero().t().contiguous()
    everything, trained = (
        MMHCL.from_graph(data, **settings(negatives_from=kind)).make_sampler(data, 3)
        for kind in ('all', 'train_items')
    )
    users, cold = [], []
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        for batch in everything.epoch(generator):
            assert not dense[batch.user, batch.neg].any()
            assert dense[batch.user, batch.pos].all()
            assert len(batch.user.unique()) == len(batch.user)
            users.append(batch.user)
            cold.append(batch.neg)
        for batch in trained.epoch(generator):
            assert not dense[batch.user, batch.neg].any()
            assert (batch.neg != 5).all()
    assert (torch.cat(cold) == 5).any()
    share = torch.bincount(torch.cat(users), minlength=3)[:3] / len(torch.cat(users))
    assert (share - 1 / 3).abs().max() < 0.1  # By edges user 0 would have 5 of 7.


@pytest.mark.parametrize('backbone', ['lightgcn', 'mf'])
def test_rank_history_serves_like_a_user_without_embeddings(data, backbone):
    config = settings(backbone=backbone, num_layers=1, user_layers=1)
    model = MMHCL.from_graph(data, **config).eval()
    user, item = data[EDGE].edge_index
    histories = [item[user == u] for u in range(USERS)]
    with torch.no_grad():
        model.embedding[:USERS] = 0
        for u in range(USERS):
            own = model.user_embedding[u].clone()
            model.user_embedding[u] = 0
            found = model.rank_history([histories[u]])
            expected = model.score(torch.tensor([u]))
            if backbone == 'mf' and histories[u].numel():
                first = model.embedding[USERS + histories[u]].mean(0)
                expected = expected + first @ model()['item'].t()
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
            model.user_embedding[u] = own
    with pytest.raises(GraphError, match='ngcf'):
        MMHCL.from_graph(data, **settings(backbone='ngcf')).rank_history(histories)


def test_ngcf_drops_messages_in_training_only(data):
    model = MMHCL.from_graph(data, **settings(backbone='ngcf', ngcf_dropout=0.5))
    seen = []
    for seed in (0, 1, 0):
        model.begin_epoch(torch.Generator().manual_seed(seed))
        seen.append(model()['user'].detach())
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    model.eval()
    assert torch.equal(model()['user'], model()['user'])


def test_seed(data):
    first, same, other = (MMHCL.from_graph(data, **settings(seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first()['item'], same()['item'])
    assert not torch.equal(first()['item'], other()['item'])
    other.load_state_dict(first.state_dict())
    assert torch.equal(first()['item'], other()['item'])


def test_training_lowers_the_loss(data):
    model = MMHCL.from_graph(data, **settings(reg=1e-3))
    history = fit(model, data, epochs=20, batch_size=4, lr=0.05, progress=False)
    assert history['loss'].iloc[-3:].mean() < history['loss'].iloc[:3].mean()


@pytest.mark.parametrize(
    'config',
    [
        {'dim': 0},
        {'backbone': 'gat'},
        {'user_layers': -1},
        {'item_weight': -0.1},
        {'temperature': 0.0},
        {'negatives_from': 'none'},
        {'contrast_sample': 0},
        {'ngcf_dropout': 1.0},
        {'k': 7},
        {'source': 'web'},
        {'modalities': ['smell']},
    ],
)
def test_bad_config_names_the_field(data, config):
    name = {'modalities': 'modality'}.get(next(iter(config)), next(iter(config)))
    with pytest.raises(GraphError, match=name):
        MMHCL.from_graph(data, **{**settings(), **config})
