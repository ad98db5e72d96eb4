import itertools

import pytest
import torch
from torch.nn import functional as F

import graphrec
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import DirectAU

USERS, ITEMS = 8, 6


@pytest.fixture
def data(make_graph):
    return make_graph(USERS, ITEMS, 0.5)


def uniformity(z):
    pairs = itertools.combinations(F.normalize(z, dim=1), 2)
    return torch.stack([torch.exp(-2 * (a - b).square().sum()) for a, b in pairs]).mean().log()


@pytest.mark.parametrize('deduplicate', [True, False])
def test_loss_is_the_equation(data, deduplicate):
    options = {'gamma': 1.5, 'reg': 0.01, 'deduplicate': deduplicate}
    model = DirectAU.from_graph(data, dim=4, **options).double()
    batch = BPRBatch(*torch.tensor([[0, 1, 1, 6], [0, 2, 3, 2], [5, 4, 3, 0]]))
    z = model()
    user, item = z['user'][batch.user], z['item'][batch.pos]
    expected = (2 - 2 * F.cosine_similarity(user, item)).mean()
    if deduplicate:
        user, item = z['user'][[0, 1, 6]], z['item'][[0, 2, 3]]
    expected = expected + 0.75 * (uniformity(user) + uniformity(item))
    expected = expected + 0.005 * model.embedding.square().sum()
    ours = model.loss(batch)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, model.embedding)[0] for loss in (ours, expected))
    )
    other = batch._replace(neg=torch.tensor([1, 1, 1, 1]))
    assert torch.equal(model.loss(other), ours)  # Negatives are not read.


def test_training_brings_pairs_together_and_spreads_nodes(data):
    model = DirectAU.from_graph(data, dim=8, num_layers=1, gamma=0.5)
    history = graphrec.fit(model, data, epochs=30, batch_size=16, lr=0.02, progress=False)
    assert history['loss'].iloc[-1] < history['loss'].iloc[0]
    z = {kind: F.normalize(rows.detach(), dim=1) for kind, rows in model().items()}
    cosine = z['user'] @ z['item'].t()
    seen = torch.zeros(USERS, ITEMS, dtype=torch.bool)
    seen[tuple(data['user', 'interacts', 'item'].edge_index)] = True
    assert cosine[seen].mean() > cosine[~seen].mean() + 0.3


def test_bad_config_names_the_field(data):
    with pytest.raises(GraphError, match='gamma'):
        DirectAU.from_graph(data, gamma=-1.0)
