import json
import sys

import pytest
import torch


@pytest.fixture
def bench(benchmarks):
    """The script as a module, with its helper files beside it."""
    import semantic_graph

    return semantic_graph


def test_all_ways_give_one_graph(bench):
    bench.check([16], k=4, hyper=False)
    bench.check([16, 24], k=4, hyper=True)


def test_a_way_that_is_wrong_is_noticed(bench, monkeypatch):
    monkeypatch.setitem(bench.WAYS, bench.OURS, lambda tables, k, hyper: torch.zeros(700, 700))
    with pytest.raises(SystemExit, match='graphrec is off'):
        bench.check([16], k=4, hyper=False)


def test_runs_and_stores(bench, monkeypatch, tmp_path, capsys):
    out = tmp_path / 'record.json'
    arguments = ['--items', '80', '--dims', '16', '--hypergraph', '16', '24', '--rounds', '1']
    arguments += ['--k', '3', '--threads', '1', '--out', str(out)]
    monkeypatch.setattr(sys, 'argv', ['semantic_graph.py', *arguments])
    measured = {'seconds': 2.0, 'peak bytes': 1e9, 'bytes before': 5e8}
    monkeypatch.setattr(
        bench.subprocess,
        'run',
        lambda command, **_: type('Done', (), {'stdout': json.dumps(measured)}),
    )
    bench.main()
    record = json.loads(out.read_text())
    assert [cell['hypergraph'] for cell in record['cells']] == [False, True]
    assert record['cells'][0]['operations'] == 80**2 * 16
    table = capsys.readouterr().out
    assert 'hypergraph of 16-d + 24-d' in table
    assert bench.one(bench.OURS, 80, [4], 3, False)['seconds'] > 0
