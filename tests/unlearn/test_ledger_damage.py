"""Ledgers that somebody changed, or a disk: reading them ends in words, never in a traceback."""

import random
import sqlite3

import pytest
from click.testing import CliRunner

from graphrec import FormatError, GraphError
from graphrec.cli import main
from graphrec.storage import write_json
from graphrec.unlearn import Ledger, RemoveUsers, verify_ledger
from graphrec.unlearn.ledger import read_requests
from graphrec.unlearn.ledger_head import head_path, parse_receipt, read_head

KEY = b'0123456789abcdef0123456789abcdef'
DIGEST = 'a1' * 32


def written(path, key=None):
    ledger = Ledger(path, key)
    for user in ('ann', 'zo\u00eb'):
        name = ledger.receive(RemoveUsers([user]), {'method': 'mmrecun', 'graph_before': DIGEST})
        ledger.advance(name, 'applied', {'status': 'passed'})
    first = ledger.requests()[0].id
    for verdict in ({'status': 'utility_loss'}, {'status': 'passed'}):
        ledger.advance(first, 'audited', {'verdict': verdict})
    return first


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'l.db'
    written(path)
    return path


def by_hand(path, statement):
    """What somebody does who knows SQLite and leaves the triggers as they were."""
    db = sqlite3.connect(path)
    db.execute('PRAGMA ignore_check_constraints = ON')
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f'DROP TRIGGER {name}')
    db.execute(statement)
    for _, sql in triggers:
        db.execute(sql)
    db.commit()
    db.close()


def ledger(*words):
    """Exit code and output of a command, which ended in words."""
    result = CliRunner().invoke(main, ['ledger', *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), words
    return result.exit_code, result.output


NEW = "INSERT INTO entries SELECT 7, 'abc', 'applied', time, body, hash, 'x' FROM entries"


@pytest.mark.parametrize(
    ('statement', 'said', 'problem'),
    [
        ('DELETE FROM entries WHERE number = 2', "row 5 of .* 'audited' too early", 'missing'),
        ('DELETE FROM entries WHERE number = 1', "row 2 of .* 'applied' too early", 'missing'),
        (NEW + ' WHERE number = 6', "row 7 of .* holds 'applied' too early", 'too early or again'),
        (
            'UPDATE entries SET body = substr(body, 1, 12) WHERE number = 2',
            'row 2 of .* holds facts that cannot be read',
            'row 2 was changed: it holds facts that cannot be read',
        ),
        ("UPDATE entries SET body = '[3]' WHERE number = 2", 'row 2 of', 'row 2 was changed'),
        (
            """UPDATE entries SET body = '{"a":"\\ud800"}' WHERE number = 2""",
            'row 2 of .* holds facts that cannot be read',
            'row 2 was changed',
        ),
        (
            "UPDATE entries SET state = 'qpplied' WHERE number = 2",
            "row 2 of .* holds the state 'qpplied'",
            "row 2 was changed: it holds the state 'qpplied'",
        ),
        (
            "UPDATE entries SET state = CAST(x'ff' AS TEXT) WHERE number = 2",
            'row 2 of .* holds something else than text',
            'row 2 was changed: it holds something else than text',
        ),
        ("UPDATE entries SET time = x'00' WHERE number = 2", 'row 2 of', 'row 2 was changed'),
        ("UPDATE entries SET hash = x'00' WHERE number = 6", 'row 6 of', 'row 6 was changed'),
    ],
)
def test_rows_that_tell_of_no_request(path, statement, said, problem):
    first = read_requests(path)[0].id
    by_hand(path, statement)
    with pytest.raises(FormatError, match=said + ".*'graphrec ledger verify' says"):
        read_requests(path)
    for words in (('list', path), ('show', path, first)):
        code, output = ledger(*words)
        assert (code, output.count('\n')) == (2, 1)
        assert "'graphrec ledger verify' says" in output
    code, output = ledger('verify', path)
    assert code == 1
    assert problem in output
    assert 'NOT intact' in output


def test_a_key_that_is_called_by_no_text(path):
    by_hand(path, "UPDATE about SET key_name = x'ff'")
    for words in (('list', path), ('show', path, 'a'), ('verify', path)):
        assert ledger(*words)[0] == 2


@pytest.mark.parametrize('key', [None, KEY], ids=['plain', 'private'])
def test_a_flipped_bit_anywhere(tmp_path, key):
    path, secret = tmp_path / 'l.db', tmp_path / 'key'
    secret.write_bytes(KEY)
    first = written(path, key)
    whole = path.read_bytes()
    held = read_requests(path)
    rng = random.Random(0)
    used = [place for place, byte in enumerate(whole) if byte]
    reached = set()
    for place in rng.sample(used, 200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        private = () if key is None else ('--private', secret)
        codes = [ledger('list', path)[0], ledger('show', path, first)[0]]
        found = ledger('verify', path, *private)[0]
        reached |= {*codes, found}
        assert set(codes) <= {0, 2}
        if found == 0:  # Free space, or what SQLite notes for itself.
            assert read_requests(path) == held
    assert reached == {0, 1, 2}


def test_heads_that_hold_something_else(path, tmp_path):
    private = tmp_path / 'private.db'
    written(private, KEY)
    for document in ({'count': -1, 'hash': DIGEST, 'seal': ''}, {'count': 6, 'hash': DIGEST}):
        write_json(head_path(path), document)
        with pytest.raises(FormatError, match='no head of a ledger'):
            read_head(path, None)
    write_json(head_path(private), {'count': 6, 'hash': DIGEST, 'seal': 'caf\u00e9'})
    with pytest.raises(FormatError, match='the seal in'):
        read_head(private, KEY)
    assert not verify_ledger(private, KEY).intact


@pytest.mark.parametrize('statement', ["'x', x'00'", "'[]', 'x'"])
def test_a_last_row_by_hand_is_not_built_on(path, statement):
    columns = statement.split(', ')
    by_hand(
        path,
        f"INSERT INTO entries SELECT 7, 'abc', 'received', time, {columns[0]}, hash, {columns[1]} "
        f'FROM entries WHERE number = 6',
    )
    with pytest.raises(GraphError, match='row 7 was added by hand'):
        Ledger(path).receive(RemoveUsers(['joe']))
    assert verify_ledger(path).entries == 7


def test_a_state_that_there_is_not(path):
    book = Ledger(path)
    with pytest.raises(GraphError, match='it cannot become gone'):
        book.advance(book.requests()[1].id, 'gone')


def test_a_verdict_in_a_word(path):
    book = Ledger(path)
    book.advance(book.requests()[1].id, 'audited', {'verdict': 'passed'})
    assert ledger('list', path)[0] == 0


@pytest.mark.parametrize(
    'text',
    ['\u00b2:' + DIGEST, '\u0663:' + DIGEST, '9' * 5000 + ':' + DIGEST, '3:' + 'z' * 64, '3'],
)
def test_receipts_of_another_form(path, text):
    with pytest.raises(FormatError, match='COUNT:HASH'):
        parse_receipt(text)
    assert ledger('verify', path, '--receipt', text)[0] == 2


def test_a_receipt_of_no_rows_is_compared_too(path):
    code, output = ledger('verify', path, '--receipt', f'0:{DIGEST}')
    assert code == 1
    assert 'began in another way' in output
