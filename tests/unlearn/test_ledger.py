import contextlib
import multiprocessing
import sqlite3

import pytest

from graphrec import FormatError, GraphError
from graphrec.unlearn import (
    RemoveAttribute,
    RemoveInteractions,
    RemoveModality,
    RemoveUsers,
    ledger_schema,
)
from graphrec.unlearn.ledger import Ledger
from graphrec.unlearn.ledger_check import verify_ledger
from graphrec.unlearn.ledger_head import Head, head_path, parse_receipt, write_head
from graphrec.unlearn.ledger_table import Entry, connection, last_hash

KEY = b'0123456789abcdef0123456789abcdef'
SECRET = 'Ann-Other-7741'
MODEL = 'a1' * 32


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'forget.ledger'
    ledger = Ledger(path)
    for user in (3, 17, 4):
        name = ledger.receive(RemoveUsers([user]), {'method': 'mmrecun', 'seed': 0})
        ledger.advance(name, 'applied', {'status': 'passed'})
    ledger.advance(ledger.requests()[0].id, 'audited', {'verdict': 'passed'})
    return path


def tamper(path, *statements):
    """What somebody does who knows SQLite: takes the triggers out, changes, puts them back."""
    db = sqlite3.connect(path)
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f'DROP TRIGGER {name}')
    for statement in statements:
        db.execute(statement)
    for _, sql in triggers:
        db.execute(sql)
    db.commit()
    db.close()


def test_states_follow_each_other(path):
    ledger = Ledger(path)
    assert [request.state for request in ledger.requests()] == ['audited', 'applied', 'applied']
    first = ledger.requests()[0]
    assert list(first.entries) == ['received', 'applied', 'audited']
    assert [entry.number for entry in first.history] == [1, 2, 7]
    facts = first.facts()
    assert (facts['method'], facts['status'], facts['verdict']) == ('mmrecun', 'passed', 'passed')
    assert facts['edit']['nodes'] == {'user': [3]}
    assert facts['edit_digest'] == RemoveUsers([3]).digest()
    assert ledger.request(first.id[:6]) == first
    with pytest.raises(GraphError, match='is audited; it cannot become applied'):
        ledger.advance(first.id, 'applied')
    with pytest.raises(GraphError, match='no request'):
        ledger.advance('nothing', 'applied')
    ledger.advance(first.id, 'audited', {'verdict': 'utility_loss'})
    again = ledger.requests()[0]
    assert again.facts()['verdict'] == again.entries['audited'].facts()['verdict'] == 'utility_loss'
    assert [entry.facts()['verdict'] for entry in again.history[2:]] == ['passed', 'utility_loss']
    assert again.state == 'audited'
    fresh = ledger.receive(RemoveUsers([9]))
    with pytest.raises(GraphError, match='is received; it cannot become audited'):
        ledger.advance(fresh, 'audited')
    with pytest.raises(GraphError, match='0 requests'):
        ledger.request('zzz')
    assert verify_ledger(path).intact


def test_the_last_request_of_an_edit_is_found(path):
    ledger = Ledger(path)
    again = ledger.receive(RemoveUsers([17]), {'method': 'gold', 'seed': 0})
    assert ledger.find(RemoveUsers([17]), {}).id == again
    assert ledger.find(RemoveUsers([17]), {'method': 'mmrecun'}).id == ledger.requests()[1].id
    assert ledger.find(RemoveUsers([17]), {'seed': 1}) is None
    assert len({request.id for request in ledger.requests()}) == 4


@pytest.mark.parametrize(
    'statement',
    [
        "UPDATE entries SET body = '{}' WHERE number = 2",
        'DELETE FROM entries WHERE number = 7',
        "INSERT OR REPLACE INTO entries VALUES (2, 'a', 'received', '', '{}', '', '')",
        "INSERT INTO entries VALUES (19, 'a', 'received', '', '{}', '', '')",
        'DELETE FROM about',
    ],
)
def test_the_file_refuses_changes(path, statement):
    db = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match='only grows'):
        db.execute(statement)
    db.close()
    assert verify_ledger(path).intact


SWAP = (
    'UPDATE entries SET number = -2 WHERE number = 2',
    'UPDATE entries SET number = 2 WHERE number = 3',
    'UPDATE entries SET number = 3 WHERE number = -2',
)


@pytest.mark.parametrize(
    ('statements', 'problem'),
    [
        (
            ["UPDATE entries SET body = replace(body, '17', '18') WHERE number = 3"],
            'row 3 was changed',
        ),
        (["UPDATE entries SET time = '2020-01-01' WHERE number = 4"], 'row 4 was changed'),
        (["UPDATE entries SET state = 'audited' WHERE number = 4"], 'row 4 was changed'),
        (["UPDATE entries SET previous = '' WHERE number = 4"], 'row 4 does not follow'),
        (['DELETE FROM entries WHERE number = 3'], '1 rows are missing before row 4'),
        (['DELETE FROM entries WHERE number = 1'], '1 rows are missing before row 2'),
        (SWAP, 'row 2 does not follow'),
        (['DELETE FROM entries WHERE number = 7'], '1 rows at the end are missing'),
        (['DELETE FROM entries WHERE number > 2'], '5 rows at the end are missing'),
        (["UPDATE about SET key_name = 'x'"], 'row 1 does not follow'),
    ],
)
def test_whatever_was_done_is_found(path, statements, problem):
    assert verify_ledger(path).intact
    tamper(path, *statements)
    found = verify_ledger(path)
    assert not found.intact
    assert any(problem in each for each in found.problems), found.problems


def test_triggers_that_are_gone_are_found(path):
    db = sqlite3.connect(path)
    db.execute('DROP TRIGGER entries_stay')
    db.close()
    assert verify_ledger(path).problems == ('the triggers that refuse changes were taken out',)


@pytest.mark.parametrize(
    ('statements', 'problem'),
    [
        (
            [
                'DROP TRIGGER entries_stay',
                'CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT 1; END',
            ],
            "the trigger 'entries_stay' was changed",
        ),
        (['DROP INDEX entries_once'], "the index 'entries_once' was taken out"),
        (['ALTER TABLE entries ADD COLUMN x'], "the table 'entries' was changed"),
        (
            ['CREATE TRIGGER more AFTER INSERT ON entries BEGIN SELECT 1; END'],
            "the trigger 'more' was added",
        ),
    ],
)
def test_a_changed_schema_is_found_by_its_text(path, statements, problem):
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.close()
    assert verify_ledger(path).problems == (problem,)


def test_a_table_that_is_gone_is_damage(path):
    db = sqlite3.connect(path)
    db.execute('DROP TABLE entries')
    db.close()
    with pytest.raises(FormatError, match='a damaged ledger'):
        verify_ledger(path)


@pytest.mark.parametrize('ours', [True, False], ids=['our connection', 'another'])
@pytest.mark.parametrize(
    'statement',
    [
        "INSERT OR REPLACE INTO entries SELECT 8, 'x', 'received', '', '{}', '', hash "
        'FROM entries WHERE number = 7',
        "INSERT OR REPLACE INTO entries SELECT 8, request, 'received', '', '{}', '', 'x' "
        'FROM entries WHERE number = 1',
        "INSERT OR REPLACE INTO about (rowid, version, key_name) VALUES (1, 2, 'x')",
        "INSERT INTO about VALUES (2, 'x')",
    ],
)
def test_the_file_refuses_replacement(path, statement, ours):
    # The other connection does not ask SQLite to fire triggers where REPLACE deletes.
    with (
        connection(path) if ours else contextlib.closing(sqlite3.connect(path)) as db,
        pytest.raises(sqlite3.IntegrityError, match='only grows'),
    ):
        db.execute(statement)
    assert verify_ledger(path).intact
    assert verify_ledger(path).entries == 7


def test_our_connections_fire_triggers_where_rows_are_replaced(path):
    with connection(path) as db:
        db.execute('DROP TRIGGER entries_are_new')
        with pytest.raises(sqlite3.IntegrityError, match='no entry is deleted'):
            db.execute(
                "INSERT OR REPLACE INTO entries SELECT 8, 'x', 'received', '', '{}', '', hash "
                'FROM entries WHERE number = 7'
            )


@pytest.fixture
def version_1(tmp_path, monkeypatch):
    """Makes a ledger as the first version of this library did, with one request."""

    def make(name, key=None, requests=1):
        with monkeypatch.context() as patch:
            patch.setattr(ledger_schema, 'VERSION', 1)
            patch.setattr(ledger_schema, 'SECOND', '')
            book = Ledger(tmp_path / name, key)
            for user in range(requests):
                book.receive(RemoveUsers([user]), {'graph_before': MODEL})
        return tmp_path / name

    return make


def test_a_ledger_of_version_1_is_read_and_gets_the_triggers(version_1):
    path = version_1('old.ledger')
    notes = 'the ledger is of version 1: rows could be replaced until '
    assert verify_ledger(path).intact
    assert verify_ledger(path).notes == (notes + 'it is next opened to add to it',)
    Ledger(path).receive(RemoveUsers([5]))
    assert verify_ledger(path).intact
    assert verify_ledger(path).notes == (notes + 'its triggers were added to',)
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match='no entry is replaced'):
        db.execute(
            "INSERT OR REPLACE INTO entries SELECT 3, 'x', 'received', '', '{}', '', hash "
            'FROM entries WHERE number = 2'
        )
    db.execute('DROP TRIGGER entries_stay')
    db.close()
    Ledger(path).receive(RemoveUsers([6]))  # Does not put back what somebody took out.
    assert verify_ledger(path).problems == ('the triggers that refuse changes were taken out',)


def test_a_ledger_of_version_1_without_rows_gets_a_head(version_1):
    path = version_1('old.ledger', requests=0)
    head_path(path).unlink()  # Version 1 wrote it with the first row.
    assert verify_ledger(path).intact
    assert 'no head yet' in verify_ledger(path).notes[1]
    Ledger(path).receive(RemoveUsers([5]))
    assert verify_ledger(path).intact


def test_a_ledger_does_not_pass_for_one_of_version_1(path):
    tamper(path, 'UPDATE about SET version = 1')
    assert 'row 1 does not follow the row before it' in verify_ledger(path).problems


def test_an_end_cut_off_with_the_head_is_found_by_a_receipt_only(path):
    receipt = Ledger(path).head()
    before = head_path(path).read_bytes()
    name = Ledger(path).receive(RemoveUsers([5]))
    after = Ledger(path).head()
    tamper(path, f"DELETE FROM entries WHERE request = '{name}'")
    head_path(path).write_bytes(before)
    assert verify_ledger(path, receipt=receipt).intact
    assert verify_ledger(path).intact
    found = verify_ledger(path, receipt=parse_receipt(str(after)))
    assert found.problems == ('1 rows at the end are missing, by the receipt',)


@pytest.mark.parametrize(
    ('states', 'wrong'),
    [
        (('received', 'applied', 'audited', 'audited'), ()),
        (('applied', 'received'), ('applied', 'received')),
        (('received', 'audited'), ('audited',)),
    ],
)
def test_states_in_the_wrong_order_are_found_in_a_chain_that_holds(path, states, wrong):
    """Hashed anew by somebody who knows how, head included."""
    with connection(path) as db:
        number, previous = last_hash(db)
    rows = []
    for state in states:
        number += 1
        row = Entry(number, 'forged', state, '2026-01-01T00:00:00Z', '{}', previous, '')
        rows.append(row._replace(hash=row.chained()))
        previous = rows[-1].hash
    with sqlite3.connect(path) as db:
        db.executemany('INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)', rows)
    db.close()
    write_head(path, Head(number, previous), None)
    assert verify_ledger(path).problems == tuple(
        f'row {row.number} says {row.state!r} too early or again'
        for row in rows
        if row.state in wrong
    )


def test_a_head_that_lags_by_one_row_is_a_stop_and_by_more_is_not(path):
    heads = [head_path(path).read_bytes()]
    for user in (5, 6):
        Ledger(path).receive(RemoveUsers([user]))
        heads.append(head_path(path).read_bytes())
    head_path(path).write_bytes(heads[1])
    found = verify_ledger(path)
    assert found.intact
    assert found.notes == ('the machine stopped before the head was moved to the last row',)
    head_path(path).write_bytes(heads[0])
    assert '2 rows were added without moving the head' in verify_ledger(path).problems[0]


def test_a_head_that_is_missing_or_changed_is_found(path):
    content = head_path(path).read_text()
    head_path(path).write_text(content.replace('"count": 7', '"count": 6'))
    assert 'the head cannot be trusted' in verify_ledger(path).problems[0]
    head_path(path).unlink()
    assert 'the head cannot be trusted' in verify_ledger(path).problems[0]


@pytest.fixture(params=[None, KEY], ids=['plain', 'private'])
def six(tmp_path, request):
    """A ledger of six rows with and without a key, and how to open it."""
    path = tmp_path / 'six.ledger'
    for user in range(3):
        name = Ledger(path, request.param).receive(RemoveUsers([user]))
        Ledger(path, request.param).advance(name, 'applied')
    return path, lambda: Ledger(path, request.param)


def refuses_rows(book, reason):
    with pytest.raises(GraphError, match=reason) as found:
        book.receive(RemoveUsers([9]))
    assert 'graphrec ledger verify' in str(found.value)
    with pytest.raises(GraphError, match=reason):
        book.advance(book.requests()[0].id, 'audited')


def test_nothing_is_added_to_a_ledger_that_was_cut_off(six):
    path, book = six
    head = head_path(path).read_bytes()
    tamper(path, 'DELETE FROM entries WHERE number > 2')
    refuses_rows(book(), '4 rows at the end are missing')
    assert verify_ledger(path, book().key).entries == 2
    assert '4 rows at the end are missing' in verify_ledger(path, book().key).problems[0]
    assert head_path(path).read_bytes() == head


def test_nothing_is_added_beside_a_head_that_is_gone(six):
    path, book = six
    tamper(path, 'DELETE FROM entries WHERE number > 2')
    head_path(path).unlink()
    refuses_rows(book(), 'No such file')
    assert not head_path(path).exists()
    assert not verify_ledger(path, book().key).intact


def test_nothing_is_added_after_rows_that_the_head_does_not_know(six):
    path, book = six
    early = head_path(path).read_bytes()
    for _ in range(2):
        book().receive(RemoveUsers([7]))
    last = head_path(path).read_bytes()
    head_path(path).write_bytes(early)
    refuses_rows(book(), '2 rows were added without moving it')
    head_path(path).write_bytes(last)
    tamper(path, "UPDATE entries SET hash = 'x' WHERE number = 8")
    refuses_rows(book(), 'row 8 is not the one that it knows')


def test_nothing_is_added_beside_a_head_of_somebody_else(tmp_path):
    path = tmp_path / 'private.ledger'
    for user in (1, 2):
        name = Ledger(path, KEY).receive(RemoveUsers([user]))
    tamper(path, f"DELETE FROM entries WHERE request = '{name}'")
    write_head(path, Ledger(path, KEY).head(), KEY[::-1])
    refuses_rows(Ledger(path, KEY), 'seal')


def test_a_ledger_that_is_gone_is_not_begun_anew_beside_its_head(six):
    path, book = six
    path.unlink()
    with pytest.raises(GraphError, match='but its head'):
        book()
    assert not path.exists()


def test_a_ledger_that_vanished_is_not_made_by_a_row(tmp_path):
    book = Ledger(tmp_path / 'x', KEY)
    (tmp_path / 'x').unlink()
    with pytest.raises(FormatError, match='there is no ledger'):
        book.receive(RemoveUsers([1]))


def test_a_ledger_without_rows_has_a_head(tmp_path):
    for path, key in ((tmp_path / 'plain', None), (tmp_path / 'private', KEY)):
        Ledger(path, key)
        assert verify_ledger(path, key).intact
        assert not verify_ledger(path, key).notes
        head_path(path).unlink()
        assert not verify_ledger(path, key).intact


def test_a_ledger_that_was_not_finished_is_made_again(tmp_path, monkeypatch):
    path = tmp_path / 'x'
    monkeypatch.setattr('graphrec.unlearn.ledger.create', lambda db, name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Ledger(path)
    monkeypatch.undo()
    write_head(path, Head(0, 'of a ledger that was never there'), None)
    Ledger(path).receive(RemoveUsers([1]))
    assert verify_ledger(path).intact


def test_runs_killed_before_the_head_moved_are_caught_up_with(six, monkeypatch):
    path, book = six
    for user in range(10, 13):
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, '_move_head', lambda self, db: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                book().receive(RemoveUsers([user]))
        assert verify_ledger(path).intact
    assert verify_ledger(path).notes[0].startswith('the machine stopped')
    book()
    assert not any('the machine stopped' in note for note in verify_ledger(path).notes)
    assert verify_ledger(path).entries == 9


def test_private_ledgers_hold_no_id(tmp_path):
    path = tmp_path / 'private.ledger'
    ledger = Ledger(path, KEY)
    edit = (
        RemoveUsers([SECRET])
        | RemoveInteractions([(SECRET + 'x', SECRET + 'y')])
        | RemoveModality('visual', [SECRET])
        | RemoveAttribute('user', 'age', [SECRET + 'z'])
    )
    name = ledger.receive(edit, {'seed': 0})
    content = path.read_bytes() + head_path(path).read_bytes()
    assert SECRET.encode() not in content
    assert edit.digest().encode() not in content
    assert KEY not in content
    assert ledger.find(edit, {'seed': 0}).id == name
    assert verify_ledger(path, KEY).intact
    assert 'seal of the head was not checked' in verify_ledger(path).notes[0]
    other = Ledger(tmp_path / 'other.ledger', KEY[::-1])
    other.receive(edit)
    hashes = [each.requests()[0].facts()['edit'] for each in (ledger, other)]
    assert hashes[0]['nodes'] != hashes[1]['nodes']
    assert hashes[0]['modalities']['visual'] != hashes[0]['nodes']['user']  # An item, a user.


def test_nobody_finds_an_id_in_a_private_ledger_by_trying_all(tmp_path, graph):
    """By somebody who has the data before, but not the key."""
    summary = RemoveUsers(['u3']).apply(graph).summary
    facts = {'graph_before': summary.digest_before, 'model_before': MODEL, 'method': 'gold'}
    after = {'graph_after': summary.digest_after, 'model_after': MODEL[::-1]}
    tried = {RemoveUsers([u]).apply(graph).summary.digest_after for u in graph['user'].id}
    for key, found in ((None, 1), (KEY, 0)):
        path = tmp_path / f'{found}.ledger'
        book = Ledger(path, key)
        name = book.receive(RemoveUsers(['u3']), facts)
        book.advance(name, 'applied', {**after, 'status': 'passed'})
        book.advance(name, 'audited', after)
        content = path.read_text('latin-1')
        assert sum(digest in content for digest in tried) == found
        assert any(digest in content for digest in (MODEL, MODEL[::-1], *tried)) == found
        held = book.request(name)
        assert held.facts()['graph_after'] == book.blinded(summary.digest_after)
        assert held.entries['applied'].facts()['model_after'] == book.blinded(MODEL[::-1])
        assert (held.facts()['method'], held.facts()['status']) == ('gold', 'passed')
        assert book.find(RemoveUsers(['u3']), facts) == held
        assert book.find(RemoveUsers(['u3']), {**facts, 'graph_before': MODEL}) is None
    assert Ledger(tmp_path / '1.ledger').blinded(MODEL) == MODEL
    other = Ledger(tmp_path / 'other.ledger', KEY[::-1])
    assert len({MODEL, book.blinded(MODEL), other.blinded(MODEL)}) == 3


def test_a_private_ledger_of_version_1_goes_on_as_it_began(version_1):
    path = version_1('old.ledger', KEY)
    book = Ledger(path, KEY)
    assert book.find(RemoveUsers([0]), {'graph_before': MODEL}).state == 'received'
    assert book.blinded(MODEL) == MODEL
    assert 'are not keyed' in verify_ledger(path, KEY).notes[1]


def test_the_key_must_be_the_right_one(tmp_path, path):
    private = tmp_path / 'private.ledger'
    Ledger(private, KEY)
    for key, message in ((None, 'with a key'), (KEY[::-1], 'with another key')):
        with pytest.raises(GraphError, match=message):
            Ledger(private, key)
    with pytest.raises(GraphError, match='without one'):
        Ledger(path, KEY)


def test_a_forged_head_of_a_private_ledger_is_found(tmp_path, path):
    private = tmp_path / 'private.ledger'
    Ledger(private, KEY).receive(RemoveUsers([1]))
    name = Ledger(private, KEY).receive(RemoveUsers([2]))
    tamper(private, f"DELETE FROM entries WHERE request = '{name}'")
    write_head(private, Ledger(private, KEY).head(), KEY[::-1])
    assert 'seal' in verify_ledger(private, KEY).problems[0]


@pytest.mark.parametrize('content', [b'', b'user\n3\n', b'SQLite format 3\x00' + b'\x07' * 4096])
def test_other_files_are_no_ledgers(tmp_path, content):
    path = tmp_path / 'x'
    path.write_bytes(content)
    with pytest.raises(FormatError, match='no ledger'):
        verify_ledger(path)
    with pytest.raises(FormatError, match='no ledger'):
        verify_ledger(tmp_path / 'missing')


def test_a_database_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / 'other.db'
    db = sqlite3.connect(path)
    db.execute('CREATE TABLE t (x)')
    db.commit()
    db.close()
    before = path.read_bytes()
    with pytest.raises(FormatError, match='something else'):
        Ledger(path)
    assert path.read_bytes() == before


def _receive_many(path, first):
    for user in range(first, first + 5):
        Ledger(path).receive(RemoveUsers([user]))


def test_two_processes_share_a_ledger(tmp_path):
    path = tmp_path / 'shared.ledger'
    context = multiprocessing.get_context('fork')
    workers = [context.Process(target=_receive_many, args=(path, n)) for n in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert verify_ledger(path).intact
    assert verify_ledger(path).entries == 10
