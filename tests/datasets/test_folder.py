import gzip
import os

import numpy as np
import pandas as pd
import pytest
import torch

from graphrec.datasets import folder_writing, load, planted, read_folder, write_folder
from graphrec.errors import FormatError, GraphError
from graphrec.graphs import schema, splits
from graphrec.graphs.interactions import from_tables


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.gz':
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


@pytest.fixture
def folder(tmp_path):
    write(
        tmp_path / 'set' / 'interactions.csv',
        'user,item,split\n0,0,train\n0,2,train\n1,1,train\n1,2,test\n',
    )
    return tmp_path / 'set'


def assert_same(first, second):
    """Every attribute of both graphs is equal, type and value."""
    assert set(first.node_types) == set(second.node_types)
    assert set(first.edge_types) == set(second.edge_types)
    assert first.name == second.name
    assert first.repairs == second.repairs
    for place in (*first.node_types, *first.edge_types):
        one, other = first[place], second[place]
        assert set(one.keys()) == set(other.keys()), place
        for key in one.keys():  # noqa: SIM118
            a, b = one[key], other[key]
            if isinstance(a, torch.Tensor):
                assert a.dtype == b.dtype, (place, key)
                assert torch.equal(a.nan_to_num(-7), b.nan_to_num(-7)), (place, key)
            elif isinstance(a, np.ndarray):
                assert a.dtype == b.dtype, (place, key)
                assert a.tolist() == b.tolist(), (place, key)
            else:
                assert a == b, (place, key)


def test_reads_a_folder(folder):
    np.save(folder / 'item_visual.npy', np.eye(3, dtype=np.float16))
    np.save(folder / 'item_text_codes.npy', np.arange(8, dtype=np.int16).reshape(4, 2))
    np.savez(
        folder / 'item_text_knn.npz',
        index=np.array([[1], [0], [-1], [2]], dtype=np.int32),
        similarity=np.array([[0.5], [0.5], [np.nan], [1]], dtype=np.float16),
    )
    with pytest.raises(GraphError, match="feature 'visual' has 3 rows for 4 items"):
        read_folder(folder)
    np.save(folder / 'item_visual.npy', np.eye(4, dtype=np.float16))
    write(folder / 'items.csv.gz', 'item,title\n1,"NA"\n0,007\n')
    data = load(folder)
    schema.validate(data)
    assert data.name == 'set'
    assert data['item'].id.tolist() == [0, 1, 2, 3]
    assert data['item'].title.tolist() == ['007', 'NA', None, None]
    assert torch.equal(data['item'].x_visual, torch.eye(4))
    assert data['item'].code_text.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert data['item'].knn_text_index.tolist() == [[1], [0], [-1], [2]]
    assert data['item'].knn_text_similarity[:2].tolist() == [[0.5], [0.5]]
    assert data[schema.HOLDOUT_TEST].edge_index.tolist() == [[1], [2]]

    only = read_folder(folder, modalities=['text'])
    assert schema.modalities(only) == []
    assert 'code_text' in only['item']
    with pytest.raises(GraphError, match=r"'sound', but .* holds \['text', 'visual'\]"):
        read_folder(folder, modalities=['sound'])


def test_reads_parquet(folder, tmp_path):
    frame = pd.read_csv(folder / 'interactions.csv')
    (tmp_path / 'other').mkdir()
    frame.to_parquet(tmp_path / 'other' / 'interactions.parquet')
    one, other = load(folder), load(tmp_path / 'other')
    assert torch.equal(schema.train_edges(one), schema.train_edges(other))
    (folder / 'interactions.parquet').write_bytes(b'PAR1 and nothing more')
    with pytest.raises(FormatError, match='keep one of them'):
        load(folder)
    (folder / 'interactions.csv').unlink()
    with pytest.raises(FormatError, match=r'interactions\.parquet.*cannot be read'):
        load(folder)


def test_side_tables(folder):
    write(folder / 'item_attributes.csv', 'item,attribute\n0,7\n2,7\n2,5\n9,5\n')
    write(folder / 'item_tag.csv', 'item,tag\n1,3\n')
    write(folder / 'tags.csv', 'tag,text\n3,1990s\n4,jazz\n')
    write(folder / 'user_user.csv', 'user,friend\n0,1\n')
    write(folder / 'item_item.csv.gz', 'item,cited\n0,2\n')
    write(folder / 'item_entity.csv', 'item,relation,entity\n0,1,4\n2,0,5\n')
    write(folder / 'entities.csv', 'entity,name\n4,Verne\n')
    write(folder / 'relations.csv', 'relation,name\n0,series\n1,author\n')
    np.savez(
        folder / 'item_words.npz',
        indptr=np.array([0, 1, 1, 3], np.int32),
        indices=np.array([1, 0, 1], np.int16),
        data=np.array([4, 5, 6], np.uint8),
    )
    write(folder / 'vocabulary.txt', 'sea\nwhale\n')
    data = load(folder)
    schema.validate(data)
    assert data['attribute'].id.tolist() == [5, 7]
    assert data['item', 'has', 'attribute'].edge_index.tolist() == [[0, 2, 2], [1, 1, 0]]
    assert data.repairs == {'unknown_ids_item_attributes': 1}
    assert data['tag'].text.tolist() == ['1990s', 'jazz']
    assert data['item', 'has', 'tag'].edge_index.tolist() == [[1], [0]]
    assert data['user', 'knows', 'user'].edge_index.tolist() == [[0], [1]]
    assert data['item', 'cites', 'item'].edge_index.tolist() == [[0], [2]]
    facts = data['item', 'relates', 'entity']
    assert facts.edge_index.tolist() == [[0, 2], [0, 1]]
    assert [facts.relation_name[r] for r in facts.relation.tolist()] == ['author', 'series']
    assert data['entity'].name.tolist() == ['Verne', None]
    words = data['item', 'contains', 'word']
    assert words.edge_index.tolist() == [[0, 2, 2], [1, 0, 1]]
    assert words['count'].tolist() == [4, 5, 6]
    assert data['word'].text.tolist() == ['sea', 'whale']


def test_knowledge_graph(folder):
    write(folder / 'kg.csv', 'head,relation,tail\n2,8,50\n50,9,0\n')
    data = load(folder)
    assert data['entity'].id.tolist() == [0, 2, 50]
    assert data['entity'].item.tolist() == [0, 2, -1]
    assert data['entity', 'relates', 'entity'].edge_index.tolist() == [[1, 2], [2, 0]]
    assert data['entity', 'relates', 'entity'].relation_name == ['8', '9']


def test_both_layouts_of_queries(folder):
    write(folder / 'queries.csv', 'user,item,query,timestamp\n0,0,1984,5\n1,2,NA,6\n')
    data = load(folder)
    assert data['query'].text.tolist() == ['1984', 'NA']
    assert data[schema.FINDS].edge_index.tolist() == [[0], [0]]
    assert data['query', 'holdout_test', 'item'].edge_index.tolist() == [[1], [2]]

    write(folder / 'triplets.csv', 'user,item,query,date,split\n0,0,3,1970-01-02,valid\n')
    write(folder / 'queries.csv', 'query,text\n3,42\n')
    data = load(folder)
    assert data['query'].text.tolist() == ['42']
    assert data['user', 'holdout_valid', 'query'].time.tolist() == [86400]
    assert load(folder, how='random')[schema.SEARCHES].edge_index.tolist() == [[0], [0]]


def test_ids_that_differ_in_type(folder):
    write(folder / 'items.csv', 'item,title\n00,a\n02,b\n')
    with pytest.raises(GraphError, match=r"integers \(first one: 0\).*strings \(first one: '00'\)"):
        load(folder)
    write(folder / 'interactions.csv', 'user,item\n0,00\n1,02\n')
    data = load(folder, id_type=str)
    assert data['item'].id.tolist() == ['00', '02']
    assert data['user'].id.tolist() == ['0', '1']
    with pytest.raises(GraphError, match='id_type'):
        load(folder, id_type=float)


def test_own_column_names(folder):
    write(folder / 'interactions.csv', 'reader,book,fold\n5,6,train\n5,7,dev\n')
    with pytest.raises(FormatError, match=r"interactions.csv' has no column 'user' .*'reader'"):
        load(folder)
    data = load(folder, user='reader', item='book', split='fold')
    assert data[schema.HOLDOUT_VALID].edge_index.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('interactions.csv', b'', 'is empty'),
        ('interactions.csv', b'user,item\n', 'no rows'),
        ('interactions.csv', b'user,thing\n1,2\n', "no column 'item'"),
        ('interactions.csv', b'user,item\n1,"2\n', 'cannot be read as a table'),
        ('interactions.csv', b'user,item\n1,\xff\xfe\n', 'cannot be read as a table'),
        ('items.csv.gz', b'not gzip', 'damaged or half-written'),
        ('items.csv.gz', gzip.compress(os.urandom(5000))[:2000], 'damaged or half-written'),
        ('item_text.npy', b'\x93NUMPY\x01\x00', 'no complete array file'),
        ('item_text_knn.npz', b'PK\x03\x04', 'no complete archive'),
        ('item_words.npz', b'', 'no complete archive'),
    ],
)
def test_damaged_files(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(FormatError, match=f'{name}.*{message}'):
        load(folder)


def test_half_written_array(folder):
    np.save(folder / 'item_text.npy', np.ones((4, 8)))
    content = (folder / 'item_text.npy').read_bytes()
    (folder / 'item_text.npy').write_bytes(content[: len(content) // 2 + 64])
    with pytest.raises(FormatError, match=r'item_text\.npy.*no complete array'):
        load(folder)
    np.save(folder / 'item_text.npy', np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match=r'item_text\.npy'):
        load(folder)


def test_no_data_set(tmp_path):
    with pytest.raises(FormatError, match='does not exist'):
        load(tmp_path / 'absent')
    (tmp_path / 'file').write_text('x')
    with pytest.raises(FormatError, match='is a file'):
        load(tmp_path / 'file')
    with pytest.raises(FormatError, match=r"looked for interactions\.csv.*it holds \['file'\]"):
        load(tmp_path)
    with pytest.raises(GraphError, match="'format' must be one of"):
        load(tmp_path, format='excel')


def test_load_finds_other_formats(tmp_path):
    write(tmp_path / 'light' / 'train.txt', '0 0 1\n1 1\n')
    write(tmp_path / 'light' / 'test.txt', '0 2\n')
    assert load(tmp_path / 'light')[schema.HOLDOUT_TEST].edge_index.tolist() == [[0], [2]]
    write(tmp_path / 'mm' / 'mm.inter', 'userID\titemID\tx_label\n0\t0\t0\n0\t1\t2\n')
    assert load(tmp_path / 'mm')[schema.HOLDOUT_TEST].edge_index.tolist() == [[0], [1]]
    write(tmp_path / 'bole' / 'bole.inter', 'user_id:token\titem_id:token\na\tb\n')
    assert schema.train_edges(load(tmp_path / 'bole')).tolist() == [[0], [0]]
    write(tmp_path / 'ssl' / 'train.json', '{"0": [0, 1]}')
    write(tmp_path / 'ssl' / 'test.json', '{"0": [2]}')
    assert load(tmp_path / 'ssl')[schema.HOLDOUT_TEST].edge_index.tolist() == [[0], [2]]
    with pytest.raises(FormatError):
        load(tmp_path / 'ssl', format='lightgcn')


def rich_graph():
    frame = pd.DataFrame(
        {
            'user': ['u3', 'u1', 'u3', 'u2', 'u1'],
            'item': ['10', '11', '12', '10', '12'],
            'split': ['train', 'train', 'valid', 'train', 'test'],
            'timestamp': [5.5, 2.25, 7, 8, 9],
            'rating': [0.1, 4, 3, 2, 1],
            'plays': [1, 2, 3, 4, 5],
            'clean': [True, False, True, True, False],
            'weight': [0.3, np.nan, 0.5, 1e-9, 2.0],
        }
    )
    items = pd.DataFrame(
        {'item': ['12', '10', '11'], 'title': ['a, "b"', None, 'c\nd'], 'code': ['01', '2', '3'],
         'price': [0.1, 0.2, 0.30000000000000004], 'year': [1, None, 3]}
    )  # fmt: skip
    features = {'text': np.arange(6.0).reshape(3, 2) / 7, 'level': np.array([[3], [1], [2]])}
    events = pd.DataFrame({'user': ['u1', 'u3'], 'item': ['11', '12'], 'query': ['1', '2']})
    data = from_tables(
        frame,
        items=items,
        users=pd.DataFrame({'user': ['u9'], 'old': ['2001']}),
        features=features,
        queries=events,
        name='rich',
    )
    data['item'].knn_text_index = torch.tensor([[1], [2], [-1]])
    data['item'].knn_text_similarity = torch.tensor([[0.5], [0.25], [float('nan')]])
    data['item'].extra = torch.tensor([1.0, 2.0, 3.0])
    data['user', 'knows', 'user'].edge_index = torch.tensor([[0], [3]])
    data.repairs = {'duplicate_interactions': 4}
    return data


def test_round_trip(tmp_path):
    data = rich_graph()
    path = write_folder(data, tmp_path / 'deep' / 'out')
    schema.validate(read_folder(path))
    assert_same(read_folder(path), data)
    assert [p.name for p in (tmp_path / 'deep').iterdir()] == ['out']
    names = {p.name for p in path.iterdir()}
    assert {'interactions.csv.gz', 'items.csv.gz', 'users.csv.gz', 'item_text.npy'} <= names


def test_round_trip_of_a_planted_graph(tmp_path):
    data = planted(num_users=60, num_items=40, seed=1)
    back = load(write_folder(data, tmp_path / 'planted'))
    for edge_type in data.edge_types:
        assert torch.equal(back[edge_type].edge_index, data[edge_type].edge_index)
    for modality in schema.modalities(data):
        assert torch.equal(back['item'][f'x_{modality}'], data['item'][f'x_{modality}'])
    assert set(back.node_types) == set(data.node_types)


def test_round_trip_sorts_nodes_and_keeps_meaning(tmp_path):
    data = rich_graph()
    reorder = torch.tensor([2, 0, 1])  # New item i is old item reorder[i].
    new_of = torch.argsort(reorder)
    shuffled = data.clone()
    for key, value in data['item'].items():
        if isinstance(value, torch.Tensor):
            shuffled['item'][key] = value[reorder]
        elif isinstance(value, np.ndarray):
            shuffled['item'][key] = value[reorder.numpy()]
    index = shuffled['item'].knn_text_index
    shuffled['item'].knn_text_index = torch.where(index >= 0, new_of[index], index)
    for edge_type in data.edge_types:
        if edge_type[2] == 'item':
            shuffled[edge_type].edge_index = torch.stack(
                [data[edge_type].edge_index[0], new_of[data[edge_type].edge_index[1]]]
            )
    assert_same(read_folder(write_folder(shuffled, tmp_path / 'out')), data)


def test_round_trip_without_interactions(tmp_path):
    data = planted(num_users=10, num_items=8, seed=0)
    del data[schema.INTERACTS]
    back = load(write_folder(data, tmp_path / 'parts'))
    assert set(back.edge_types) == set(data.edge_types)
    assert schema.node_ids(back, 'item').tolist() == schema.node_ids(data, 'item').tolist()


def test_round_trip_of_held_out_parts(tmp_path):
    frame = pd.DataFrame({'user': [0] * 20 + [1] * 20, 'item': [*range(20), *range(20)]})
    data = splits.cold_items(from_tables(frame, name='cold'), seed=1)
    data[schema.holdout('later')].edge_index = schema.train_edges(data)[:, :2].clone()
    assert_same(load(write_folder(data, tmp_path / 'out')), data)


def test_the_time_of_writing_leaves_no_trace(tmp_path, monkeypatch):
    written = []
    for name, time in (('one', 1e9), ('other', 2e9)):
        monkeypatch.setattr(gzip.time, 'time', lambda time=time: time)
        folder = write_folder(rich_graph(), tmp_path / name)
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]


def test_writing_protects_what_is_there(tmp_path):
    data = rich_graph()
    target = write_folder(data, tmp_path / 'out')
    with pytest.raises(GraphError, match='overwrite=True'):
        write_folder(data, target)
    (target / 'stale.txt').write_text('x')
    write_folder(data, target, overwrite=True)
    assert not (target / 'stale.txt').exists()


def test_disk_full_leaves_nothing(tmp_path, monkeypatch):
    data = rich_graph()
    target = write_folder(data, tmp_path / 'out')
    before = sorted(p.name for p in target.iterdir())

    def full(*args, **kwargs):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(folder_writing.np, 'savez_compressed', full)
    for path in (target, tmp_path / 'new'):
        with pytest.raises(GraphError, match=r'cannot be written \(No space left'):
            write_folder(data, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ['out']
    assert sorted(p.name for p in target.iterdir()) == before
    assert_same(read_folder(target), data)
    (tmp_path / 'file').write_text('x')
    monkeypatch.undo()
    with pytest.raises(GraphError, match='cannot be written'):
        write_folder(data, tmp_path / 'file' / 'out')


def test_arguments_that_do_not_apply(folder, tmp_path):
    with pytest.raises(GraphError, match=r"'domain' is 'food', but .* holds a single data set"):
        read_folder(folder, domain='food')
    ptr, item = np.array([0, 2, 3]), np.array([4, 1, 1])
    (tmp_path / 'clicks').mkdir()
    arrays = {'train_item': item, 'train_ptr': ptr, 'test_item': item, 'test_ptr': ptr}
    np.savez(tmp_path / 'clicks' / 'sessions.npz', **arrays)
    data = load(tmp_path / 'clicks')
    contains = data['session', 'contains', 'item']
    assert contains.edge_index.tolist() == [[0, 0, 1], [4, 1, 1]]
    assert contains.position.tolist() == [0, 1, 0]
    assert data['session', 'holdout_test', 'item'].edge_index[0].tolist() == [2, 2, 3]
    for arguments in ({'how': 'random'}, {'min_rating': 4}, {'split': 'fold'}):
        with pytest.raises(GraphError, match='does not apply'):
            load(tmp_path / 'clicks', **arguments)
    np.savez(tmp_path / 'clicks' / 'sessions.npz', **(arrays | {'test_ptr': ptr[:2]}))
    with pytest.raises(FormatError, match="'test_ptr' must rise from 0 to the 3 entries"):
        load(tmp_path / 'clicks')


@pytest.mark.parametrize('name', ['interactions.csv', 'interactions.csv.gz'])
def test_ids_with_leading_zeros_stay_apart(tmp_path, name):
    table = pd.DataFrame({'user': ['01', '1', '2'], 'item': ['10', '20', '10']})
    table.to_csv(tmp_path / name, index=False)
    data = read_folder(tmp_path)
    assert data['user'].id.tolist() == ['01', '1', '2']
    assert data['item'].id.tolist() == [10, 20]
    assert read_folder(tmp_path, id_type=int)['user'].id.tolist() == [1, 2]
