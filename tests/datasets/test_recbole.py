import logging

import pandas as pd
import pytest
import torch

from graphrec.datasets.recbole import read_recbole
from graphrec.errors import FormatError
from graphrec.graphs.schema import (
    HOLDOUT_TEST,
    HOLDOUT_VALID,
    INTERACTS,
    modalities,
    split_edges,
    validate,
)

INTER = 'user_id:token\titem_id:token\trating:float\ttimestamp:float'


def write(folder, name, *lines):
    (folder / name).write_text('\n'.join(lines) + '\n')
    return folder


def test_interactions_users_and_items(tmp_path):
    write(tmp_path, 'toy.inter', INTER, 'ann\tB\t4\t10.5', 'bob\tA\t3\t9')
    write(tmp_path, 'toy.user', 'user_id:token\tage:float\tgender:token', 'bob\t\tM', 'ann\t31\tF')
    write(
        tmp_path, 'toy.item', 'item_id:token\ttitle:token\tgenre:token_seq\tvector:float_seq',
        'C\tSay "hi\tx y\t1 2', 'A\t\t\t3 4', 'B\tTwo\tz\t5 6',
    )  # fmt: skip
    data = read_recbole(tmp_path)
    validate(data)
    assert data.name == 'toy'
    assert list(data['user'].id) == ['ann', 'bob']
    assert list(data['item'].id) == ['A', 'B', 'C']  # C has no interaction.
    assert data[INTERACTS].edge_index.tolist() == [[0, 1], [1, 0]]
    assert data[INTERACTS].rating.tolist() == [4.0, 3.0]
    assert data[INTERACTS].time.tolist() == [10.5, 9.0]
    assert list(data['user'].gender) == ['F', 'M']
    assert list(data['user'].age) == [31.0, None]
    assert list(data['item'].genre) == [(), ('z',), ('x', 'y')]
    assert list(data['item'].title) == ['', 'Two', 'Say "hi']
    assert torch.equal(data['item'].x_vector, torch.tensor([[3.0, 4.0], [5, 6], [1, 2]]))


def test_vectors_follow_integer_ids_in_any_order(tmp_path):
    write(tmp_path, 'toy.inter', 'user_id:token\titem_id:token', '5\t0', '7\t2')
    write(tmp_path, 'toy.item', 'item_id:token\tv:float_seq', '2\t2 2', '0\t0.5 0', '1\t1 1')
    data = read_recbole(tmp_path)
    assert data['user'].id.tolist() == [5, 7]
    assert data['item'].x_v.tolist() == [[0.5, 0], [1, 1], [2, 2]]


def test_vectors_of_several_lengths_stay_tuples(tmp_path):
    write(tmp_path, 'toy.inter', 'user_id:token\titem_id:token', '0\t0', '0\t1')
    write(tmp_path, 'toy.item', 'item_id:token\tv:float_seq', '0\t2 2', '1\t1.5')
    data = read_recbole(tmp_path)
    assert modalities(data) == []
    assert list(data['item'].v) == [(2.0, 2.0), (1.5,)]


def test_an_item_of_the_interactions_alone_has_no_vector(tmp_path):
    write(tmp_path, 'toy.inter', 'user_id:token\titem_id:token', '0\t9', '0\t1')
    write(tmp_path, 'toy.item', 'item_id:token\tv:float_seq', '1\t1 1')
    data = read_recbole(tmp_path)
    assert data['item'].x_v.tolist() == [[1, 1], [0, 0]]
    assert data['item'].has_v.tolist() == [True, False]


def test_ids_that_only_look_like_integers_stay_apart(tmp_path):
    write(tmp_path, 'toy.inter', 'user_id:token\titem_id:token', '0\t07', '1\t7')
    assert list(read_recbole(tmp_path)['item'].id) == ['07', '7']


def test_benchmark_files(tmp_path):
    for split, line in (('train', '0\t0'), ('valid', '0\t1'), ('test', '0\t2')):
        write(tmp_path, f'toy.{split}.inter', 'user_id:token\titem_id:token', line)
    data = read_recbole(tmp_path)
    assert data.name == 'toy'
    edges = [data[t].edge_index.tolist() for t in (INTERACTS, HOLDOUT_VALID, HOLDOUT_TEST)]
    assert edges == [[[0], [0]], [[0], [1]], [[0], [2]]]


def test_sequences_of_interactions_are_left_out(tmp_path, caplog):
    write(
        tmp_path, 'toy.inter', 'user_id:token\titem_id_list:token_seq\titem_id:token',
        '0\t1 2\t3', '0\t1 2 3\t4',
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        data = read_recbole(tmp_path)
    assert data[INTERACTS].edge_index.size(1) == 2
    assert 'item_id_list' in caplog.text


def test_other_names_and_separators(tmp_path):
    write(tmp_path, 'toy.inter', 'u:token,i:token,when:float,stars:float', '0,1,5,3')
    data = read_recbole(
        tmp_path, user='u', item='i', time='when', rating='stars', separator=','
    )  # fmt: skip
    assert data[INTERACTS].time.tolist() == [5]
    assert data[INTERACTS].rating.tolist() == [3.0]


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['user_id\titem_id', '0\t0'], r"toy\.inter' line 1 has the header 'user_id', expected"),
        (['user_id:token\titem_id:text', '0\t0'], "line 1 has the header 'item_id:text'"),
        (['user_id:token\trating:float', '0\t0'], 'line 1 has no column item_id:token'),
        (['user_id:token\tuser_id:token', '0\t0'], 'line 1 names the column .* twice'),
        (['user_id:token\tuser_id:float\titem_id:token', '0\t0\t0'], 'line 1 names the column'),
        ([INTER, '0\t0\t1\t2', '0\t1\t1'], 'line 3 has 3 fields, expected 4'),
        ([INTER, '0\t0\tmany\t2'], "line 2 has rating:float 'many'"),
        ([INTER, '0\t0\tinf\t2'], "line 2 has rating:float 'inf'"),
        ([INTER, '0\t0\t\t2'], 'line 2 has no rating'),
        ([INTER, '\t0\t1\t2'], 'line 2 has an empty user_id'),
        ([INTER], 'no interactions'),
        ([''], 'is empty'),
    ],
)
def test_malformed_interactions(tmp_path, lines, message):
    with pytest.raises(FormatError, match=message):
        read_recbole(write(tmp_path, 'toy.inter', *lines))


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['item_id:token', '0', '0'], r"toy\.item' line 3 describes item_id '0' a second time"),
        (['item_id:token\tv:float_seq', '0\t1 x'], r"toy\.item' line 2 column v:float_seq"),
        (['item_id:token\tv:float_seq', '0\t1 nan'], 'NaN or infinity'),
    ],
)
def test_malformed_items(tmp_path, lines, message):
    write(tmp_path, 'toy.inter', INTER, '0\t0\t1\t2')
    with pytest.raises(FormatError, match=message):
        read_recbole(write(tmp_path, 'toy.item', *lines))


def test_missing_or_ambiguous_files(tmp_path):
    with pytest.raises(FormatError, match=r'expected one <name>\.inter'):
        read_recbole(tmp_path)
    write(tmp_path, 'a.inter', INTER, '0\t0\t1\t2')
    write(tmp_path, 'b.inter', INTER, '0\t0\t1\t2')
    with pytest.raises(FormatError, match=r'b\.inter'):
        read_recbole(tmp_path)


def test_real_data_through_this_format(tmp_path, data_root):
    folder = data_root / 'ml-100k'
    table = pd.read_csv(folder / 'interactions.csv.gz')
    renamed = {'user': 'user_id:token', 'item': 'item_id:token', 'rating': 'rating:float',
               'timestamp': 'timestamp:float'}  # fmt: skip
    for split, part in table.groupby('split'):
        part.rename(columns=renamed)[list(renamed.values())].to_csv(
            tmp_path / f'ml.{split}.inter', sep='\t', index=False
        )
    items = pd.read_csv(folder / 'items.csv').fillna('')
    items['genres'] = items['genres'].str.replace('|', ' ')
    items.columns = ['item_id:token', 'title:token', 'release:token', 'genres:token_seq']
    # RecBole's files know no quotes.
    rows = ['\t'.join(map(str, row)) for row in items.itertuples(index=False)]
    write(tmp_path, 'ml.item', '\t'.join(items.columns), *rows)
    data = read_recbole(tmp_path)
    validate(data)
    assert (data['user'].num_nodes, data['item'].num_nodes) == (943, 1682)
    counts = [split_edges(data, split).size(1) for split in ('train', 'valid', 'test')]
    assert counts == [79619, 9942, 10439]
    assert data['item'].title[0] == 'Toy Story (1995)'
    assert data['item'].genres[0] == ('Animation', "Children's", 'Comedy')
    total = sum(float(data[t].rating.sum()) for t in (INTERACTS, HOLDOUT_VALID, HOLDOUT_TEST))
    assert total == table['rating'].sum()
