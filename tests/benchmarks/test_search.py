import json
import sys

import pytest
import torch

from graphrec.datasets import planted
from graphrec.graphs.search import event_labels

MODELS = ['Popularity', 'BM25', 'QueryBilinear', 'UDITSR', 'no translation', 'recommendation only']


@pytest.fixture
def bench(benchmarks, monkeypatch):
    """The script as a module, on tiny planted data and grids of one point."""
    import _search_jobs
    import _search_plan
    import search

    def tiny(name, root):
        return planted(
            num_users=40, num_items=200, num_queries=8, num_intents=4, silent_share=0.3,
            modalities={}, seed=0,
        )  # fmt: skip

    def grids(name):
        points = {model: [{}] for model in _search_plan.CLASSES}
        points['BM25'] = [{'with_queries': True}]
        points['QueryBilinear'] = [{'lr': 1e-2}, {'lr': 1e-3}]
        points['UDITSR'] = [{'recommendations': 'other', 'weight_decay': 0.1, 'lr': 1e-2}]
        return points

    monkeypatch.setattr(search, 'open_set', tiny)
    monkeypatch.setattr(_search_jobs, 'grids', grids)
    monkeypatch.setattr(_search_jobs, 'DIM', 8)
    return search


def arguments(folder, *more):
    fixed = ['--data', 'planted', '--seeds', '0', '1', '--epochs', '2', '--threads', '1']
    places = ['--out', str(folder / 'cells'), '--table', str(folder / 'search.md')]
    return [*fixed, *places, '--models', *MODELS, *more]


def test_a_run_is_stored_resumed_and_written(bench, tmp_path):
    assert bench.main(arguments(tmp_path)) == 0
    page = (tmp_path / 'search.md').read_text()
    files = sorted(tmp_path.glob('cells/planted/*seed*.json'))
    records = [json.loads(path.read_text()) for path in files]
    assert [r for r in records if r['status'] != 'done'] == []
    assert len(records) == 1 + 1 + 1 + 1 + 2 + 2 + 1 + 2 + 2 + 2
    for heading in ('### Recommendation', '### Search', 'users without searches', 'no translation'):
        assert heading in page
    assert 'Missing' not in page
    alone = [r for r in records if r['job']['model'] == 'recommendation only']
    assert all('search' not in r and r['job']['config']['recommendations'] == 'all' for r in alone)
    bm25 = next(r for r in records if r['job']['model'] == 'BM25' and r['job']['kind'] == 'final')
    assert 'recommend' not in bm25

    stamps = {path: path.stat().st_mtime_ns for path in files}
    assert bench.main(arguments(tmp_path, '--only-table')) == 0
    assert bench.main(arguments(tmp_path)) == 0
    assert {path: path.stat().st_mtime_ns for path in files} == stamps
    assert (tmp_path / 'search.md').read_text() == page


def test_no_time_no_cell(bench, tmp_path):
    assert bench.main(arguments(tmp_path, '--budget-minutes', '0')) == 0
    assert 'No cell yet.' in (tmp_path / 'search.md').read_text()
    assert not list(tmp_path.glob('cells/planted/*seed*.json'))


def test_the_loop_sees_no_held_out_edge(bench):
    data = bench.open_set('planted', None)
    bare = sys.modules['_search_jobs']._without_heldout(data)
    assert event_labels(bare) == ['train']
    assert not [t for t in bare.edge_types if t[1].startswith('holdout')]
    assert len(event_labels(data)) == 3


def test_the_textbook_form_has_the_same_loss_and_gradients(benchmarks, planted_like):
    from _textbook_search import TextbookUDITSR

    from graphrec.models import UDITSR

    model = UDITSR.from_graph(planted_like, dim=6, recommendations='all').double()
    textbook = TextbookUDITSR(model)
    sampler = model.make_sampler(planted_like, 50)
    batch = next(iter(sampler.epoch(torch.Generator().manual_seed(0))))
    ours, theirs = model.loss(batch), textbook.loss(batch)
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    named = dict(textbook.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, named[name].grad, rtol=1e-6, atol=1e-9)


@pytest.fixture
def planted_like():
    return planted(num_users=20, num_items=30, num_queries=8, num_intents=4, modalities={}, seed=0)
