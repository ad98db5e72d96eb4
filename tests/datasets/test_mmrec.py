import numpy as np
import pandas as pd
import pytest
import torch

from graphrec.datasets.mmrec import read_mmrec
from graphrec.errors import FormatError, GraphError
from graphrec.graphs.schema import (
    HOLDOUT_TEST,
    HOLDOUT_VALID,
    INTERACTS,
    modalities,
    split_edges,
    validate,
)

ROWS = ['0\t0\t5.0\t10\t0', '0\t1\t4.0\t20\t2', '1\t2\t3.5\t5\t0', '1\t0\t1.0\t6\t1']
HEADER = 'userID\titemID\trating\ttimestamp\tx_label'


def write(folder, rows=ROWS, header=HEADER):
    (folder / 'toy.inter').write_text('\n'.join([header, *rows]) + '\n')
    return folder


def test_counts_splits_and_features(tmp_path):
    write(tmp_path)
    image = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / 'image_feat.npy', image)  # Item 3 has no interaction.
    np.save(tmp_path / 'text_feat.npy', np.ones((4, 2), dtype=np.float16))
    np.save(tmp_path / 'audio_feat.npy', np.ones((4, 1), dtype=np.float32))
    data = read_mmrec(tmp_path)
    validate(data)
    assert data.name == 'toy'
    assert (data['user'].num_nodes, data['item'].num_nodes) == (2, 4)
    assert data[INTERACTS].edge_index.tolist() == [[0, 1], [0, 2]]
    assert data[INTERACTS].rating.tolist() == [5.0, 3.5]
    assert data[INTERACTS].time.tolist() == [10, 5]
    assert data[HOLDOUT_VALID].edge_index.tolist() == [[1], [0]]
    assert data[HOLDOUT_TEST].edge_index.tolist() == [[0], [1]]
    assert modalities(data) == ['acoustic', 'text', 'visual']
    assert torch.equal(data['item'].x_visual, torch.from_numpy(image).float())


def test_id_mappings_become_columns(tmp_path):
    write(tmp_path)
    (tmp_path / 'i_id_mapping.csv').write_text('asin\titemID\nC\t2\nA\t0\nB\t1\n')
    (tmp_path / 'u_id_mapping.csv').write_text('user_id\tuserID\nann\t0\nbob\t1\n')
    data = read_mmrec(tmp_path / 'toy.inter')
    assert list(data['item'].asin) == ['A', 'B', 'C']
    assert list(data['user'].user_id) == ['ann', 'bob']


def test_string_ids_and_a_split_of_ones_own(tmp_path):
    rows = [f'u{n % 3}\ti{n}' for n in range(30)]
    write(tmp_path, rows, 'userID\titemID')
    assert read_mmrec(tmp_path)[INTERACTS].edge_index.size(1) == 30
    data = read_mmrec(tmp_path, how='leave_one_out_random', seed=1)
    assert split_edges(data, 'test').size(1) == 3
    assert sorted(data['user'].id) == ['u0', 'u1', 'u2']


@pytest.mark.parametrize(
    ('rows', 'header', 'message'),
    [
        (['0\t0\t5\t10'], HEADER, r"toy\.inter' line 2 has 4 fields, expected 5"),
        ([*ROWS, '1\t1\t2\t3\t0\t9'], HEADER, r'line 6 has 6 fields'),
        ([*ROWS[:2], '', ROWS[2]], HEADER, r'line 4 has 1 fields'),
        (['0\t0\t5\t10\t3'], HEADER, r"line 2 has x_label '3', expected 0"),
        (['0\t0\tgood\t10\t0'], HEADER, r"line 2 has rating 'good'"),
        (['0\t0\tnan\t10\t0'], HEADER, r"line 2 has rating 'nan'"),
        (ROWS, HEADER.replace('userID', 'user'), r"line 1 has no column 'userID'"),
        (ROWS, HEADER.replace('rating', 'itemID'), r"line 1 names the column 'itemID' twice"),
        ([], HEADER, 'no interactions'),
    ],
)
def test_malformed_lines(tmp_path, rows, header, message):
    with pytest.raises(FormatError, match=message):
        read_mmrec(write(tmp_path, rows, header))


def test_missing_files(tmp_path):
    with pytest.raises(FormatError, match=r'0 \.inter files'):
        read_mmrec(tmp_path)
    with pytest.raises(FormatError, match=r'no\.inter'):
        read_mmrec(tmp_path / 'no.inter')
    (tmp_path / 'toy.inter').write_text('')
    with pytest.raises(FormatError, match='is empty'):
        read_mmrec(tmp_path)
    (tmp_path / 'toy.inter').write_bytes(b'userID\titemID\n\xff\xfe\t0\n')
    with pytest.raises(FormatError, match='not utf-8'):
        read_mmrec(tmp_path)
    write(tmp_path)
    (tmp_path / 'other.inter').write_text(HEADER)
    with pytest.raises(FormatError, match=r'2 \.inter files'):
        read_mmrec(tmp_path)


def test_features_of_wrong_size(tmp_path):
    write(tmp_path)
    np.save(tmp_path / 'image_feat.npy', np.ones((2, 3)))
    with pytest.raises(FormatError, match=r'image_feat\.npy.* has 2 rows.*item 2.*needs 3 rows'):
        read_mmrec(tmp_path)
    np.save(tmp_path / 'image_feat.npy', np.ones((3, 3)))
    np.save(tmp_path / 'text_feat.npy', np.ones((4, 3)))
    with pytest.raises(FormatError, match=r'text_feat\.npy.* has 4 rows but .*image_feat'):
        read_mmrec(tmp_path)
    (tmp_path / 'text_feat.npy').unlink()
    (tmp_path / 'i_id_mapping.csv').write_text('asin\titemID\nA\t0\nB\t1\nC\t2\nD\t3\n')
    with pytest.raises(FormatError, match='needs 4 rows'):
        read_mmrec(tmp_path)


def test_features_that_are_no_matrix(tmp_path):
    write(tmp_path)
    path = tmp_path / 'image_feat.npy'
    np.save(path, np.ones((3, 3)))
    path.write_bytes(path.read_bytes()[:-8])  # Half-written.
    with pytest.raises(FormatError, match=r'image_feat\.npy'):
        read_mmrec(tmp_path)
    np.save(path, np.ones(3))
    with pytest.raises(FormatError, match='matrix of numbers'):
        read_mmrec(tmp_path)
    np.save(path, np.array([{'a': 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match=r'image_feat\.npy'):
        read_mmrec(tmp_path)
    np.save(path, np.array([[1.0], [np.nan], [2.0]]))
    with pytest.raises(GraphError, match='visual'):
        read_mmrec(tmp_path)
    assert not read_mmrec(tmp_path, repair_features=True)['item'].has_visual[1]


def test_repeated_mapping_line(tmp_path):
    write(tmp_path)
    (tmp_path / 'i_id_mapping.csv').write_text('asin\titemID\nA\t0\nB\t0\n')
    with pytest.raises(FormatError, match=r"i_id_mapping\.csv' line 3 describes itemID '0' a sec"):
        read_mmrec(tmp_path)


def test_real_data_through_this_format(tmp_path, data_root):
    table = pd.read_csv(data_root / 'tiktok' / 'interactions.csv.gz')
    label = table['split'].map({'train': 0, 'valid': 1, 'test': 2})
    inter = pd.DataFrame({'userID': table['user'], 'itemID': table['item'], 'x_label': label})
    inter.to_csv(tmp_path / 'tiktok.inter', sep='\t', index=False)
    features = np.load(data_root / 'tiktok' / 'item_visual.npy')
    np.save(tmp_path / 'image_feat.npy', features)
    data = read_mmrec(tmp_path)
    validate(data)
    assert (data['user'].num_nodes, data['item'].num_nodes) == (9308, 6710)
    counts = [split_edges(data, split).size(1) for split in ('train', 'valid', 'test')]
    assert counts == [59541, 3051, 6130]
    train = table[table['split'] == 'train']
    key = np.sort(train['user'].to_numpy() * 6710 + train['item'].to_numpy())
    edge_index = data[INTERACTS].edge_index
    assert np.array_equal(np.sort((edge_index[0] * 6710 + edge_index[1]).numpy()), key)
    assert torch.equal(data['item'].x_visual, torch.from_numpy(features).float())
