import json

import numpy as np
import pytest
from torch_geometric.data import HeteroData

from graphrec import FormatError, GraphError, datasets
from graphrec.unlearn import (
    EditSet,
    RemoveAttribute,
    RemoveInteractions,
    RemoveItems,
    RemoveModality,
    RemoveQueries,
    RemoveUsers,
    read_edit,
    read_ids,
    read_pairs,
)


@pytest.fixture
def write(tmp_path):
    def write(content, name='edit.csv'):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ('text', 'edit'),
    [
        ('user\n3\n17\n', RemoveUsers([3, 17])),
        ('item\nb\na\n', RemoveItems(['a', 'b'])),
        ('query\n"red, shoe"\n', RemoveQueries(['red, shoe'])),
        ('item,user,why\n7,1,spam\n8,1,\n', RemoveInteractions([(1, 7), (1, 8)])),
        (
            'user,item\n1,7\n2,\n,9\n',
            RemoveUsers([2]) | RemoveItems([9]) | RemoveInteractions([(1, 7)]),
        ),
        (
            'item,modality\n5,visual\n6,visual\n,text\n',
            RemoveModality('visual', [5, 6]) | RemoveModality('text'),
        ),
        ('\ufeffuser\r\n3\r\n', RemoveUsers([3])),
    ],
)
def test_tables(write, text, edit):
    assert read_edit(write(text)) == EditSet((edit,))


def test_json(write):
    edit = RemoveUsers([3]) | RemoveItems(['x'])
    assert read_edit(write(edit.to_json(), 'edit.json')) == edit


DOCUMENT = {
    'format': 'graphrec edit',
    'version': 1,
    'nodes': {'user': [3]},
    'pairs': [],
    'modalities': {},
    'attributes': [],
}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'nodes': {'users': [3], 'item': [5]}},
            r"'nodes' of .* holds the kinds \['users'\], which are none of \['user', 'item', ",
        ),
        ({'edges': [[1, 2]]}, r"holds the entries \['edges'\], which are none of \['format'"),
        ({'nodes': {'user': None}}, 'user ids of .* need to be a list'),
        (
            {'pairs': [{'edge_type': ['user', 'interacts', 'item'], 'pairs': [], 'time': 3}]},
            r"'pairs' of .* holds the entries \['time'\]",
        ),
        ({'pairs': [{'edge_type': 'abc', 'pairs': [[1, 2]]}]}, 'a list of three names'),
        (
            {'attributes': [{'node_type': 'user', 'name': 'age', 'ids': None, 'id': [3]}]},
            r"'attributes' of .* holds the entries \['id'\]",
        ),
    ],
)
def test_nothing_in_a_document_is_passed_over(write, change, message):
    assert read_edit(write(json.dumps(DOCUMENT), 'edit.json')) == EditSet((RemoveUsers([3]),))
    with pytest.raises(FormatError, match=message):
        read_edit(write(json.dumps(DOCUMENT | change), 'edit.json'))


def test_a_name_that_comes_twice_in_a_document(write):
    text = json.dumps(DOCUMENT).replace('"user": [3]', '"user": [3], "user": [5]')
    with pytest.raises(FormatError, match="holds 'user' twice"):
        read_edit(write(text, 'edit.json'))
    pairs = [{'edge_type': ['user', 'interacts', 'item'], 'pairs': [[1, n]]} for n in (7, 8)]
    attributes = [{'node_type': 'user', 'name': 'age', 'ids': [n]} for n in (4, 5)]
    text = json.dumps(DOCUMENT | {'pairs': pairs, 'attributes': attributes})
    edit = RemoveInteractions([(1, 7), (1, 8)]) | RemoveAttribute('user', 'age', [4, 5])
    assert read_edit(write(text, 'edit.json')) == edit | RemoveUsers([3])


HALF = '\ud800'


@pytest.mark.parametrize(
    'change',
    [
        {'nodes': {'user': ['a', HALF]}},
        {'pairs': [{'edge_type': ['user', 'interacts', 'item'], 'pairs': [['a', HALF]]}]},
        {'pairs': [{'edge_type': ['user', HALF, 'item'], 'pairs': [['a', 'b']]}]},
        {'modalities': {HALF: None}},
        {'attributes': [{'node_type': 'user', 'name': HALF, 'ids': None}]},
    ],
)
def test_halves_of_characters_are_no_text(write, change):
    with pytest.raises(FormatError, match='no valid Unicode'):
        read_edit(write(json.dumps(DOCUMENT | change), 'edit.json'))
    with pytest.raises(GraphError, match='no valid Unicode; correct the id'):
        RemoveUsers(['a', HALF])


def test_digits_that_are_no_numbers(write, graph):
    planted = datasets.planted(num_users=5, num_items=20, num_interactions=30)
    for value in ('²', '9' * 5000):
        with pytest.raises(FormatError, match='but ids are integers'):
            read_ids(write(f'{value}\n'), planted, 'user')
        assert read_ids(write(f'{value}\n'), graph, 'user') == (value,)
        assert read_edit(write(f'user\n{value}\n')) == EditSet((RemoveUsers([value]),))


@pytest.mark.parametrize('value', ['03', '\u0663', '\uff11', '-0', '+3', '1_0', '3.0'])
def test_other_spellings_of_a_number_are_not_guessed(write, value):
    planted = datasets.planted(num_users=5, num_items=20, num_interactions=30)
    for text, read in ((f'{value}\n', read_ids), (f'user\n{value}\n', read_ids)):
        with pytest.raises(FormatError, match=r'but ids are integers in this graph, written as'):
            read(write(text), planted, 'user')
    with pytest.raises(FormatError, match='but ids are integers'):
        read_edit(write(f'user\n{value}\n'), planted)
    with pytest.raises(FormatError, match='but ids are integers'):
        read_pairs(write(f'user,item\n{value},2\n'), planted)
    assert read_edit(write(f'user\n{value}\n')) == EditSet((RemoveUsers([value]),))
    assert read_edit(write('user\n0\n-3\n10\n')) == EditSet((RemoveUsers([0, -3, 10]),))


@pytest.fixture
def named():
    """A graph whose users are called by anything but numbers."""
    data = HeteroData()
    names = ['user', 'a,b', '"q"', 'u2', 'x\u2028y', 'user,why', 'v,w', '12" red']
    data['user'].id = np.array(names, dtype=object)
    data['user'].num_nodes = len(names)
    return data


@pytest.mark.parametrize(
    ('text', 'ids'),
    [
        ('a,b\nv,w\nu2\n', ('a,b', 'v,w', 'u2')),
        ('u2\na,b\n', ('u2', 'a,b')),
        ('"q"\n', ('"q"',)),
        ('u2\nx\u2028y\n', ('u2', 'x\u2028y')),
        ('u2\nuser\n', ('u2', 'user')),
        ('user\nuser\nu2\n', ('user', 'u2')),
        ('user\n"a,b"\n\n"""q"""\nuser\n"12"" red"\n', ('a,b', '"q"', 'user', '12" red')),
        ('user,why\n"user,why",x\n', ('user,why',)),
        ('why, user\nx,u2\n', ('u2',)),
    ],
)
def test_ids_with_commas_and_quotes(write, named, text, ids):
    assert read_ids(write(text), named, 'user') == ids


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('user\nu2\n', "begins with 'user', which is a header and an id of this graph"),
        ('user,why\nu2,x\n', "begins with 'user,why', which is a header and an id"),
        ('a,c\nu2\n', "line 1 is 'a,c', which is no 'user' of this graph as it stands"),
        ('u2\n\na,c\n', "line 3 is 'a,c', which is no 'user' of this graph"),
        ('u2\n"a,b"\n', "line 2 is '\"a,b\"', which is no 'user' of this graph"),
        ('"u2"\n', "line 1 is '\"u2\"', which is no 'user' of this graph"),
        ('user\n"a,b"c\n', 'no table that can be read'),
        ('user\nuser\n"u2\na,b\n', 'no table that can be read'),
    ],
)
def test_an_id_file_that_could_mean_two_things_is_refused(write, named, text, message):
    with pytest.raises(FormatError, match=message):
        read_ids(write(text), named, 'user')


def test_the_graph_says_what_ids_are(write, graph):
    assert read_edit(write('user\nu1\n'), graph) == EditSet((RemoveUsers(['u1']),))
    assert read_ids(write('u1\n\n u2 \n'), graph, 'user') == ('u1', 'u2')
    assert read_ids(write('item,why\n101,x\n'), graph, 'item') == (101,)
    assert read_ids(write('item\n101\n'), graph, 'item') == (101,)
    assert read_pairs(write('item,user\n101,u1\n'), graph) == (('u1', 101),)
    planted = datasets.planted(num_users=5, num_items=20, num_interactions=30)
    with pytest.raises(FormatError, match=r"holds the user 'u1', but ids are integers"):
        read_ids(write('u1\n'), planted, 'user')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'no rows'),
        ('user\n', 'no rows'),
        ('customer\n3\n', r"columns \['customer'\]; an edit has"),
        ('user,query\n3,4\n', 'an edit has'),
        ('user,product\n3,4\n', r"columns \['product'\], which an edit does not know; it knows"),
        ('user,timestamp\n3,4\n', r"columns \['timestamp'\], which an edit"),
        ('User,item\n3,4\n', r"columns \['User'\], which an edit"),
        ('user,user\n3,4\n', "the column 'user' twice"),
        (f'user\n{"3" * 200_000}\n', 'no table that can be read'),
        ('user,item\n3,4\n,\n', 'line 3 is empty'),
        ('user,item\n3\n', 'line 2 has 1 cells'),
        ('item,modality\n3,\n', 'line 2 names no modality'),
        ('{"format": "graphrec edit"}', 'version None'),
        (b'\xff\xfe\x00', 'UTF-8'),
    ],
)
def test_bad_tables(write, text, message):
    with pytest.raises(FormatError, match=message):
        read_edit(write(text))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('\n', 'holds no user ids'),
        ('customer,age\n3,4\n', "no 'user'"),
        ('user,why\n,x\n', 'holds no user ids in its column'),
    ],
)
def test_bad_id_files(write, graph, text, message):
    with pytest.raises(FormatError, match=message):
        read_ids(write(text), graph, 'user')


@pytest.mark.parametrize(
    ('text', 'message'),
    [('user\nu1\n', "no 'item'"), ('user,item\nu1,\n', 'line 2'), ('user,item\n', 'no rows')],
)
def test_bad_pair_files(write, graph, text, message):
    with pytest.raises(FormatError, match=message):
        read_pairs(write(text), graph)


def test_a_missing_file(tmp_path):
    with pytest.raises(FormatError, match='cannot be read'):
        read_edit(tmp_path / 'none.csv')
