"""What a command says of ids that the graph does not hold."""

import pytest
from program import run

from graphrec.unlearn import RemoveUsers


@pytest.fixture(scope='module')
def place(tmp_path_factory, write_models):
    place = tmp_path_factory.mktemp('unknown')
    write_models(place, 1, model=0)
    (place / 'key').write_text('0123456789abcdef' * 4)
    return place


FILES = {
    'users.txt': ('--users', '\n3\n4711\n17\n4712\n'),
    'many.txt': ('--users', '3\n' + ''.join(f'{n}\n' for n in range(4711, 4723))),
    'table.csv': ('--items', 'user,item\n3,5\n5,4711\n'),
    'pairs.csv': ('--edges', 'item,user\n4711,3\n2,4712\n'),
    'edit.csv': ('--edit', 'item\n5\n"4711"\n'),
    'edit.json': ('--edit', RemoveUsers([3, 4711]).to_json()),
}


@pytest.mark.parametrize(
    ('name', 'ids', 'lines'),
    [
        ('users.txt', '2 of 4 users are not in the graph: 4711, 4712;', ' line 3, 5;'),
        ('many.txt', '4711, 4712, 4713, 4714, 4715 and 7 more;', ' line 2, 3, 4, 5, 6 and 7 more;'),
        ('table.csv', '1 of 2 items are not in the graph: 4711;', ' line 3;'),
        ('pairs.csv', 'are not in the graph: (3, 4711), (4712, 2);', ' line 2, 3;'),
        ('edit.csv', '1 of 2 items are not in the graph: 4711;', ' line 3;'),
        ('edit.json', '1 of 2 users are not in the graph: 4711;', ';'),
    ],
)
def test_ids_are_named_or_their_lines(place, tmp_path, monkeypatch, name, ids, lines):
    monkeypatch.chdir(tmp_path)
    option, content = FILES[name]
    (tmp_path / name).write_text(content)
    words = ('forget', place / 'model', place / 'data', option, name, '--out', 'out')

    def refused(*more):
        shown = run(*words, *more, code=2)
        assert shown.stderr.count('\n') == 1
        assert '--ignore-unknown' in shown.stderr
        return shown.stderr

    assert ids in refused('--ledger', 'ledger')
    told = refused('--ledger', 'ledger', '--private', place / 'key')
    assert f"are not in the graph: '{name}'{lines}" in told
    assert '47' not in told
    assert [path.name for path in tmp_path.iterdir()] == [name]
