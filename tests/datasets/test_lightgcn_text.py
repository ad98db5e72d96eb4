import pandas as pd
import pytest

from graphrec.datasets.lightgcn_text import read_lightgcn
from graphrec.errors import FormatError
from graphrec.graphs.schema import HOLDOUT_TEST, HOLDOUT_VALID, INTERACTS, split_edges, validate


def write(folder, train='0 0 2\n1 1\n2\n', test='0 1\n1\n', **more):
    for name, text in {'train': train, 'test': test, **more}.items():
        (folder / f'{name}.txt').write_text(text)
    return folder


def test_lists_and_users_without_items(tmp_path):
    data = read_lightgcn(write(tmp_path))
    validate(data)
    assert data.name == tmp_path.name
    assert (data['user'].num_nodes, data['item'].num_nodes) == (3, 3)
    assert data[INTERACTS].edge_index.tolist() == [[0, 0, 1], [0, 2, 1]]
    assert data[HOLDOUT_TEST].edge_index.tolist() == [[0], [1]]


def test_valid_part_and_spaces_at_line_ends(tmp_path):
    data = read_lightgcn(write(tmp_path, train='0 0 2 \r\n1 1\n\n', valid='1 0\n'))
    assert data[HOLDOUT_VALID].edge_index.tolist() == [[1], [0]]
    assert data[INTERACTS].edge_index.size(1) == 3


def test_lists_of_names(tmp_path):
    write(
        tmp_path,
        user_list='org_id remap_id\nann 0\nbob 1\neve 4\n',
        item_list='org_id remap_id freebase_id\nB 1 m.1\nA 0 m.0\nC 2 m.2\nD 3 m.3\n',
    )
    data = read_lightgcn(tmp_path)
    assert list(data['user'].id) == [0, 1, 2, 4]  # Two has a line in train.txt alone.
    assert list(data['user'].org_id) == ['ann', 'bob', None, 'eve']
    assert list(data['item'].org_id) == ['A', 'B', 'C', 'D']
    assert list(data['item'].freebase_id) == ['m.0', 'm.1', 'm.2', 'm.3']


def test_repeats_are_counted(tmp_path):
    data = read_lightgcn(write(tmp_path, train='0 0 0 2\n'))
    assert data[INTERACTS].edge_index.size(1) == 2
    assert sum(data.repairs.values()) == 1


def test_triples_of_lastfm(tmp_path):
    (tmp_path / 'data1.txt').write_text('1\t5\t993\n2\t7\t3\n')
    (tmp_path / 'test1.txt').write_text('1\t7\t173\n')
    data = read_lightgcn(tmp_path)
    assert list(data['item'].id) == [5, 7]
    assert data[INTERACTS].plays.tolist() == [993, 3]
    assert data[HOLDOUT_TEST].edge_index.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ('train', 'message'),
    [
        ('0 1\n1 x\n', r"train\.txt' line 2 holds 'x'"),
        ('0 1\n1 -2\n', r"line 2 holds '-2'"),
        ('0 1\n1 2.0\n', r"line 2 holds '2\.0'"),
        ('0 1\n1 99999999999999999999\n', r"line 2 holds '9999"),
        ('0 1\n\n1 2\n', 'line 2 is blank'),
        ('\n\n', 'is empty'),
    ],
)
def test_malformed_lines(tmp_path, train, message):
    with pytest.raises(FormatError, match=message):
        read_lightgcn(write(tmp_path, train=train))


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ('a 0\nb 1\n', r"user_list\.txt' line 1 has no column 'remap_id'"),
        ('org_id remap_id\na 0\nb 0\n', "line 3 describes remap_id '0' a second time"),
        ('org_id remap_id\na zero\n', "line 2 has remap_id 'zero'"),
        ('org_id remap_id\na b 0\n', 'line 2 has 3 fields'),
    ],
)
def test_malformed_names(tmp_path, names, message):
    with pytest.raises(FormatError, match=message):
        read_lightgcn(write(tmp_path, user_list=names))


def test_missing_files(tmp_path):
    with pytest.raises(FormatError, match='no folder'):
        read_lightgcn(tmp_path / 'nowhere')
    with pytest.raises(FormatError, match=r'train\.txt.* is missing'):
        read_lightgcn(tmp_path)
    (tmp_path / 'train.txt').write_text('0 1\n')
    with pytest.raises(FormatError, match=r'test\.txt.* is missing'):
        read_lightgcn(tmp_path)


def test_real_data_through_this_format(tmp_path, data_root):
    table = pd.read_csv(data_root / 'lastfm' / 'interactions.csv.gz')
    for split, part in table.groupby('split'):
        lists = part.groupby('user')['item'].apply(lambda items: ' '.join(map(str, items)))
        (tmp_path / f'{split}.txt').write_text(''.join(f'{u} {i}\n' for u, i in lists.items()))
    data = read_lightgcn(tmp_path)
    validate(data)
    assert (data['user'].num_nodes, data['item'].num_nodes) == (1880, 4489)
    assert [split_edges(data, s).size(1) for s in ('train', 'test')] == [42135, 10533]
