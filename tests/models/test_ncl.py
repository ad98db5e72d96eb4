import pytest
import torch
from torch.nn import functional as F

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import NCL, LightGCN

USERS, ITEMS = 10, 7


@pytest.fixture
def data(make_graph):
    return make_graph(USERS, ITEMS, 0.5)


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 6], [0, 2, 3, 2], [5, 4, 3, 0]]))


def build(data, **config):
    defaults = {'dim': 4, 'num_layers': 1, 'num_prototypes': 3, 'warm_up': 0, 'temperature': 0.2}
    return NCL.from_graph(data, **{**defaults, **config})


def softmax_terms(anchors, candidates, positive):
    logits = F.normalize(anchors, dim=1) @ F.normalize(candidates, dim=1).t() / 0.2
    return F.cross_entropy(logits, positive, reduction='sum')


@pytest.mark.parametrize('hops', [1, 2])
def test_structural_term_is_the_published_one(data, batch, hops):
    options = {'structure_weight': 0.3, 'prototype_weight': 0.0, 'item_weight': 1.5, 'hops': hops}
    model = build(data, **options).double()
    plain = LightGCN.from_graph(data, dim=4, num_layers=1).double()
    e = model.embedding
    context = torch.linalg.matrix_power(model.adjacency.to_dense(), 2 * hops) @ e
    users = softmax_terms(context[batch.user], e[:USERS], batch.user)
    items = softmax_terms(context[USERS + batch.pos], e[USERS:], batch.pos)
    loss, expected = model.loss(batch), plain.loss(batch) + 0.3 * (users + 1.5 * items)
    torch.testing.assert_close(loss, expected)
    plain.embedding = model.embedding
    expected = plain.loss(batch) + 0.3 * (users + 1.5 * items)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, model.embedding)[0] for value in (loss, expected))
    )


def test_prototype_term_is_the_published_one(data, batch):
    model = build(data, structure_weight=0.0, prototype_weight=0.3).double()
    model.begin_epoch(torch.Generator().manual_seed(0))
    plain = LightGCN.from_graph(data, dim=4, num_layers=1).double()
    e = model.embedding
    expected = plain.loss(batch)
    parts = ((batch.user, slice(0, 3), 0), (batch.pos, slice(3, 6), USERS))
    for ids, rows, offset in parts:
        cluster = model.cluster[offset + ids]
        expected = expected + 0.3 * softmax_terms(e[offset + ids], model.centroids[rows], cluster)
    torch.testing.assert_close(model.loss(batch), expected)
    members = model.cluster[:USERS] == model.cluster[0]
    torch.testing.assert_close(model.centroids[model.cluster[0]], e[:USERS][members].mean(0))


def test_prototypes_wait_for_the_warm_up_and_are_found_anew(data, batch):
    model = build(data, structure_weight=0.0, prototype_weight=0.3, warm_up=2)
    plain = LightGCN.from_graph(data, dim=4, num_layers=1).loss(batch)
    for seed in range(2):
        model.begin_epoch(torch.Generator().manual_seed(seed))
        assert torch.equal(model.loss(batch), plain)
    model.begin_epoch(torch.Generator().manual_seed(2))
    assert not torch.equal(model.loss(batch), plain)
    before = model.centroids.clone()
    with torch.no_grad():
        model.embedding.add_(1.0)
    model.begin_epoch(torch.Generator().manual_seed(3))
    assert not torch.equal(model.centroids, before)


def test_more_prototypes_than_nodes(data, batch):
    model = build(data, num_prototypes=2000)
    model.begin_epoch(torch.Generator().manual_seed(0))
    assert model.centroids.shape == (USERS + ITEMS, 4)
    assert torch.equal(model.centroids, model.embedding.detach())
    assert bool(model.loss(batch).isfinite())


def test_a_run_killed_in_an_epoch_goes_on_with_its_centroids(data, killed_run):
    weights = {'structure_weight': 0.1, 'prototype_weight': 0.1}
    whole, resumed = killed_run(data, lambda: build(data, **weights))
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_defaults_are_the_published_ones():
    config = NCL.config_class()
    assert (config.temperature, config.structure_weight, config.prototype_weight) == (
        0.05,
        1e-6,
        1e-7,
    )
    assert (config.item_weight, config.num_prototypes, config.warm_up) == (1.5, 2000, 20)


@pytest.mark.parametrize(
    'config', [{'hops': 0}, {'temperature': 0.0}, {'warm_up': -1}, {'structure_weight': -1.0}]
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        NCL.from_graph(data, **config)
