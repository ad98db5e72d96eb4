import json
import sys
from pathlib import Path

import pytest
import torch

from graphrec.datasets import planted

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
MODULES = (
    'unlearning',
    '_unlearning_plan',
    '_unlearning_tables',
    '_unlearning_sections',
    '_cells',
    '_jobs',
    '_runner',
    '_timing',
)


@pytest.fixture
def bench(monkeypatch):
    """The script as a module, on tiny planted data and one small backbone."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _unlearning_plan as plan
    import unlearning

    small = plan.Backbone('LightGCN', {'dim': 8}, {'epochs': 3, 'lr': 0.05, 'batch_size': 256})
    monkeypatch.setitem(plan.BACKBONES, 'lastfm-2k-mm', (small,))
    monkeypatch.setattr(
        unlearning,
        'load',
        lambda path: planted(num_users=60, num_items=50, num_interactions=900, seed=0),
    )
    threads = torch.get_num_threads()
    yield unlearning
    torch.set_num_threads(threads)
    for name in MODULES:
        sys.modules.pop(name, None)


def arguments(folder, *more):
    places = [
        '--out', str(folder / 'cells'), '--models', str(folder / 'models'),
        '--table', str(folder / 'unlearning.md'),
    ]  # fmt: skip
    fixed = ['--data', 'lastfm-2k-mm', '--seeds', '0', '1', '2', '--threads', '1']
    return [*fixed, *places, '--requests', 'interactions-5', *more]


def records(folder):
    return {p.name: json.loads(p.read_text()) for p in folder.glob('cells/*/*seed*.json')}


def test_a_request_is_run_resumed_and_written(bench, tmp_path):
    assert bench.main(arguments(tmp_path, '--methods', 'edit_only', 'sisa')) == 0
    done = records(tmp_path)
    assert [r for r in done.values() if r['status'] != 'done'] == []
    assert len(done) == 3 + 1  # Sharded methods run once.
    utility = [
        record['audit']['run']['num_unlearned']
        for name, record in done.items()
        if 'edit_only' in name
    ]
    assert utility == [3, 3, 3]
    assert bench.main(arguments(tmp_path, '--methods', 'edit_only', 'auto')) == 0
    again = records(tmp_path)
    assert {name: again[name] for name in done} == done
    page = (tmp_path / 'unlearning.md').read_text()
    assert '| edit_only | 3 ' in page
    assert '| lastfm-2k-mm | LightGCN | interactions-5 | ' in page
    assert 'Missing: suppress (3)' in page
    passed = sum(r['audit']['status'] == 'passed' for name, r in again.items() if '-auto-' in name)
    assert f'{passed} of 3 runs pass, and in {int(passed > 1)} of 1 requests' in page


def test_a_cell_that_fails_is_stored_with_its_error(bench, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        if args[3] == 'gold':
            return forget(*args, **kwargs)
        raise ValueError('no such thing')

    forget = bench.unlearn.forget
    monkeypatch.setattr(bench.unlearn, 'forget', broken)
    assert bench.main(arguments(tmp_path, '--methods', 'edit_only')) == 0
    assert {r['status'] for r in records(tmp_path).values()} == {'failed'}
