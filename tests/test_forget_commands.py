"""Unlearning through the command line, from saved models to records."""

import json
import subprocess
import sys

import pytest
import torch
from program import run, run_json

import graphrec
from graphrec import datasets
from graphrec.unlearn import Ledger, RemoveUsers, graph_digest, verify_ledger
from graphrec.unlearn.ledger import read_requests

GONE = [3, 17]


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A data folder, a trained model, files of ids and a key."""
    place = tmp_path_factory.mktemp('forget')
    data = datasets.planted(num_users=40, num_items=30, num_communities=4, modalities={})
    datasets.write_folder(data, place / 'data')
    train = ('--epochs', 3, '--batch-size', 256, '--dim', 8, '--k', 5, '--quiet')
    run('train', place / 'data', '--model', 'mf', '--out', place / 'model', *train)
    (place / 'users.txt').write_text('3\n17\n')
    user, item = data['user', 'interacts', 'item'].edge_index[:, 0].tolist()
    (place / 'edges.csv').write_text(f'user,item\n{user},{item}\n')
    (place / 'key').write_text('0123456789abcdef' * 4)
    return place


@pytest.fixture(scope='module')
def forgotten(place):
    """A result and the document that the command printed."""
    out = place / 'unlearned'
    words = ('--users', place / 'users.txt', '--method', 'edit_only', '--out', out)
    record = ('--ledger', place / 'private.ledger', '--private', place / 'key')
    return out, run_json('forget', place / 'model', place / 'data', *words, *record)


def test_forget_writes_model_data_and_reports(place, forgotten):
    out, document = forgotten
    assert document['state'] == 'audited'
    assert {path.name for path in out.iterdir()} == {
        'model',
        'data',
        'forget.json',
        'audit.json',
        'audit.html',
    }
    edited = RemoveUsers(GONE).apply(graphrec.load(place / 'data'))
    written = graphrec.load(out / 'data')
    assert graph_digest(written) == edited.summary.digest_after
    assert written['user'].is_removed.nonzero().squeeze(1).tolist() == GONE
    before = graphrec.load_model(place / 'model', graphrec.load(place / 'data'))
    after = graphrec.load_model(out / 'model', written)
    same = (after()['user'] == before()['user']).all(dim=1)
    assert (~same).nonzero().squeeze(1).tolist() == GONE  # edit_only: fresh rows, no more.
    assert torch.equal(after()['item'], before()['item'])
    report = json.loads((out / 'forget.json').read_text())['report']
    assert report['method'] == 'edit_only'
    assert report['counts']['users'] == 2


def test_the_result_serves_and_is_evaluated(forgotten):
    out, _ = forgotten
    served = run_json('recommend', out / 'model', out / 'data', '--users', '1,2', '--k', '3')
    assert len(served['recommendations']) == 6
    scores = run_json('evaluate', out / 'model', out / 'data', '--k', '5')
    assert scores['dropped']['removed from the graph'] == 2
    refused = run('recommend', out / 'model', out / 'data', '--users', '3', code=2)
    assert 'removed from this graph' in refused.stderr


def test_the_ledger_has_the_request_and_no_id(place, forgotten):
    _, document = forgotten
    ledger = place / 'private.ledger'
    (request,) = run_json('ledger', 'list', ledger)['requests']
    assert (request['request'], request['state']) == (document['request'], 'audited')
    shown = run_json('ledger', 'show', ledger, document['request'][:5])
    assert list(shown['entries']) == ['received', 'applied', 'audited']
    (hidden, other) = shown['entries']['received']['edit']['nodes']['user']
    assert len(hidden) == len(other) == 64
    plain = RemoveUsers(GONE).digest()
    for path in (ledger, *[p for p in forgotten[0].iterdir() if p.is_file()]):
        assert plain.encode() not in path.read_bytes()
    assert 'received 20' in run('ledger', 'show', ledger, document['request']).output
    found = run_json('ledger', 'verify', ledger, '--private', place / 'key')
    assert found['intact']
    assert found['head'] == document['receipt']
    run('ledger', 'verify', ledger, '--receipt', document['receipt'])
    later = f'9:{"0" * 64}'
    assert (
        '6 rows at the end are missing'
        in run('ledger', 'verify', ledger, '--receipt', later, code=1).output
    )


def test_audit_with_golds(place, forgotten):
    out, document = forgotten
    golds = []
    for seed in (1, 2):
        gold = place / f'gold{seed}'
        golds += ['--gold', gold]
        run(
            *('forget', place / 'model', place / 'data', '--users', place / 'users.txt'),
            *('--method', 'gold', '--epochs', 2, '--batch-size', 256, '--no-audit'),
            *('--seed', seed, '--out', gold, '--quiet'),
        )
    words = ('audit', place / 'model', out, place / 'data', '--users', place / 'users.txt')
    record = ('--ledger', place / 'private.ledger', '--private', place / 'key')
    either = (0, 1)  # The verdict is the audit's own affair.
    found = run_json(*words, *golds, *record, '--out', place / 'audit', code=either)
    assert found['run']['num_golds'] == 2
    assert (place / 'audit' / 'audit.html').exists()
    (request,) = read_requests(place / 'private.ledger')
    assert request.id == document['request']
    assert request.facts()['run']['num_golds'] == 2
    assert verify_ledger(place / 'private.ledger').entries == 4


def test_audit_needs_the_result_of_this_request(place, forgotten, tmp_path):
    out, _ = forgotten
    words = ('audit', place / 'model', out, place / 'data')
    record = ('--ledger', place / 'private.ledger', '--private', place / 'key')
    told = one_line(run(*words, '--edges', place / 'edges.csv', *record, code=2))
    assert "another request: give the files that 'graphrec forget' was given\n" in told
    told = one_line(run(*words, '--users', place / 'users.txt', code=2))
    assert "'--ledger' and '--private' if it was recorded in a private ledger" in told
    plain = tmp_path / 'plain'
    more = ('--users', place / 'users.txt', '--method', 'edit_only', '--out', plain, '--quiet')
    run('forget', place / 'model', place / 'data', *more, '--no-audit')
    told = run('audit', place / 'model', plain, place / 'data', *more[:2], *record, code=2)
    assert "leave out '--ledger' and '--private'" in one_line(told)
    model = graphrec.load_model(place / 'model', graphrec.load(place / 'data'))
    graphrec.save(type(model).from_graph(graphrec.load(place / 'data'), dim=4), tmp_path / 'other')
    told = run('audit', tmp_path / 'other', plain, place / 'data', *more[:2], code=2)
    assert 'another request: MODEL is not the one that it was made from\n' in one_line(told)
    shown = run(
        'audit', place / 'model', tmp_path, *words[3:], '--edges', place / 'edges.csv', code=2
    )
    assert 'no result' in shown.stderr


def one_line(result):
    assert result.stdout == ''
    assert result.stderr.startswith('error: ')
    assert result.stderr.count('\n') == 1
    return result.stderr


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ([], 'nothing to forget was named'),
        (['--users', 'missing.txt'], 'cannot be read (No such file'),
        (['--users', 'empty.txt'], 'holds no user ids'),
        (['--users', 'unknown.txt'], '1 of 2 users are not in the graph'),
        (['--users', 'text.txt'], "holds the user 'Ann', but ids are integers"),
        (['--users', 'other.csv'], "no 'user'"),
        (['--edges', 'other.csv'], "no 'user'"),
        (['--edges', 'absent.csv'], '1 of 1 pairs user interacts item are not in the graph'),
        (['--edit', 'other.csv'], 'an edit has'),
        (['--edit', 'broken.json'], 'no JSON'),
        (['--users', 'users.txt', '--method', 'magic'], "'magic' is not one of"),
        (['--users', 'users.txt', '--set', 'steps=3'], "name it with '--method'"),
        (['--users', 'users.txt', '--method', 'finetune', '--set', 'x=3'], "no setting 'x'"),
        (['--users', 'users.txt', '--resume'], "add '--ledger'"),
        (['--users', 'users.txt', '--private', 'key'], "add '--ledger"),
        (['--users', 'users.txt', '--ledger', 'l', '--private', 'users.txt'], 'can be guessed'),
        (['--users', 'users.txt', '--ledger', 'l', '--private', 'none'], 'openssl rand'),
        (['--users', 'users.txt', '--ledger', 'data/items.csv.gz'], 'no ledger'),
        (['--queries', 'users.txt'], 'no query nodes'),
    ],
)
def test_bad_input_is_one_line(place, words, message, monkeypatch):
    monkeypatch.chdir(place)
    for name, content in (
        ('empty.txt', '\n'),
        ('unknown.txt', '3\n4711\n'),
        ('text.txt', 'Ann\n'),
        ('other.csv', 'customer,age\n3,4\n'),
        ('absent.csv', 'user,item\n3,4711\n'),
        ('broken.json', '{'),
    ):
        (place / name).write_text(content)
    shown = run('forget', 'model', 'data', '--out', 'bad', *words, code=2)
    assert message in one_line(shown)
    assert not (place / 'bad').exists()


def test_unknown_ids_can_be_counted(place, tmp_path):
    (tmp_path / 'users.txt').write_text('3\n4711\n')
    words = ('forget', place / 'model', place / 'data', '--users', tmp_path / 'users.txt')
    words += ('--ignore-unknown', '--method', 'edit_only', '--no-audit', '--out', tmp_path / 'out')
    assert run_json(*words)['state'] == 'applied'
    document = json.loads((tmp_path / 'out' / 'forget.json').read_text())
    assert document['summary']['unknown'] == {'users': 1}
    assert 'result of this request already' in one_line(run(*words, code=2))


def test_a_compact_result_holds_no_removed_id_and_is_audited(place, tmp_path):
    out = tmp_path / 'out'
    words = ('forget', place / 'model', place / 'data', '--users', place / 'users.txt')
    words += ('--method', 'finetune', '--set', 'steps=5', '--out', out, '--compact')
    document = run_json(*words)
    assert document['state'] == 'audited'
    assert all(check['passed'] is not False for check in document['audit']['residue'])
    ids = json.loads((out / 'model' / 'ids.json').read_text())['user']
    assert len(ids) == 38
    assert not set(ids) & set(GONE)
    written = graphrec.load(out / 'data')
    assert not set(written['user'].id.tolist()) & set(GONE)
    edited = RemoveUsers(GONE).apply(graphrec.load(place / 'data'))
    assert graph_digest(written) == edited.summary.digest_after
    assert graphrec.load_model(out / 'model', written).num_users == 38
    words = ('audit', place / 'model', out, place / 'data', '--users', place / 'users.txt')
    again = run_json(*words, code=(0, 1))
    assert again['residue'] == document['audit']['residue']
    gone = run('recommend', out / 'model', out / 'data', '--users', '3', code=2)
    assert 'not in the graph' in gone.stderr


def test_the_result_is_evaluated_with_the_masks_of_the_run(place, tmp_path):
    data = graphrec.load(place / 'data')
    del data['user', 'holdout_valid', 'item']
    datasets.write_folder(data, tmp_path / 'data')
    train = ('--epochs', 1, '--batch-size', 256, '--dim', 4, '--k', 5, '--quiet')
    run('train', tmp_path / 'data', '--model', 'mf', '--out', tmp_path / 'model', *train)
    words = ('--users', place / 'users.txt', '--method', 'edit_only', '--no-audit')
    out = tmp_path / 'out'
    run('forget', tmp_path / 'model', tmp_path / 'data', *words, '--out', out, '--quiet')
    plain = run_json('evaluate', out / 'model', out / 'data', '--k', '5')
    masked = run_json('evaluate', out / 'model', out / 'data', '--k', '5', '--mask-valid')
    assert plain['scores'] == masked['scores']


def test_other_folders_are_left_alone(place, forgotten, tmp_path):
    (tmp_path / 'letter.txt').write_text('Dear Ann')
    words = ('forget', place / 'model', place / 'data', '--edges', place / 'edges.csv')
    assert 'other things' in one_line(run(*words, '--out', tmp_path, code=2))
    words = (*words, '--method', 'edit_only', '--out', forgotten[0])
    assert 'another request (other edit_digest)' in one_line(run(*words, code=2))


def test_a_failed_run_writes_nothing_and_stays_open(place, tmp_path, monkeypatch):
    real = graphrec.unlearn.forget

    def failing(*args, **kwargs):
        result = real(*args, **kwargs)
        result.report.status, result.report.reason = 'failed', 'NaN'
        return result

    monkeypatch.setattr('graphrec.forget_job.forget', failing)
    ledger, out = tmp_path / 'l', tmp_path / 'out'
    words = ('forget', place / 'model', place / 'data', '--users', place / 'users.txt')
    words += ('--method', 'edit_only', '--out', out, '--ledger', ledger)
    shown = run(*words, code=1)
    assert 'nothing was written' in shown.stdout
    assert not out.exists()
    assert [request.state for request in read_requests(ledger)] == ['received']
    monkeypatch.undo()
    assert "add '--resume'" in one_line(run(*words, code=2))
    assert run_json(*words, '--resume')['state'] == 'audited'
    assert [request.state for request in read_requests(ledger)] == ['audited']


def test_an_earlier_audit_is_shown(tmp_path):
    path = tmp_path / 'l'
    book = Ledger(path)
    name = book.receive(RemoveUsers(GONE))
    book.advance(name, 'applied')
    for verdict in ('failed', 'passed'):
        book.advance(name, 'audited', {'verdict': {'status': verdict, 'sentence': f'It {verdict}'}})
    (listed,) = run_json('ledger', 'list', path)['requests']
    assert (listed['verdict'], listed['earlier']) == ('passed', 'failed')
    shown = run_json('ledger', 'show', path, name)
    assert [row['row'] for row in shown['history']] == [1, 2, 3, 4]
    assert shown['history'][2]['facts']['verdict']['status'] == 'failed'
    assert shown['entries']['audited']['verdict']['status'] == 'passed'
    lines = run('ledger', 'show', path, name).stdout
    assert lines.index('(row 3)') < lines.index('It failed') < lines.index('(row 4)')
    assert lines.index('(row 4)') < lines.index('It passed')


def test_ledgers_that_are_none(tmp_path):
    for words in (
        ('list', tmp_path / 'x'),
        ('verify', tmp_path / 'x'),
        ('show', tmp_path / 'x', 'a'),
    ):
        assert 'there is no ledger' in one_line(run('ledger', *words, code=2))
    (tmp_path / 'x').write_text('user\n')
    assert 'no ledger' in one_line(run('ledger', 'list', tmp_path / 'x', code=2))
    assert 'COUNT:HASH' in one_line(
        run('ledger', 'verify', tmp_path / 'x', '--receipt', 'abc', code=2)
    )


# Each stage is where a run is killed, by a real SIGKILL to a process of its own. One process
# is started for all; it has computed nothing when it forks.
STAGES = {
    'before the request is recorded': 'Ledger.receive = die',
    'before the record is committed': 'Ledger._append = then_die(Ledger._append)',
    'before the head is moved': 'Ledger._move_head = die',
    'in the repair': 'job.forget = die',
    'between model and data': 'folder.write_folder = die',
    'before the folder is in its place': 'storage._move = die',
    'before it is recorded as applied': 'Ledger.advance = die',
    'before applied is committed': 'Ledger._append = then_die(Ledger._append, 2)',
    'before the head is moved to applied': 'Ledger._move_head = then_die(Ledger._move_head, 2)',
    'in the audit': 'audits.audit = die',
    'before the page of the audit': 'AuditReport.save = then_die(AuditReport.save)',
    'before it is recorded as audited': 'Ledger.advance = then_die(Ledger.advance, 2, early=True)',
    'after everything': 'Output.finish = die',
}
KILLER = """
import json, os, signal, sys
import graphrec.audit_job as audits, graphrec.forget_folder as folder
import graphrec.forget_job as job, graphrec.storage as storage
from graphrec.cli import main
from graphrec.console import Output
from graphrec.unlearn import AuditReport, Ledger

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def then_die(function, nth=1, early=False):
    calls = []
    def wrapper(*args, **kwargs):
        calls.append(1)
        if early and len(calls) == nth:
            die()
        result = function(*args, **kwargs)
        if len(calls) == nth:
            die()
        return result
    return wrapper

def start(patch, words):
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        exec(patch)
        main(words)
    return child

cases = json.load(sys.stdin)
for first in range(0, len(cases), 2):  # Two at a time, each in a folder of its own.
    for child in [start(*case) for case in cases[first : first + 2]]:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def killed_words(place, stage):
    base = place / stage.replace(' ', '-')
    words = ('forget', place / 'model', place / 'data', '--users', place / 'users.txt')
    words += ('--method', 'finetune', '--set', 'steps=5', '--seed', '7', '--quiet')
    return [str(w) for w in (*words, '--out', base / 'out', '--ledger', base / 'ledger')], base


@pytest.fixture(scope='module')
def killed(place):
    cases = [(patch, killed_words(place, stage)[0]) for stage, patch in STAGES.items()]
    done = subprocess.run(
        [sys.executable, '-c', KILLER],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return dict(zip(STAGES, done.stdout.split(), strict=True))


@pytest.fixture(scope='module')
def undisturbed(place):
    words, base = killed_words(place, 'undisturbed')
    run(*words)
    return base / 'out'


@pytest.mark.slow
@pytest.mark.parametrize('stage', STAGES)
def test_a_killed_run_is_finished(place, killed, undisturbed, stage):
    assert killed[stage] == '-9'
    words, base = killed_words(place, stage)
    ledger, out = base / 'ledger', base / 'out'
    states = [request.state for request in read_requests(ledger)] if ledger.exists() else []
    if ledger.exists():
        assert verify_ledger(ledger).intact
    # Nothing is reported done that was not.
    assert out.exists() or states in ([], ['received'])
    assert (out / 'audit.html').exists() or 'audited' not in states
    shown = run_json(*words, '--resume')
    assert shown['state'] == 'audited'
    assert verify_ledger(ledger).intact
    (request,) = read_requests(ledger)
    assert list(request.entries) == ['received', 'applied', 'audited']
    assert len(verify_ledger(ledger).to_dict()) == 5
    assert verify_ledger(ledger).entries == 3
    for name in ('model/weights.safetensors', 'model/ids.json'):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()
    assert (out / 'audit.html').exists()
    assert {path.name for path in base.iterdir()} == {'out', 'ledger', 'ledger.head'}
    again = run_json(*words, '--resume')
    assert again['state'] == 'audited'
    assert verify_ledger(ledger).entries == 3
