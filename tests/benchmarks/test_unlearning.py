import json
from pathlib import Path

import pytest
import torch

from graphrec import models, unlearn
from graphrec.datasets import planted
from graphrec.training import fit


@pytest.fixture
def bench(small_backbone, monkeypatch):
    """The script as a module, on tiny planted data and one small backbone."""
    import unlearning

    monkeypatch.setattr(
        unlearning,
        'load',
        lambda path: planted(num_users=60, num_items=50, num_interactions=900, seed=0),
    )
    return unlearning


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
    faster = [
        r['audit']['cost']['speed_up_with_rebuild'] for n, r in again.items() if '-auto-' in n
    ]
    assert f'median is {sum(faster) / 3:.0f} times' in page
    assert 'Of the headline' not in page  # There is nothing else.


def test_a_cell_that_fails_is_stored_with_its_error(bench, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        if args[3] == 'gold':
            return forget(*args, **kwargs)
        raise ValueError('no such thing')

    forget = bench.unlearn.forget
    monkeypatch.setattr(bench.unlearn, 'forget', broken)
    assert bench.main(arguments(tmp_path, '--methods', 'edit_only')) == 0
    assert {r['status'] for r in records(tmp_path).values()} == {'failed'}


def test_one_original_is_still_held_against_all_golds(bench, tmp_path):
    words = arguments(tmp_path, '--methods', 'edit_only', '--golds', '4')
    assert bench.main([*words, '--seeds', '0']) == 0
    (record,) = records(tmp_path).values()
    assert record['audit']['gold_self_check']['golds'] == 4
    assert sorted(p.name for p in tmp_path.glob('models/*/*/*') if p.is_dir()) == [
        *(f'interactions-5-gold-{seed}' for seed in range(4)),
        'original-0',
    ]


@pytest.mark.parametrize('method', ['sisa', 'receraser'])
def test_shards_trained_before_the_request_are_those_of_the_method(bench, method):
    """They stand for all requests, so that a method must not have trained others for one."""
    import _unlearning_plan as plan

    backbone = plan.BACKBONES['lastfm-2k-mm'][0]
    data = bench.load('lastfm-2k-mm')
    original = plan.trained(backbone, data, 3, models.LightGCN, fit)
    shards = plan.trained_shards(backbone, data, 3, method, original)
    edit = plan.make_edit(data, 'interactions-5', Path())
    both = [
        unlearn.forget(start, data, edit, method, seed=3, fit=backbone.fit)
        for start in (original, shards)
    ]
    one, other = (result.model.state_dict() for result in both)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert ['preparation' in result.report.seconds for result in both] == [True, False]
