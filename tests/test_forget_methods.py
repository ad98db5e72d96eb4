"""Every method of unlearning through the command line: forgotten, audited, resumed, served."""

import dataclasses
import json

import pytest
from program import run, run_json

import graphrec
from graphrec.unlearn import METHODS, graph_digest, model_digest
from graphrec.unlearn.ledger import read_requests

GONE = [3, 17]
FEW = {'steps': 2, 'num_shards': 2, 'aggregator_epochs': 1, 'iterations': 2, 'batches': 1}


@pytest.fixture(scope='module')
def place(tmp_path_factory, write_models):
    place = tmp_path_factory.mktemp('methods')
    data = write_models(place, 3, model=0)
    pairs = data['user', 'interacts', 'item'].edge_index
    pairs = pairs[:, ~sum(pairs[0] == user for user in GONE).bool()][:, ::40]
    rows = [f'{user},{item}' for user, item in pairs.t().tolist()]
    (place / 'edges.csv').write_text('\n'.join(['user,item', *rows]))
    return place, {(user, item) for user, item in pairs.t().tolist()}


@pytest.mark.parametrize('method', [*METHODS, 'auto'])
def test_every_method_is_forgotten_audited_resumed_and_served(place, method, tmp_path):
    place, pairs = place
    out, ledger = tmp_path / 'out', tmp_path / 'ledger'
    request = ('--users', place / 'users.txt', '--edges', place / 'edges.csv', '--ledger', ledger)
    words = ('forget', place / 'model', place / 'data', *request, '--method', method, '--out', out)
    words += ('--epochs', 2, '--batch-size', 256)
    if method != 'auto':
        known = {field.name for field in dataclasses.fields(METHODS[method].options)}
        for name in sorted(known & FEW.keys()):
            words += ('--set', f'{name}={FEW[name]}')
    assert run_json(*words)['state'] == 'audited'
    written = json.loads((out / 'forget.json').read_text())
    (row,) = read_requests(ledger)
    assert row.state == 'audited'

    # The digests are those of what was written.
    data = graphrec.load(out / 'data')
    model = graphrec.load_model(out / 'model', data)
    assert written['graph_after'] == graph_digest(data) == row.facts()['graph_after']
    assert written['summary']['digest_after'] == written['report']['digests']['after']
    assert written['summary']['digest_after'] == graph_digest(data)
    assert written['model_after'] == model_digest(model) == row.facts()['model_after']

    before = read_requests(ledger)[0].entries['audited'].number
    assert run_json(*words, '--resume')['state'] == 'audited'
    assert read_requests(ledger)[0].entries['audited'].number == before

    words = ('audit', place / 'model', out, place / 'data', *request)
    found = run_json(*words, code=(0, 1))  # The verdict is the audit's own affair.
    (row,) = read_requests(ledger)
    assert row.facts()['verdict']['status'] == found['status']
    assert row.entries['audited'].facts()['model_after'] == written['model_after']

    served = run_json('recommend', out / 'model', out / 'data', '--k', '5')['recommendations']
    assert not {one['user'] for one in served} & set(GONE)
    if method == 'suppress':  # Others may show to a user what is unobserved again.
        assert not {(one['user'], one['item']) for one in served} & pairs
    run('evaluate', out / 'model', out / 'data', '--k', 5)


def test_what_is_suppressed_is_not_said_to_be_gone(place, tmp_path):
    place, _ = place
    out = tmp_path / 'out'
    words = ('forget', place / 'model', place / 'data', '--users', place / 'users.txt')
    shown = run(*words, '--method', 'suppress', '--out', out)
    assert 'parameters and graph still hold' in shown.stdout
    summary = json.loads((out / 'forget.json').read_text())['summary']
    assert summary['nodes'] == {'user': 2}
    assert not summary['edges']
    assert 'still hold all' in summary['residue'][0]
    graph = graphrec.load(out / 'data')
    before = graphrec.load(place / 'data')
    assert graph['user', 'interacts', 'item'].num_edges == (
        before['user', 'interacts', 'item'].num_edges
    )
    audited = json.loads((out / 'audit.json').read_text())
    structure = next(check for check in audited['residue'] if check['name'] == 'structure')
    assert structure['passed'] is False
    gold = tmp_path / 'gold'
    run(*words, '--method', 'gold', '--epochs', 1, '--no-audit', '--out', gold)
    words = ('audit', place / 'model', out, place / 'data', '--users', place / 'users.txt')
    assert "leave out '--gold'" in run(*words, '--gold', gold, code=2).stderr


@pytest.mark.parametrize('method', ['suppress', 'sisa', 'receraser'])
def test_what_cannot_be_compact_is_refused_before_it_is_recorded(place, method, tmp_path):
    place, _ = place
    words = ('forget', place / 'model', place / 'data', '--users', place / 'users.txt')
    words += ('--method', method, '--out', tmp_path / 'out', '--ledger', tmp_path / 'ledger')
    assert "leave out '--compact'" in run(*words, '--compact', code=2).stderr
    assert not list(tmp_path.iterdir())


def test_a_sharded_result_forgets_again(place, tmp_path):
    place, _ = place
    first, second, ledger = tmp_path / 'first', tmp_path / 'second', tmp_path / 'ledger'
    words = ('--epochs', 1, '--batch-size', 256, '--method', 'sisa')
    run(
        *('forget', place / 'model', place / 'data', '--users', place / 'users.txt'),
        *(*words, '--set', 'num_shards=2', '--no-audit', '--out', first),
    )
    request = ('--edges', place / 'edges.csv', '--out', second, '--ledger', ledger)
    refused = run('forget', first / 'model', first / 'data', *request, code=2)
    assert "not by 'auto'" in refused.stderr
    assert not ledger.exists()
    again = run_json('forget', first / 'model', first / 'data', *request, *words)
    assert again['state'] == 'audited'
    assert again['report']['guarantee'] == 'E'
