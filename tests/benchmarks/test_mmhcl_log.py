import json

import pytest

from graphrec.datasets import planted


@pytest.fixture
def bench(benchmarks):
    import mmhcl_log

    return mmhcl_log


def rows(*values):
    return [
        {'epoch': 5 * (n + 1), 'valid recall@20': recall, 'valid ndcg@20': ndcg}
        for n, (recall, ndcg) in enumerate(values)
    ]


def test_the_official_rule_goes_on_while_either_metric_rises(bench):
    found = rows((0.2, 0.1), (0.3, 0.1), (0.2, 0.2), (0.2, 0.1), (0.2, 0.1), (0.4, 0.3))
    ours, official = bench.RULES.values()
    assert [row['epoch'] for row in bench.stops(found, ours, 2)] == [10, 20]
    assert [row['epoch'] for row in bench.stops(found, official, 2)] == [15, 25]
    assert bench.stops(found, ours, 5)[0]['epoch'] == 30
    assert bench.stops(found, ours, 5)[1] is None


def test_metrics_keep_their_own_best(bench):
    found = rows((0.3, 0.1), (0.1, 0.2), (0.2, 0.2))
    chosen, end = bench.stops(found, bench.METRICS, 1)
    assert (chosen['epoch'], end['epoch']) == (10, 15)


def test_runs_stores_and_writes_its_section(bench, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, 'load', lambda _: planted(80, 60, seed=0))
    out, page = tmp_path / 'curves.json', tmp_path / 'page.md'
    page.write_text('# Page\n')
    options = ['--seeds', '0', '1', '--epochs', '5', '--threads', '1']
    bench.main([*options, '--out', str(out), '--docs', str(page)])
    stored = json.loads(out.read_text())['curves']
    assert list(stored) == ['0', '1']
    assert [row['epoch'] for row in stored['0']] == [5]
    assert 0 < stored['0'][0]['test recall@20'] <= 1
    text = page.read_text()
    assert '| recall@20 or ndcg@20 (official) | 1 |' in text
    assert 'official log' in text
    capsys.readouterr()
    monkeypatch.setattr(bench, 'curve', None)
    bench.main(['--only-section', '--threads', '1', '--out', str(out)])
    assert capsys.readouterr().out.strip() in text
