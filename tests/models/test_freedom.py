import pytest
import torch

from graphrec.errors import GraphError
from graphrec.graphs.mixing import mix
from graphrec.graphs.semantic import semantic_graph
from graphrec.models.freedom import FREEDOM
from graphrec.models.lightgcn import LightGCN

USERS, ITEMS = 7, 6
ALL = torch.arange(USERS)


def build(data, **config):
    return FREEDOM.from_graph(data, **{'dim': 4, 'k': 3, 'init_std': 0.5, **config})


def item_graph(data, dense, weights=(0.1, 0.9), k=3):
    """S of the modalities: every chosen edge counts 1."""
    parts = [
        dense.scaled((dense.cosines(data['item'][name], k) != 0).double())
        for name in ('x_visual', 'x_text')
    ]
    return sum(w * part for w, part in zip(weights, parts, strict=True))


def final(model, data, dense, layers=2, weights=(0.1, 0.9)):
    e = model.embedding.double()
    z = dense.lgn(data, e, layers)
    item = z[USERS:] + item_graph(data, dense, weights) @ e[USERS:]
    return z[:USERS], item


@pytest.mark.parametrize('layers', [0, 1, 2, 3])
def test_forward_equals_the_equation(featured, dense, layers):
    model = build(featured, num_layers=layers)
    z = model()
    user, item = final(model, featured, dense, layers)
    torch.testing.assert_close(z['user'].double(), user, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(z['item'].double(), item, atol=1e-6, rtol=1e-5)


def test_the_item_graph_is_the_mean_of_the_chosen(featured):
    featured['item'].x_visual[3] = featured['item'].x_text[3] = 1.0  # None is missing now.
    s = build(featured).item_graph
    torch.testing.assert_close(s.to_dense().sum(1), torch.ones(ITEMS, dtype=torch.float64))
    graphs = [semantic_graph(featured, m, 3) for m in ('visual', 'text')]
    expected = torch.zeros(ITEMS, ITEMS, dtype=torch.float64)
    for weight, graph in zip((0.1, 0.9), graphs, strict=True):
        for i, row in enumerate(graph.index.tolist()):
            for j in row:  # From the neighbour that i chose to i.
                expected[i, j] += weight / 3
    torch.testing.assert_close(s.to_dense(), expected, atol=1e-7, rtol=1e-6)
    assert not torch.allclose(s.to_dense(), s.to_dense().t())


def test_a_hub_gathers_from_its_own_choice_only(featured):
    angle = torch.linspace(0, 1.2, ITEMS)
    x = torch.stack([angle.cos(), angle.sin()], 1)
    x[0] = torch.tensor([1.0, 0.55])  # Near to all; chosen by most.
    featured['item'].x_visual = featured['item'].x_text = x
    s = build(featured, k=2).item_graph.to_dense()
    assert (s[:, 0] > 0).sum() > 2
    assert ((s > 0).sum(1) == 2).all()
    torch.testing.assert_close(s[s > 0], torch.full((12,), 0.5, dtype=torch.float64))


def test_loss_and_gradients_equal_the_equation(featured, triples, dense):
    model = build(featured, feature_weight=0.3, reg=0.2, freeze_features=False).double()
    loss = model.loss(triples)
    names = [name for name, _ in model.named_parameters()]
    grads = torch.autograd.grad(loss, list(model.parameters()))

    user, item = final(model, featured, dense)
    expected = dense.bpr(user, item, triples)
    for name in ('visual', 'text'):
        projected = getattr(model, f'x_{name}') @ model.projection[name].weight.t()
        expected = expected + 0.3 * dense.bpr(user, projected, triples)
    e = model.embedding
    for u, i, j in zip(*triples, strict=True):
        norms = e[u].square().sum() + e[USERS + i].square().sum() + e[USERS + j].square().sum()
        expected = expected + 0.2 / 2 * norms / 4
    expected_grads = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
    for name, grad, other in zip(names, grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, other, atol=1e-6, rtol=1e-5, msg=name)


def test_a_bias_of_the_projection_would_change_nothing(featured, triples, dense):
    model = build(featured, feature_weight=1.0).double()
    user, _ = final(model, featured, dense)
    projected = model.projected('text')
    torch.testing.assert_close(
        dense.bpr(user, projected, triples), dense.bpr(user, projected + 3.0, triples)
    )


def test_pruning_keeps_a_share_with_its_own_degrees_and_serves_all(featured, triples):
    model = build(featured, edge_dropout=0.5)
    served = model.score(ALL)
    edges = featured['user', 'interacts', 'item'].edge_index
    every = set(map(tuple, edges.t().tolist()))
    seen = []
    for seed in (0, 1, 0):
        model.begin_epoch(torch.Generator().manual_seed(seed))
        a = model.propagation.op.to_dense()[:USERS, USERS:]
        kept = set(map(tuple, a.nonzero().tolist()))
        assert len(kept) == edges.size(1) // 2
        assert kept <= every
        for u, i in kept:
            degrees = (a[u] > 0).sum() * (a[:, i] > 0).sum()
            torch.testing.assert_close(a[u, i], degrees.double().rsqrt(), atol=1e-6, rtol=1e-6)
        seen.append(kept)
    assert seen[0] == seen[2]
    assert seen[0] != seen[1]
    assert torch.equal(model.score(ALL), served)


def test_edges_of_rare_nodes_are_kept_more_often(featured):
    edges = featured['user', 'interacts', 'item'].edge_index
    degree = torch.bincount(edges[0])[edges[0]] * torch.bincount(edges[1])[edges[1]]
    model = build(featured, edge_dropout=0.8)
    counts = torch.zeros(USERS, ITEMS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        model.begin_epoch(generator)
        counts += (model.propagation.op.to_dense()[:USERS, USERS:] > 0).float()
    counts = counts[edges[0], edges[1]]
    assert degree.min() < degree.max()
    rare, popular = counts[degree == degree.min()].mean(), counts[degree == degree.max()].mean()
    assert rare > 1.2 * popular


def test_without_its_parts_it_is_lightgcn(featured, triples):
    model = build(featured, feature_weight=0.0, edge_dropout=0.0, reg=0.1)
    light = LightGCN.from_graph(featured, dim=4, num_layers=2, reg=0.1)
    with torch.no_grad():
        light.embedding.copy_(model.embedding)
    z = light()
    item = z['item'] + model.item_graph @ light.embedding[USERS:]
    torch.testing.assert_close(model()['item'], item)
    torch.testing.assert_close(model()['user'], z['user'])


def test_several_negatives_are_averaged(featured, triples):
    model = build(featured, feature_weight=0.3, reg=0.1)
    other = triples._replace(neg=torch.tensor([1, 0, 5, 4]))
    both = triples._replace(neg=torch.stack([triples.neg, other.neg], 1))
    expected = (model.loss(triples) + model.loss(other)) / 2
    torch.testing.assert_close(model.loss(both), expected)


def test_rank_history_is_the_trained_graph_with_one_more_node(featured, dense):
    model = build(featured, num_layers=2)
    e = model.embedding.detach().double()
    a = dense.adjacency(featured)
    layers = [e, a @ e]
    degree = dense.incidence(featured).sum(0)
    items = torch.tensor([1, 2])
    vector = sum(h[USERS + i] / (2 * degree[i]).sqrt() / 3 for h in layers for i in items.tolist())
    expected = vector @ final(model, featured, dense)[1].detach().t()
    scores = model.rank_history([items])[0].double()
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=1e-5)


def test_given_modality_weights(featured, dense):
    model = build(featured, modality_weights=[0.3, 0.7])
    expected = item_graph(featured, dense, (0.3, 0.7))
    torch.testing.assert_close(model.item_graph.to_dense(), expected, atol=1e-7, rtol=1e-6)
    with pytest.raises(GraphError, match='weights'):
        build(featured, modality_weights=[1.0])
    graphs = [semantic_graph(featured, m, 3).to_operator() for m in ('visual', 'text')]
    one = build(featured, visual_weight=1.0).item_graph.to_dense()
    torch.testing.assert_close(one, mix(graphs, [1.0, 0.0]).to_dense())


@pytest.mark.parametrize(
    'config', [{'k': 0}, {'k': 99}, {'visual_weight': 2.0}, {'feature_weight': -1.0}]
)
def test_bad_config_names_the_field(featured, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        build(featured, **config)
