import pytest
import torch

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import LightGCL

USERS, ITEMS = 8, 6


@pytest.fixture
def data(make_graph):
    return make_graph(USERS, ITEMS, 0.5)


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 6], [0, 2, 2, 1], [5, 4, 2, 0]]))


@pytest.mark.parametrize('scale', [1.0, 40.0])  # The second is where the clamp holds.
def test_equals_the_published_code_in_dense_form(data, batch, scale):
    model = LightGCL.from_graph(data, dim=4, rank=3, reg=1e-3).double()
    with torch.no_grad():
        model.embedding *= scale
    loss = model.loss(batch)
    (grad,) = torch.autograd.grad(loss, model.embedding)

    e, adjacency = model.embedding, model.adjacency.to_dense()
    low = torch.zeros_like(adjacency)
    u, s, v = torch.linalg.svd(adjacency[:USERS, USERS:], full_matrices=False)
    low[:USERS, USERS:] = u[:, :3] @ s[:3].diag() @ v[:3]
    low = low + low.t()
    h = [e, adjacency @ e, adjacency @ (adjacency @ e)]
    z, g = h[0] + h[1] + h[2], e + low @ h[0] + low @ h[1]
    user, pos, neg = z[batch.user], z[USERS + batch.pos], z[USERS + batch.neg]
    expected = torch.nn.functional.softplus((user * (neg - pos)).sum(1)).mean()
    expected = expected + 1e-3 * e.square().sum()
    items = torch.cat([batch.pos, batch.neg])
    for ids, rows in ((batch.user, slice(0, USERS)), (items, slice(USERS, None))):
        zs, gs = z[rows], g[rows]
        total = (gs[ids] @ zs.t() / 0.2).logsumexp(1).mean()
        positive = ((gs[ids] * zs[ids]).sum(1) / 0.2).clamp(-5, 5).mean()
        expected = expected + 0.2 * (total - positive)
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        grad, torch.autograd.grad(expected, model.embedding)[0], atol=1e-3, rtol=1e-3
    )


def test_long_embeddings_do_not_overflow(data, batch):
    model = LightGCL.from_graph(data, dim=4)
    with torch.no_grad():
        model.embedding *= 1e3
    loss = model.loss(batch)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(model.embedding.grad.isfinite().all())


def test_cosines_do_not_see_the_scale(data, batch):
    model = LightGCL.from_graph(data, dim=4, normalize=True, clamp=None)
    before = model.contrast(batch)
    with torch.no_grad():
        model.embedding *= 3
    torch.testing.assert_close(model.contrast(batch), before)


@pytest.mark.parametrize(
    'config', [{'clamp': 0.0}, {'candidates': 'batch'}, {'objective': 'nt_xent'}]
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        LightGCL.from_graph(data, **config)
