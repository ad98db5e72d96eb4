import pytest
import torch

from graphrec.contrastive import info_nce
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import LightGCN, SimGCL, XSimGCL

USERS, ITEMS = 8, 6


@pytest.fixture
def data(make_graph):
    return make_graph(USERS, ITEMS, 0.5, lone_user=7)


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 6], [0, 2, 2, 1], [5, 4, 3, 0]]))


def test_simgcl_leaves_layer_zero_out(data):
    model = SimGCL.from_graph(data, dim=4, num_layers=2)
    layers = model.propagate_layers()
    z = torch.cat(list(model().values()))
    torch.testing.assert_close(z, (layers[1] + layers[2]) / 2)
    assert not model.score(torch.tensor([7])).any()  # A user without edges.


def test_simgcl_contrasts_two_noisy_passes(data, batch):
    model = SimGCL.from_graph(data, dim=4, num_layers=2, strength=0.1)
    model.begin_epoch(torch.Generator().manual_seed(0))
    first, second = model._views(None)
    clean = torch.cat(list(model.eval()().values()))
    assert not torch.allclose(first, second)
    for z in (first, second):
        distance = (z - clean).norm(dim=1)
        assert 0 < float(distance.max()) <= 0.2


def test_loss_is_ranking_and_contrast_of_one_noisy_pass(data, batch):
    model = XSimGCL.from_graph(data, dim=4, num_layers=3, contrast_layer=2, reg=0.1).double()
    model.begin_epoch(torch.Generator().manual_seed(0))
    loss = model.loss(batch)
    (grad,) = torch.autograd.grad(loss, model.embedding)

    model.begin_epoch(torch.Generator().manual_seed(0))  # The same noise again.
    layers = model.noisy_layers()
    z = torch.stack(layers[1:]).mean(0)
    user, pos, neg = z[batch.user], z[USERS + batch.pos], z[USERS + batch.neg]
    ranking = torch.nn.functional.softplus((user * (neg - pos)).sum(1)).mean()
    rows = torch.cat([batch.user, USERS + batch.pos, USERS + batch.neg])
    ranking = ranking + 0.05 * model.embedding[rows].square().sum() / 4
    contrast = 0.0
    for nodes in (torch.tensor([0, 1, 6]), USERS + torch.tensor([0, 1, 2])):
        contrast = contrast + info_nce(z[nodes], layers[2][nodes], temperature=0.15)
    expected = ranking + 0.2 * contrast
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grad, torch.autograd.grad(expected, model.embedding)[0])


def test_noise_is_for_training(data, batch):
    model = XSimGCL.from_graph(data, dim=4, num_layers=2)
    plain = LightGCN.from_graph(data, dim=4, num_layers=2, layer_weights=(0.0, 0.5, 0.5))
    users = torch.arange(USERS)
    assert torch.equal(model.score(users), plain.score(users))
    model.begin_epoch(torch.Generator().manual_seed(0))
    assert not torch.equal(model.loss(batch), model.loss(batch))
    silent = XSimGCL.from_graph(data, dim=4, num_layers=2, contrast_weight=0.0, strength=0.2)
    assert not torch.equal(silent.loss(batch), plain.loss(batch))  # BPR reads the noisy pass.


def test_defaults_are_the_published_ones():
    config = XSimGCL.config_class()
    assert (config.strength, config.contrast_weight, config.temperature) == (0.2, 0.2, 0.15)
    config = SimGCL.config_class()
    assert (config.strength, config.contrast_weight, config.temperature) == (0.1, 0.5, 0.2)


@pytest.mark.parametrize(
    'config',
    [{'contrast_layer': 4}, {'contrast_layer': 0}, {'view': 'edge_drop'}, {'num_layers': 0}],
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        XSimGCL.from_graph(data, **config)
