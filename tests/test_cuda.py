"""Every model on a GPU: the same scores as on the CPU, training, evaluation, forgetting."""

import pytest
import torch
from torch.nn import functional as F

import graphrec
from graphrec import models, runs
from graphrec.contrastive import blockwise_info_nce, blockwise_logsumexp
from graphrec.contrastive.fused_softmax import fused_softmax_fits, softmax_mean
from graphrec.datasets import planted
from graphrec.evaluation import evaluate
from graphrec.graphs.splits import cold_items
from graphrec.unlearn import RemoveInteractions, forget

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'),
]

NAMES = [kind.__name__ for kind in runs.MODELS.values()]
SMALL = {
    'dim': 16,
    'k': 5,
    'with_queries': True,
    'collaborative_k': 5,
    'hidden': 16,
    'num_hyperedges': 4,
    'rank': 4,
}


@pytest.fixture(scope='module')
def data():
    sizes = {'num_users': 120, 'num_items': 90, 'num_interactions': 2400, 'num_communities': 4}
    return planted(**sizes, num_queries=12, num_intents=4, seed=0)


def build(name, data):
    if name == 'BM25':
        pytest.importorskip('bm25s')
    kind = getattr(models, name)
    fields = kind.config_class.__dataclass_fields__
    return kind.from_graph(data, **{key: value for key, value in SMALL.items() if key in fields})


@pytest.mark.parametrize('name', NAMES)
def test_scores_are_those_of_the_cpu(data, name):
    here, there = build(name, data), build(name, data.clone().to('cuda'))
    there.load_state_dict(here.state_dict())
    users = torch.arange(data['user'].num_nodes)
    scores = there.score(users.cuda())
    torch.testing.assert_close(scores.cpu(), here.score(users), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('name', NAMES)
def test_trains_and_evaluates(data, name):
    on_gpu = data.clone().to('cuda')
    model = build(name, on_gpu)
    history = graphrec.fit(
        model, on_gpu, epochs=6, batch_size=256, lr=0.01, eval_every=3, progress=False
    )
    if model.is_trainable:
        assert history['loss'].iloc[-1] < history['loss'].iloc[0]
    found = evaluate(model, on_gpu, split='test', k=(10,))
    again = build(name, data)
    again.load_state_dict({key: value.cpu() for key, value in model.state_dict().items()})
    expected = evaluate(again, data, split='test', k=(10,))
    assert found['recall@10'] == pytest.approx(expected['recall@10'], abs=0.01)


@pytest.mark.parametrize('name', ['FREEDOM', 'MMHCL', 'LIRDRec'])
def test_ranks_cold_items(data, name):
    cold = cold_items(data, 0.2, seed=1).to('cuda')
    model = build(name, cold)
    graphrec.fit(model, cold, epochs=2, batch_size=256, progress=False)
    assert evaluate(model, cold, split='test', k=(10,), items='cold').num_users


@pytest.mark.parametrize('method', ['edit_only', 'auto', 'heldout_match'])
def test_forgets(data, method):
    on_gpu = data.clone().to('cuda')
    model = build('LightGCN', on_gpu)
    graphrec.fit(model, on_gpu, epochs=3, batch_size=256, lr=0.01, progress=False)
    edges = on_gpu['user', 'interacts', 'item'].edge_index
    gone = [tuple(pair) for pair in edges[:, ::40].t().tolist()]
    result = forget(model, on_gpu, RemoveInteractions(gone), method, seed=0)
    left = result.data['user', 'interacts', 'item'].edge_index
    assert left.size(1) == edges.size(1) - len(gone)
    assert bool(result.model.score(torch.arange(5).cuda()).isfinite().all())


def tables(rows, cols, dim):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, dim, generator=generator).cuda() for n in (rows, cols))
    return [F.normalize(z, dim=1).requires_grad_() for z in (a, b)]


@pytest.mark.parametrize('dim', [24, 64])
@pytest.mark.parametrize('offset', [False, True])
def test_attention_averages_as_a_softmax_does(dim, offset):
    query, key = (z.detach().bfloat16() for z in tables(3000, 5000, dim))
    shift = 20 * torch.rand(5000, device='cuda') if offset else None
    assert fused_softmax_fits(query.float(), key.float(), bf16=True)
    mean, total = softmax_mean(query, key, key, 5.0, shift)
    logits = 5.0 * query.double() @ key.double().t() + (0 if shift is None else shift.double())
    torch.testing.assert_close(total.double(), logits.logsumexp(1), atol=1e-4, rtol=1e-5)
    expected = logits.softmax(1) @ key.double()
    assert (mean.double() - expected).norm() / expected.norm() < 1e-2


@pytest.mark.parametrize('both_views', [False, True])
def test_info_nce_in_bf16_is_close_to_float32(both_views):
    a, b = tables(3000, 3000, 64)
    found = []
    for bf16 in (True, False):
        loss = blockwise_info_nce(
            a, b, torch.arange(3000).cuda(), temperature=0.2, both_views=both_views, bf16=bf16
        )
        found.append((loss.detach(), *torch.autograd.grad(loss, (a, b))))
    for ours, expected in zip(*found, strict=True):
        assert (ours - expected).norm() / expected.norm() < 1e-2


def test_logsumexp_in_bf16_is_close_to_float32():
    a, b = tables(3000, 4000, 64)
    found = []
    for bf16 in (True, False):
        value = blockwise_logsumexp(a, b, 5.0, bf16=bf16)
        found.append((value.detach(), *torch.autograd.grad(value.sum(), (a, b))))
    for ours, expected in zip(*found, strict=True):
        assert (ours - expected).norm() / expected.norm() < 1e-2
