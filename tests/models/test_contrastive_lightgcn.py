import copy

import pytest
import torch
from torch.nn import functional as F

import graphrec
from graphrec.contrastive import EdgeDrop, info_nce
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import NCL, SGL, ContrastiveLightGCN, LightGCL, LightGCN, SimGCL, XSimGCL
from graphrec.models.contrastive_config import ObjectiveName, ViewName

USERS, ITEMS = 12, 9
READS_MAIN = ('svd', 'hypergraph')


@pytest.fixture
def data(make_graph):
    return make_graph(USERS, ITEMS, 0.4, lone_user=11, lone_item=8)


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 6, 3], [0, 2, 2, 1, 4], [5, 4, 3, 0, 7]]))


def build(data, view='edge_drop', **config):
    against = 'main' if view in READS_MAIN else 'view'
    options = {'dim': 4, 'num_layers': 2, 'view': view, 'against': against, **config}
    return ContrastiveLightGCN.from_graph(data, **options)


@pytest.mark.parametrize('objective', ObjectiveName.__args__)
@pytest.mark.parametrize('view', ViewName.__args__)
def test_any_view_goes_with_any_objective(data, batch, view, objective):
    model = build(data, view, objective=objective, strength=0.3)
    model.begin_epoch(torch.Generator().manual_seed(0))
    plain = LightGCN.from_graph(data, dim=4, num_layers=2)
    loss = model.loss(batch)
    assert bool(loss.isfinite())
    assert float((loss - plain.loss(batch)).detach().abs()) > 1e-4
    loss.backward()
    for parameter in model.parameters():
        assert bool(parameter.grad.isfinite().all())
        assert bool(parameter.grad.any())


@pytest.mark.parametrize(
    ('model_class', 'config', 'plain'),
    [
        (ContrastiveLightGCN, {'contrast_weight': 0.0}, {}),
        (SGL, {'contrast_weight': 0.0, 'edge_dropout': 0.3}, {'edge_dropout': 0.3}),
        (SimGCL, {'contrast_weight': 0.0}, {'layer_weights': (0.0, 0.5, 0.5)}),
        (
            XSimGCL,
            {'contrast_weight': 0.0, 'strength': 0.0},
            {'layer_weights': (0.0, 0.5, 0.5)},
        ),
        (
            LightGCL,
            {'contrast_weight': 0.0, 'reg': 0.0},
            {'layer_weights': (1.0, 1.0, 1.0), 'reg': 0.0},
        ),
        (NCL, {'structure_weight': 0.0, 'prototype_weight': 0.0}, {}),
    ],
)
def test_without_its_weight_it_is_lightgcn_step_for_step(data, model_class, config, plain):
    histories, tables = [], []
    for cls, settings in ((model_class, config), (LightGCN, plain)):
        model = cls.from_graph(data, dim=4, num_layers=2, **settings)
        history = graphrec.fit(model, data, epochs=4, batch_size=5, seed=7, progress=False)
        histories.append(history['loss'].tolist())
        tables.append(model.embedding)
    assert histories[0] == histories[1]
    assert torch.equal(*tables)


def test_the_contrast_leaves_the_ranking_and_its_stream_alone(data, batch):
    model, plain = (
        build(data, edge_dropout=0.3),
        LightGCN.from_graph(data, dim=4, num_layers=2, edge_dropout=0.3),
    )
    for seed in range(3):
        for each in (model, plain):
            each.begin_epoch(torch.Generator().manual_seed(seed))
        rest = model.loss(batch) - 0.1 * model.contrast(batch)
        torch.testing.assert_close(rest, plain.loss(batch))


@pytest.mark.parametrize('candidates', ['batch', 'all'])
def test_contrast_is_the_objective_between_two_lightgcns_on_thinned_graphs(data, batch, candidates):
    model = build(data, candidates=candidates, strength=0.4).double()
    model.begin_epoch(torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    sides = []
    for _ in range(2):
        thin = EdgeDrop(0.4, generator=generator)(data)
        other = LightGCN.from_graph(thin, dim=4, num_layers=2).double()
        other.embedding = model.embedding
        sides.append(other())
    users, items = torch.tensor([0, 1, 3, 6]), torch.tensor([0, 1, 2, 4])
    first, second = sides
    expected = info_nce(first['user'], second['user'], users, candidates) + info_nce(
        first['item'], second['item'], items, candidates
    )
    ours = model.contrast(batch)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, model.embedding)[0] for loss in (ours, expected))
    )


def test_random_walk_is_a_product_of_thinned_graphs(data):
    model = build(data, 'random_walk', strength=0.4).double()
    model.begin_epoch(torch.Generator().manual_seed(5))
    first, _ = model._views(None)
    one, two = (op.to_dense() for op in model._drawn[0])
    e = model.embedding
    torch.testing.assert_close(first, (e + one @ e + two @ (one @ e)) / 3)
    assert not torch.allclose(one, two)


@pytest.mark.parametrize('view', ['edge_drop', 'uniform_noise', 'feature_mask', 'hypergraph'])
def test_same_seed_same_loss_and_serving_is_without_views(data, batch, view):
    losses = []
    for seed in (0, 0, 1):
        model = build(data, view, strength=0.3)
        model.begin_epoch(torch.Generator().manual_seed(seed))
        losses.append(float(model.loss(batch).detach()))
    assert losses[0] == losses[1] != losses[2]
    plain = LightGCN.from_graph(data, dim=4, num_layers=2)
    users = torch.arange(USERS)
    assert torch.equal(model.score(users), plain.score(users))


def test_views_are_redrawn_each_epoch_and_noise_each_step(data, batch):
    for view, moves in (('edge_drop', False), ('uniform_noise', True)):
        model = build(data, view, strength=0.3)
        model.begin_epoch(torch.Generator().manual_seed(0))
        first, second = float(model.contrast(batch)), float(model.contrast(batch))
        assert (first != second) == moves
        model.begin_epoch(torch.Generator().manual_seed(1))
        assert float(model.contrast(batch)) != first


def test_loss_works_without_an_epoch_and_after_a_move(data, batch):
    model = build(data)
    first = model.loss(batch).detach()
    assert torch.equal(model.loss(batch).detach(), first)
    torch.testing.assert_close(model.double().loss(batch).detach().float(), first)
    torch.testing.assert_close(copy.deepcopy(model).float().loss(batch).detach(), first)


def test_main_pass_serves_both_terms(data, batch):
    model = build(data, 'edge_drop', against='main', strength=0.4).double()
    model.begin_epoch(torch.Generator().manual_seed(0))
    plain = LightGCN.from_graph(data, dim=4, num_layers=2).double()
    z = torch.cat(list(plain().values()))
    thin = model._drawn[0][0].to_dense()
    e = plain.embedding
    view = (e + thin @ e + thin @ (thin @ e)) / 3
    users, items = torch.tensor([0, 1, 3, 6]), torch.tensor([0, 1, 2, 4]) + USERS
    expected = sum(info_nce(view[rows], z[rows]) for rows in (users, items))
    torch.testing.assert_close(model.contrast(batch), expected)
    torch.testing.assert_close(model.loss(batch), plain.loss(batch) + 0.1 * expected)


def test_negative_items_join_the_anchors(data, batch):
    model = build(data, negative_items=True)
    model.begin_epoch(torch.Generator().manual_seed(0))
    first, second = model._views(None)
    items = torch.tensor([0, 1, 2, 3, 4, 5, 7])
    users = torch.tensor([0, 1, 3, 6])
    expected = info_nce(first[users], second[users]) + info_nce(
        first[USERS + items], second[USERS + items]
    )
    torch.testing.assert_close(model.contrast(batch), expected)


def test_held_out_edges_change_nothing_and_an_edit_does(data, batch):
    losses = []
    edited = copy.copy(data)
    edited['user', 'interacts', 'item'].edge_index = data['user', 'interacts', 'item'].edge_index[
        :, 4:
    ]
    held = copy.copy(data)
    held['user', 'holdout_test', 'item'].edge_index = torch.tensor([[11], [8]])
    for graph in (data, held, edited):
        model = build(data, 'svd', rank=2)
        model.contrast(batch)  # Draws.
        model.refresh(graph)
        losses.append(model.contrast(batch).detach())
        fresh = build(graph, 'svd', rank=2)
        assert torch.equal(fresh.contrast(batch).detach(), losses[-1])
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])


@pytest.mark.parametrize('view', ['svd', 'hypergraph'])
def test_loss_follows_a_permutation_of_items(data, batch, view):
    options = {'strength': 0.0} if view == 'hypergraph' else {'rank': ITEMS}
    model = build(data, view, **options)
    order = torch.randperm(ITEMS, generator=torch.Generator().manual_seed(0))  # New numbers.
    moved = copy.copy(data)
    user, item = data['user', 'interacts', 'item'].edge_index
    moved['user', 'interacts', 'item'].edge_index = torch.stack([user, order[item]])
    other = build(moved, view, **options)
    with torch.no_grad():
        other.embedding[:USERS] = model.embedding[:USERS]
        other.embedding[USERS + order] = model.embedding[USERS:]
    renamed = BPRBatch(batch.user, order[batch.pos], order[batch.neg])
    torch.testing.assert_close(other.loss(renamed), model.loss(batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('view', ['edge_drop', 'uniform_noise', 'hypergraph', 'svd'])
def test_a_run_killed_in_an_epoch_goes_on_with_the_same_bits(data, killed_run, view):
    whole, resumed = killed_run(data, lambda: build(data, view, strength=0.3))
    assert torch.equal(resumed.embedding, whole.embedding)


def test_low_precision_is_close(data, batch):
    exact = build(data)
    for options in ({'bf16_contrast': True}, {'bf16': True}):
        low = build(data, **options)
        torch.testing.assert_close(low.loss(batch), exact.loss(batch), atol=2e-2, rtol=2e-2)


def test_saves_and_loads(data, tmp_path):
    model = build(data, 'hypergraph')
    with torch.no_grad():
        model.view.user_weight.add_(1)
    graphrec.save(model, tmp_path / 'model')
    loaded = graphrec.load_model(tmp_path / 'model', data)
    assert torch.equal(loaded.view.user_weight, model.view.user_weight)
    assert loaded.config == model.config


def test_reset_draws_everything_anew(data):
    model = build(data, 'hypergraph')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.reset_parameters()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    'config',
    [
        {'view': 'blur'},
        {'objective': 'triplet'},
        {'strength': 1.0},
        {'temperature': 0.0},
        {'contrast_weight': -1.0},
        {'candidates': 'some'},
        {'reduction': 'max'},
        {'against': 'none'},
        {'view': 'svd', 'against': 'main', 'rank': 0},
        {'view': 'svd', 'against': 'view'},
        {'objective': 'bootstrap', 'candidates': 'all'},
    ],
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match='|'.join([list(config)[-1], "'p'"])):
        ContrastiveLightGCN.from_graph(data, **config)


def test_equals_textbook_sgl_over_a_step(data, batch):
    """SGL as its authors write it: exponentials, sums over the batch, all nodes."""
    model = SGL.from_graph(data, dim=4, num_layers=2, strength=0.4, contrast_weight=0.3).double()
    model.begin_epoch(torch.Generator().manual_seed(1))
    first, second = (F.normalize(z, dim=1) for z in model._views(None))
    total = 0.0
    for rows, block in ((batch.user, slice(0, USERS)), (batch.pos, slice(USERS, None))):
        a, b = first[block][rows], second[block]
        positive = torch.exp((a * b[rows]).sum(1) / 0.2)
        total = total - torch.log(positive / torch.exp(a @ b.t() / 0.2).sum(1)).sum()
    plain = LightGCN.from_graph(data, dim=4, num_layers=2).double()
    expected = plain.loss(batch) + 0.3 * total / 5
    torch.testing.assert_close(model.loss(batch), expected)
