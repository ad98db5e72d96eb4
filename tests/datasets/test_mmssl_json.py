import json

import numpy as np
import pandas as pd
import pytest

from graphrec.datasets.mmssl_json import read_mmssl
from graphrec.errors import FormatError
from graphrec.graphs.schema import (
    HOLDOUT_TEST,
    HOLDOUT_VALID,
    INTERACTS,
    modalities,
    split_edges,
    validate,
)


def write(folder, train='{"0": [0, 2], "1": [1], "2": []}', test='{"0": [1], "1": []}', val=None):
    folder.mkdir(exist_ok=True)
    for name, text in {'train': train, 'test': test, 'val': val}.items():
        if text is not None:
            (folder / f'{name}.json').write_text(text)
    return folder


def test_parts_and_features(tmp_path):
    write(tmp_path, val='{"1": [0]}')
    np.save(tmp_path / 'image_feat.npy', np.ones((4, 2)))
    np.save(tmp_path / 'audio_feat.npy', np.ones((4, 3)))
    data = read_mmssl(tmp_path)
    validate(data)
    assert (data['user'].num_nodes, data['item'].num_nodes) == (3, 4)
    assert data[INTERACTS].edge_index.tolist() == [[0, 0, 1], [0, 2, 1]]
    assert data[HOLDOUT_VALID].edge_index.tolist() == [[1], [0]]
    assert data[HOLDOUT_TEST].edge_index.tolist() == [[0], [1]]
    assert modalities(data) == ['acoustic', 'visual']


def test_subfolder_as_lattice_has_it(tmp_path):
    write(tmp_path / '5-core')
    np.save(tmp_path / 'image_feat.npy', np.full((3, 2), 2.0))
    np.save(tmp_path / '5-core' / 'text_feat.npy', np.full((3, 1), 3.0))
    data = read_mmssl(tmp_path)
    assert data.name == tmp_path.name
    assert data['item'].x_visual.unique().tolist() == [2.0]
    assert data['item'].x_text.unique().tolist() == [3.0]


def test_users_that_are_no_numbers(tmp_path):
    data = read_mmssl(write(tmp_path, train='{"ann": [0], "7": [1]}', test='{"ann": [1]}'))
    assert sorted(data['user'].id) == ['7', 'ann']


@pytest.mark.parametrize(
    ('train', 'message'),
    [
        ('{"0": [0, 2],\n "1": [1,', r"train\.json' line 2 column \d+ is no JSON"),
        ('[[0, 2]]', 'holds a list, expected an object'),
        ('{"0": [0], "0": [1]}', "holds the key '0' twice"),
        ('{"0": 5}', "gives user '0' a int"),
        ('{"0": ["x"]}', "gives user '0' the item 'x'"),
        ('{"0": [-1]}', "gives user '0' the item -1"),
        ('{"0": [true]}', "gives user '0' the item True"),
        ('', r"train\.json' line 1"),
    ],
)
def test_malformed_json(tmp_path, train, message):
    with pytest.raises(FormatError, match=message):
        read_mmssl(write(tmp_path, train=train))


def test_missing_and_empty(tmp_path):
    with pytest.raises(FormatError, match=r'train\.json.* is missing'):
        read_mmssl(tmp_path)
    with pytest.raises(FormatError, match='no items at all'):
        read_mmssl(write(tmp_path, train='{"0": []}', test='{}'))


def test_features_of_wrong_size(tmp_path):
    write(tmp_path)
    np.save(tmp_path / 'text_feat.npy', np.ones((2, 2)))
    with pytest.raises(FormatError, match=r'text_feat\.npy.* has 2 rows'):
        read_mmssl(tmp_path)


def test_real_data_through_this_format(tmp_path, data_root):
    table = pd.read_csv(data_root / 'tiktok' / 'interactions.csv.gz')
    for split, file in (('train', 'train'), ('valid', 'val'), ('test', 'test')):
        part = table[table['split'] == split].groupby('user')['item'].apply(list)
        (tmp_path / f'{file}.json').write_text(json.dumps({str(u): i for u, i in part.items()}))
    data = read_mmssl(tmp_path)
    assert (data['user'].num_nodes, data['item'].num_nodes) == (9308, 6710)
    counts = [split_edges(data, split).size(1) for split in ('train', 'valid', 'test')]
    assert counts == [59541, 3051, 6130]


def test_json_nested_without_end(tmp_path):
    for name in ('train.json', 'test.json'):
        (tmp_path / name).write_text('[' * 100_000)
    with pytest.raises(FormatError, match=r'train\.json'):
        read_mmssl(tmp_path)
