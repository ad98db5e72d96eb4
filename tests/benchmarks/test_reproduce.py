import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graphrec.datasets.planted import planted
from graphrec.evaluation import evaluate
from graphrec.graphs.schema import HOLDOUT_TEST, HOLDOUT_VALID, INTERACTS
from graphrec.models import EASE

MODELS = ['Popularity', 'ItemKNN', 'EASE', 'MF', 'LightGCN']


@pytest.fixture
def bench(benchmarks):
    """The script as a module, with its helper files beside it."""
    import reproduce

    return reproduce


@pytest.fixture
def sets(tmp_path):
    """Two small data sets: one with a validation part of its own, one without."""
    data = planted(120, 60, modalities={}, seed=1)
    for name, splits in (
        ('own', {'train': INTERACTS, 'valid': HOLDOUT_VALID, 'test': HOLDOUT_TEST}),
        ('carved', {'train': INTERACTS, 'test': HOLDOUT_TEST}),
    ):
        (tmp_path / 'data' / name).mkdir(parents=True)
        parts = []
        for split, edge_type in splits.items():
            user, item = data[edge_type].edge_index.numpy()
            parts.append(pd.DataFrame({'user': user, 'item': item, 'split': split}))
        pd.concat(parts).to_csv(tmp_path / 'data' / name / 'interactions.csv.gz', index=False)
    return tmp_path


def arguments(root: Path, *more: str) -> list[str]:
    return [
        *('--suite', 'interactions', '--root', str(root / 'data'), '--out', str(root / 'cells')),
        *('--table', str(root / 'results.md'), '--epochs', '2', '--threads', '1'),
        *('--models', *MODELS, '--seeds', '0', '1', *more),
    ]


def stored(root: Path, pattern: str) -> dict[Path, dict]:
    return {p: json.loads(p.read_text()) for p in sorted((root / 'cells').glob(pattern))}


def test_runs_stores_and_tables_every_cell(bench, sets, capsys):
    assert bench.main(arguments(sets, '--data', 'own', 'carved')) == 0
    table = (sets / 'results.md').read_text()
    assert table in capsys.readouterr().out
    assert 'Missing' not in table

    finals = stored(sets, 'own/*-final-*.json')
    seeds = sorted((cell['job']['model'], cell['job']['seed']) for cell in finals.values())
    assert seeds == [
        ('EASE', 0),
        ('ItemKNN', 0),
        *(('LightGCN', 0), ('LightGCN', 1)),
        *(('MF', 0), ('MF', 1)),
        ('Popularity', 0),
    ]
    for path, cell in finals.items():
        assert cell['status'] == 'done'
        values = np.load(path.with_suffix('.npz'))['ndcg20']
        assert values.mean() == pytest.approx(cell['test']['ndcg@20'])
        assert f'{cell["test"]["ndcg@20"]:.4f}' in table or cell['job']['model'] in (
            'MF',
            'LightGCN',
        )


def test_numbers_are_those_of_the_best_setting_on_validation(bench, sets):
    bench.main([*arguments(sets, '--data', 'own'), '--models', 'EASE'])
    grid = stored(sets, 'own/EASE-grid-*.json').values()
    best = max(grid, key=lambda cell: cell['valid']['recall@20'])
    (final,) = stored(sets, 'own/EASE-final-*.json').values()
    assert final['valid'] == best['valid']
    assert final['job']['config'] == best['job']['config']
    assert 'test' not in best

    from graphrec.datasets import load

    data = load(sets / 'data' / 'own')
    again = evaluate(EASE.from_graph(data, **final['job']['config']), data)
    assert dict(again) == pytest.approx(final['test'], abs=1e-6)


def test_carved_edges_are_masked_at_test_and_own_ones_are_not(bench, sets):
    bench.main([*arguments(sets, '--data', 'own', 'carved'), '--models', 'Popularity'])
    masks = {
        name: cell['job']['protocol']['mask']
        for name in ('own', 'carved')
        for cell in stored(sets, f'{name}/Popularity-final-*.json').values()
    }
    assert masks == {'own': ['train'], 'carved': ['train', 'valid']}
    assert 'carved out (seed 0)' in (sets / 'results.md').read_text()


def test_second_run_computes_nothing(bench, sets, monkeypatch):
    models = ['--models', 'ItemKNN', 'MF']
    bench.main([*arguments(sets, '--data', 'own'), *models])
    before = {path: path.stat().st_mtime_ns for path in (sets / 'cells').rglob('*-seed*')}
    table = (sets / 'results.md').read_text()

    def never(*_):
        raise AssertionError('a stored cell was computed again')

    monkeypatch.setattr(bench, 'build', never)
    monkeypatch.setattr(bench, 'measure', never)
    bench.main([*arguments(sets, '--data', 'own'), *models])
    assert {path: path.stat().st_mtime_ns for path in (sets / 'cells').rglob('*-seed*')} == before
    assert (sets / 'results.md').read_text() == table


def test_stopped_run_goes_on_and_the_table_says_what_is_missing(bench, sets, monkeypatch):
    measure, left = bench.measure, [4]

    def killed(*args):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return measure(*args)

    monkeypatch.setattr(bench, 'measure', killed)
    models = ['--models', 'EASE', 'MF']
    with pytest.raises(KeyboardInterrupt):
        bench.main([*arguments(sets, '--data', 'own'), *models])
    assert len(stored(sets, 'own/EASE-grid-*.json')) == 4
    assert not list((sets / 'cells').rglob('*.part'))

    bench.main([*arguments(sets, '--data', 'own'), *models, '--only-table'])
    table = (sets / 'results.md').read_text()
    assert 'EASE test, seed 0' in table
    assert 'all of MF.' in table
    assert '| MF' not in table

    monkeypatch.setattr(bench, 'measure', measure)
    bench.main([*arguments(sets, '--data', 'own'), *models])
    assert 'Missing' not in (sets / 'results.md').read_text()


def test_no_cell_starts_after_the_budget(bench, sets):
    bench.main([*arguments(sets, '--data', 'own'), '--budget-minutes', '0'])
    assert not stored(sets, 'own/*-seed*.json')
    assert 'Missing: Popularity test, seed 0' in (sets / 'results.md').read_text()


def test_a_study_runs_where_everything_else_is_there(bench, sets, monkeypatch):
    from _suite import Study

    study = Study('ablation', 'Parts.', ('own',), {'MF': {'free': {'reg': 0.0}}}, {'as is': {}}, 1)
    suite = dataclasses.replace(bench.SUITES['interactions'], studies=(study,))
    monkeypatch.setitem(bench.SUITES, 'interactions', suite)
    models = ['--models', 'MF']
    bench.main([*arguments(sets, '--data', 'own'), *models, '--studies'])
    assert not stored(sets, 'own/MF-ablation-*.json')
    bench.main([*arguments(sets, '--data', 'own'), *models])
    (cell,) = stored(sets, 'own/MF-ablation-*.json').values()
    assert cell['status'] == 'done'
    assert '| MF | free | 1 |' in (sets / 'results.md').read_text()


def test_a_study_may_train_shorter_than_the_budget(bench):
    from _studies import study_jobs
    from _suite import Study

    suite, point = bench.SUITES['interactions'], {'lr': 1e-3}
    shorter = Study('own', '', ('set',), {'MF': {'': {}}}, {'': {}}, epochs={'MF': 3})
    usual = dataclasses.replace(shorter, epochs={'LightGCN': 3})

    def epochs(study, given=None):
        (job,) = study_jobs(suite, study, 'set', 'MF', 'own', point, [0], given)
        return job.fit['epochs']

    assert epochs(shorter) == 3
    assert epochs(shorter, given=2) == 2
    assert epochs(usual) == suite.budget('set').loops['MF'].epochs > 3


def test_training_ends_after_the_minutes_of_a_cell(bench, sets):
    models = ['--models', 'MF', '--epochs', '5']
    bench.main([*arguments(sets, '--data', 'own'), *models, '--cell-minutes', '0'])
    cells = stored(sets, 'own/MF-final-*.json').values()
    assert {(cell['epochs'], cell['stopped']) for cell in cells} == {(1, 'callback')}
    assert '1 (time was up at 1)/1 (time was up at 1)' in (sets / 'results.md').read_text()


def test_seconds_of_a_gpu_stand_apart(bench):
    import _tables

    records = [
        {'build_seconds': 120.0, 'machine': {}},
        {'build_seconds': 7.0, 'machine': {'gpu': 'a card'}},
    ]
    assert _tables._seconds(records) == '120; 7.0 on a GPU'


def test_crash_of_a_cell_is_stored_and_stops_nothing(bench, sets, monkeypatch):
    build = bench.build

    def crashing(job, *rest):
        if job.model == 'ItemKNN' and job.config['k'] == 50:
            raise RuntimeError('out of luck')
        return build(job, *rest)

    monkeypatch.setattr(bench, 'build', crashing)
    models = ['--models', 'ItemKNN', 'Popularity']
    bench.main([*arguments(sets, '--data', 'own'), *models])
    cells = stored(sets, 'own/ItemKNN-grid-*.json').values()
    failed = [cell for cell in cells if cell['status'] == 'failed']
    assert {cell['error'] for cell in failed} == {'RuntimeError: out of luck'}
    assert len(failed) < len(cells)
    table = (sets / 'results.md').read_text()
    assert 'k=50, shrinkage=0: failed' in table
    assert 'Popularity (once)' in table

    monkeypatch.setattr(bench, 'build', build)
    bench.main([*arguments(sets, '--data', 'own'), *models, '--retry'])
    assert 'failed' not in (sets / 'results.md').read_text()


def test_set_that_cannot_be_read_stops_no_other(bench, sets):
    (sets / 'data' / 'broken').mkdir()
    models = ['--models', 'Popularity']
    bench.main([*arguments(sets, '--data', 'broken', 'own'), *models])
    table = (sets / 'results.md').read_text()
    assert 'broken\n\nNot run yet.' in table
    assert 'Popularity (once)' in table


def test_speed_run_ends_after_its_minutes(bench, sets):
    more = ['--data', '--speed', 'own', '--minutes', '0.0001']
    bench.main([*arguments(sets), *more])
    (cell,) = stored(sets, 'own/LightGCN-speed-*.json').values()
    assert cell['epochs'] >= 1
    assert cell['build_seconds'] >= 0.006
    assert cell['peak_bytes'] is None or cell['peak_bytes'] > 1e6
    assert f'{cell["test"]["recall@20"]:.4f}' in (sets / 'results.md').read_text()


def test_table_keeps_what_other_runs_stored(bench, sets):
    for name, model in (('tiktok', 'Popularity'), ('lastfm', 'EASE'), ('tiktok', 'ItemKNN')):
        (sets / 'data' / 'own').rename(sets / 'data' / name)
        bench.main([*arguments(sets, '--data', name), '--models', model])
        (sets / 'data' / name).rename(sets / 'data' / 'own')
    table = (sets / 'results.md').read_text()
    assert table.index('## lastfm') < table.index('EASE (once)') < table.index('## tiktok')
    assert table.index('## tiktok') < table.index('Popularity (once)')
    assert table.index('Popularity (once)') < table.index('ItemKNN (once)')
    assert '| 0.0752 | 0.1139 | 0.0395 | 0.0492 |' in table  # Published, for TikTok.


def test_plan_prints_and_runs_nothing(bench, sets, capsys):
    bench.main([*arguments(sets, '--data', 'tiktok'), '--plan'])
    out = capsys.readouterr().out
    assert 'tiktok: validation every' in out
    assert 'LightGCN' in out
    assert not (sets / 'cells').exists()


def test_als_finds_the_planted_communities(bench):
    pytest.importorskip('implicit')
    from _als import ALS

    data = planted(120, 60, modalities={}, seed=1)
    score = evaluate(ALS.from_graph(data, factors=8), data)
    same = evaluate(ALS.from_graph(data, factors=8), data)
    assert score['recall@20'] > 20 / 60 + 0.1
    assert dict(score) == pytest.approx(dict(same))
