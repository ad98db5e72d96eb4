import copy

import pytest
import torch
from torch.nn import functional as F

from graphrec.contrastive import info_nce, semantic_info_nce
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.semantic import semantic_graph
from graphrec.models import LightGCN, SemanticItemGraph
from graphrec.training import fit

USERS, ITEMS = 7, 6
EDGE = ('user', 'interacts', 'item')
OFF = {'perturb_weight': 0.0, 'anchor_weight': 0.0, 'alignment_weight': 0.0}


@pytest.fixture
def data(positive_features):
    return positive_features


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 3], [0, 2, 2, 1], [5, 4, 3, 0]]))


def settings(**config):
    return {'dim': 5, 'k': 2, 'collaborative_k': 2, **config}


def interactions(data):
    r = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    r[tuple(data[EDGE].edge_index)] = 1
    return r


def normalised(w):
    w = torch.maximum(w, w.t())
    scale = w.sum(1)
    scale = torch.where(scale > 0, scale, torch.inf).rsqrt()
    return scale[:, None] * w * scale[None]


def top(scores, k):
    """The k largest positive entries of every row, the first of equals."""
    order = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return torch.zeros_like(scores).scatter_(1, order, scores.gather(1, order).clamp(min=0))


def dense_collaborative(data, k=2):
    r = interactions(data)
    common, degree = r.t() @ r, r.sum(0).clamp(min=1)
    scores = common / (degree[:, None] * degree[None]).sqrt()
    return normalised(top(scores.fill_diagonal_(0), k))


def dense_semantic(data, name, k=2):
    x = F.normalize(data['item'][f'x_{name}'].double(), dim=1)
    return normalised((top((x @ x.t()).fill_diagonal_(-1), k) > 0).double())


def dense_embeddings(model, data, gamma=0.5):
    """The equations with matrices, in float64."""
    r = interactions(data)
    a = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    a[:USERS, USERS:], a[USERS:, :USERS] = r, r.t()
    scale = a.sum(1).clamp(min=1).rsqrt()
    a = scale[:, None] * a * scale[None]
    e = model.embedding.double()
    b = (e + a @ e + a @ a @ e) / 3
    common = dense_collaborative(data)
    views = []
    for m, name in enumerate(model.modalities):
        graph = (1 - gamma) * dense_semantic(data, name) + gamma * common
        empty = common.sum(1) == 0
        graph[empty] = dense_semantic(data, name)[empty]
        gate = model.projections[m](data['item'][f'x_{name}'].double()).sigmoid()
        items = graph @ (e[USERS:] * gate)
        views.append(torch.cat([a[:USERS, USERS:] @ items, items]))
    stacked = torch.stack(views)
    h = (model.scorer(stacked).softmax(0) * stacked).sum(0)
    return b, views, h


@pytest.mark.parametrize('names', [None, ['text'], ['visual', 'text']])
def test_forward_equals_dense_matrices(data, names):
    model = SemanticItemGraph.from_graph(data, **settings(modalities=names)).double()
    b, views, h = dense_embeddings(model, data)
    torch.testing.assert_close(torch.cat(list(model().values())), b + h, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(model.semantics(), views, atol=1e-6, rtol=1e-5)


def test_item_graphs(data):
    model = SemanticItemGraph.from_graph(data, **settings())
    common = model.collaborative.to_dense()
    torch.testing.assert_close(common, dense_collaborative(data), atol=1e-6, rtol=1e-5)
    assert common.diagonal().abs().max() == 0
    assert common[5].abs().sum() == 0
    plain = SemanticItemGraph.from_graph(data, **settings(infusion=0.0))
    whole = SemanticItemGraph.from_graph(data, **settings(infusion=1.0))
    for m, name in enumerate(model.modalities):
        semantic = plain.item_graphs[m].to_dense()
        torch.testing.assert_close(semantic, dense_semantic(data, name), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(model.item_graphs[m].to_dense()[5], semantic[5])
        assert whole.item_graphs[m] is whole.collaborative
        for matrix in (semantic, common):
            torch.testing.assert_close(matrix, matrix.t())
            assert torch.linalg.matrix_norm(matrix, 2) <= 1 + 1e-6
    shrunk = SemanticItemGraph.from_graph(data, **settings(empty_rows='shrink'))
    for m, graph in enumerate(shrunk.item_graphs):
        expected = (plain.item_graphs[m].to_dense() + common) / 2
        torch.testing.assert_close(graph.to_dense(), expected, atol=1e-6, rtol=1e-5)
        assert torch.linalg.matrix_norm(graph.to_dense(), 2) <= 1 + 1e-6


def test_held_out_edges_change_nothing(data, batch):
    before = SemanticItemGraph.from_graph(data, **settings())
    for part in ('valid', 'test'):
        data['user', f'holdout_{part}', 'item'].edge_index = torch.tensor([[6, 6], [5, 0]])
    after = SemanticItemGraph.from_graph(data, **settings())
    assert torch.equal(before.collaborative.to_dense(), after.collaborative.to_dense())
    assert after.collaborative.to_dense()[5, 0] == 0
    assert torch.equal(before.loss(batch), after.loss(batch))


def test_without_semantics_it_is_lightgcn(data, batch):
    model = SemanticItemGraph.from_graph(data, **settings(**OFF, fusion='none', seed=4))
    light = LightGCN.from_graph(data, dim=5, num_layers=2, seed=4)
    users = torch.arange(USERS)
    torch.testing.assert_close(model.score(users), light.score(users))
    histories = [torch.tensor([1, 3]), torch.tensor([0])]
    torch.testing.assert_close(model.rank_history(histories), light.rank_history(histories))
    losses = [net.loss(batch) for net in (model, light)]
    torch.testing.assert_close(*losses)
    grads = [
        torch.autograd.grad(x, n.embedding)[0] for x, n in zip(losses, (model, light), strict=True)
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize('part', ['anchor', 'alignment'])
def test_alignments_are_over_distinct_nodes_of_the_batch(data, batch, part):
    config = {**OFF, f'{part}_weight': 0.7}
    model = SemanticItemGraph.from_graph(data, **settings(**config))
    plain = SemanticItemGraph.from_graph(data, **settings(**OFF))
    b, views, h = dense_embeddings(copy.deepcopy(model).double(), data)
    expected = 0.0
    for rows in (torch.tensor([0, 1, 3]), torch.tensor([0, 1, 2]) + USERS):
        if part == 'anchor':
            expected = expected + semantic_info_nce(b[rows], [view[rows] for view in views])
        else:
            expected = expected + info_nce(b[rows], h[rows])
    found = (model.loss(batch) - plain.loss(batch)) / 0.7
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('where', ['modality', 'layer', 'fused'])
def test_perturbation_is_in_the_loss_alone(data, batch, where):
    config = settings(**{**OFF, 'perturb_weight': 0.5}, perturb_at=where)
    model = SemanticItemGraph.from_graph(data, **config)
    plain = SemanticItemGraph.from_graph(data, **settings(**OFF))
    terms = []
    for seed in (0, 1, 0):
        model.begin_epoch(torch.Generator().manual_seed(seed))
        terms.append(model.loss(batch))
    assert terms[0] == terms[2]
    assert terms[0] != terms[1]
    z, again = model(), model()
    assert torch.equal(z['user'], again['user'])
    assert torch.equal(z['item'], plain()['item'])
    still = SemanticItemGraph.from_graph(data, **{**config, 'eps': 0.0})
    tables = [still.fuse(still.semantics())] if where == 'fused' else still.semantics()
    expected = sum(
        info_nce(table[rows], table[rows])
        for table in tables
        for rows in (torch.tensor([0, 1, 3]), torch.tensor([0, 1, 2]) + USERS)
    )
    found = (still.loss(batch) - plain.loss(batch)) / 0.5
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    'config',
    [
        {'propagated': 'features'},
        {'propagated': 'id'},
        {'user_side': 'mean'},
        {'fusion': 'mean'},
        {'weighted': True, 'self_loops': True, 'symmetrise': 'mean'},
        {'score': 'jaccard', 'shrinkage': 2.0, 'min_count': 2},
        {'anchor_positive': 'mean', 'detach_anchor': False, 'symmetric': True},
        {'intensity': 'inverse', 'intensity_gradient': True},
        {'semantic_layers': 2},
    ],
)
def test_every_choice_differs_and_trains(data, batch, config):
    model = SemanticItemGraph.from_graph(data, **settings(**config))
    default = SemanticItemGraph.from_graph(data, **settings())
    assert model.loss(batch) != default.loss(batch)
    loss = model.loss(batch)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all()
        if not name.endswith('bias'):
            assert parameter.grad.abs().sum() > 0, name


def test_gradient_by_finite_differences(data, batch):
    model = SemanticItemGraph.from_graph(data, **settings(detach_anchor=False, eps=0.0)).double()
    parameters = dict(model.named_parameters())
    names = list(parameters)

    def loss(*values):
        with torch.no_grad():
            for name, value in zip(names, values, strict=True):
                parameters[name].copy_(value)
        return model.loss(batch)

    direction = [torch.randn_like(p) for p in parameters.values()]
    start = [p.detach().clone() for p in parameters.values()]
    grads = torch.autograd.grad(model.loss(batch), list(parameters.values()))
    slope = sum((g * v).sum() for g, v in zip(grads, direction, strict=True))
    sides = [
        loss(*(p + step * v for p, v in zip(start, direction, strict=True))).detach()
        for step in (1e-6, -1e-6)
    ]
    torch.testing.assert_close((sides[0] - sides[1]) / 2e-6, slope, atol=1e-6, rtol=1e-5)


def test_scores_follow_a_permutation_of_items(data):
    permutation = torch.tensor([3, 0, 5, 1, 2, 4])  # New number of every item.
    moved = copy.copy(data)
    user, item = data[EDGE].edge_index
    moved[EDGE].edge_index = torch.stack([user, permutation[item]])
    for name in ('x_visual', 'x_text'):
        table = torch.empty_like(data['item'][name])
        table[permutation] = data['item'][name]
        moved['item'][name] = table
    # All that co-occur, since equal scores are chosen by number.
    wide = settings(collaborative_k=5)
    model = SemanticItemGraph.from_graph(data, **wide)
    other = SemanticItemGraph.from_graph(moved, **wide)
    with torch.no_grad():
        other.embedding[:USERS] = model.embedding[:USERS]
        other.embedding[USERS + permutation] = model.embedding[USERS:]
    users = torch.arange(USERS)
    torch.testing.assert_close(other.score(users)[:, permutation], model.score(users))


def test_refresh_follows_an_edit(data):
    model = SemanticItemGraph.from_graph(data, **settings())
    edited = copy.copy(data)
    edited[EDGE].edge_index = data[EDGE].edge_index[:, 3:]
    edited['item'].x_visual = data['item'].x_visual.flip(0)
    model.refresh(edited)
    fresh = SemanticItemGraph.from_graph(edited, **settings())
    assert torch.equal(model()['user'], fresh()['user'])
    assert torch.equal(model()['item'], fresh()['item'])


@pytest.mark.parametrize('user_side', ['adjacency', 'mean'])
def test_rank_history_gathers_like_a_user(data, user_side):
    config = settings(user_side=user_side, num_layers=1)
    model = SemanticItemGraph.from_graph(data, **config)
    user, item = data[EDGE].edge_index
    with torch.no_grad():
        model.embedding[:USERS] = 0  # So that a user is what the items make of it.
    known = [item[user == u] for u in range(USERS)]
    torch.testing.assert_close(model.rank_history(known), model.score(torch.arange(USERS)))


def test_frozen_neighbours_and_features_named_after_them(data):
    near = semantic_graph(data, 'visual', 3, self_loops=False)
    spectral = data['item'].x_visual
    del data['item'].x_visual, data['item'].x_text
    data['item'].knn_visual_index, data['item'].knn_visual_similarity = near.index, near.similarity
    with pytest.raises(GraphError, match="'propagated' to 'id'"):
        SemanticItemGraph.from_graph(data, **settings())
    ids = SemanticItemGraph.from_graph(data, **settings(propagated='id'))
    assert ids()['item'].isfinite().all()
    data['item'].x_visual_spectral = spectral
    model = SemanticItemGraph.from_graph(data, **settings())
    assert model.modalities == ('visual',)
    torch.testing.assert_close(model.features[0], spectral)


def test_an_item_without_features_is_finite(data, batch):
    data['item'].x_visual[2] = data['item'].x_text[2] = 0
    model = SemanticItemGraph.from_graph(data, **settings())
    loss = model.loss(batch)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_training_lowers_the_loss_and_saves(data):
    model = SemanticItemGraph.from_graph(data, **settings())
    history = fit(model, data, epochs=20, batch_size=4, lr=0.05, progress=False)
    assert history['loss'].iloc[-3:].mean() < history['loss'].iloc[:3].mean()
    other = SemanticItemGraph.from_graph(data, **settings(seed=9))
    assert not torch.equal(other()['item'], model()['item'])
    other.load_state_dict(model.state_dict())
    assert torch.equal(other()['item'], model()['item'])


@pytest.mark.parametrize(
    'config',
    [
        {'dim': 0},
        {'infusion': 1.5},
        {'fusion': 'sum'},
        {'fusion': 'none'},
        {'eps': -1.0},
        {'intensity': 'loud'},
        {'temperature': 0.0},
        {'perturb_temperature': 0.0},
        {'anchor_weight': -1.0},
        {'k': 6},
        {'score': 'lift'},
        {'empty_rows': 'drop'},
        {'symmetrise': 'min'},
        {'modalities': []},
    ],
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        SemanticItemGraph.from_graph(data, **settings(**config))
