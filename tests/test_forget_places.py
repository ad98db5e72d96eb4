"""Where a result is written: known before the work, never in place of another."""

import json
import os
import subprocess
import sys

import pytest
from program import refused, run

from graphrec import forget_job
from graphrec.unlearn import verify_ledger
from graphrec.unlearn.ledger import read_requests


@pytest.fixture(scope='module')
def place(tmp_path_factory, write_models):
    place = tmp_path_factory.mktemp('places')
    write_models(place, 2, model=0)
    (place / 'others.txt').write_text('5\n')
    return place


def words_of(place, out, *more, users='users.txt'):
    words = ('forget', place / 'model', place / 'data', '--users', place / users, '--quiet')
    return (*words, '--method', 'edit_only', '--out', out, *more)


def never(*args, **kwargs):
    raise AssertionError('the work was begun')


@pytest.mark.parametrize('name', ['file', 'file/sub', 'file/a/b'])
def test_where_nothing_can_be_written_nothing_is_recorded(place, tmp_path, monkeypatch, name):
    (tmp_path / 'file').write_text('mine')
    monkeypatch.setattr('graphrec.forget_job.forget', never)
    words = words_of(place, tmp_path / name, '--ledger', tmp_path / 'ledger')
    assert str(tmp_path / name) in refused(*words)
    assert [path.name for path in tmp_path.iterdir()] == ['file']


@pytest.mark.parametrize('name', ['out/ledger', 'out/deep/ledger', 'link/ledger'])
def test_the_ledger_does_not_lie_in_what_is_written_as_a_whole(place, tmp_path, name):
    (tmp_path / 'link').symlink_to(tmp_path / 'out')
    words = words_of(place, tmp_path / 'out', '--ledger', tmp_path / name)
    assert 'keep it elsewhere' in refused(*words)
    assert [path.name for path in tmp_path.iterdir()] == ['link']


def test_an_audit_that_could_not_be_written_is_not_made(place, tmp_path, monkeypatch):
    run(*words_of(place, tmp_path / 'out', '--no-audit'))
    (tmp_path / 'file').write_text('mine')
    monkeypatch.setattr('graphrec.audit_job.audit', never)
    words = ('audit', place / 'model', tmp_path / 'out', place / 'data')
    for name in ('file', 'file/sub'):
        more = ('--users', place / 'users.txt', '--out', tmp_path / name)
        assert 'name another one' in refused(*words, *more)


def test_an_audit_looks_into_the_ledger_first(place, tmp_path, monkeypatch):
    run(*words_of(place, tmp_path / 'out', '--no-audit'))
    run(*words_of(place, tmp_path / 'x', '--ledger', tmp_path / 'l', users='others.txt'))
    monkeypatch.setattr('graphrec.audit_job.audit', never)
    words = ('audit', place / 'model', tmp_path / 'out', place / 'data')
    told = refused(*words, '--users', place / 'users.txt', '--ledger', tmp_path / 'l')
    assert 'has no applied request like this' in told


def test_an_empty_folder_is_filled_behind_its_link_too(place, tmp_path):
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'out').symlink_to(tmp_path / 'disk')
    run(*words_of(place, tmp_path / 'out', '--no-audit'))
    assert (tmp_path / 'out').is_symlink()
    assert (tmp_path / 'disk' / 'forget.json').exists()
    assert {path.name for path in tmp_path.iterdir()} == {'disk', 'out'}


def test_the_current_folder_may_be_named(place, tmp_path, monkeypatch):
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    run(*words_of(place, '.', '--no-audit'))
    assert (tmp_path / 'here' / 'forget.json').exists()
    assert {path.name for path in tmp_path.iterdir()} == {'here'}


@pytest.mark.parametrize('users', ['users.txt', 'others.txt'])
def test_the_slower_of_two_runs_writes_nothing(place, tmp_path, monkeypatch, users):
    out, ledger = tmp_path / 'out', tmp_path / 'ledger'
    real = forget_job.forget

    def while_another_run_is_faster(*args, **kwargs):
        monkeypatch.undo()
        more = ('--ledger', ledger, *(('--resume',) if users == 'users.txt' else ()))
        run(*words_of(place, out, *more, users=users))
        return real(*args, **kwargs)

    monkeypatch.setattr('graphrec.forget_job.forget', while_another_run_is_faster)
    told = refused(*words_of(place, out, '--ledger', ledger))
    assert f"'{out}' was written by another run in the meantime" in told
    held = json.loads((out / 'forget.json').read_text())['identity']
    states = {each.facts()['edit_digest']: each.state for each in read_requests(ledger)}
    assert states.pop(held['edit_digest']) == 'audited'
    assert list(states.values()) == ([] if users == 'users.txt' else ['received'])
    assert verify_ledger(ledger).intact
    assert {path.name for path in tmp_path.iterdir()} == {'out', 'ledger', 'ledger.head'}


def test_nobody_needs_to_read_the_report(place, tmp_path):
    words = [str(word) for word in words_of(place, tmp_path / 'out')]
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, '-m', 'graphrec', *words]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out' / 'audit.html').exists()


def test_what_killed_runs_left_is_removed(place, tmp_path):
    out, ledger = tmp_path / 'out', tmp_path / 'ledger'
    words = words_of(place, out, '--ledger', ledger)
    run(*words)
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    audit = ('audit', place / 'model', out, place / 'data', '--users', place / 'users.txt')
    for again in ((*words, '--resume'), (*audit, '--ledger', ledger)):
        for left in ('.ledger.head', '.out', 'out/.audit.json', 'out/.audit.html'):
            (tmp_path / f'{left}.{gone.pid}.tmp').mkdir()
        run(*again, code=(0, 1))
        assert {path.name for path in tmp_path.iterdir()} == {'out', 'ledger', 'ledger.head'}
        assert {path.name for path in out.iterdir()} == {
            'model',
            'data',
            'forget.json',
            'audit.json',
            'audit.html',
        }
