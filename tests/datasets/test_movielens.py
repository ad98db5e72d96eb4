import pandas as pd
import pytest

from graphrec.datasets.movielens import read_movielens
from graphrec.errors import FormatError
from graphrec.graphs.schema import HOLDOUT_TEST, INTERACTS, validate

FLAGS = '|'.join('1' if n in (3, 5) else '0' for n in range(19))


def test_100k(tmp_path):
    folder = tmp_path / 'ml-100k'
    folder.mkdir()
    (folder / 'u.data').write_text('196\t242\t3\t881250949\n186\t302\t3\t891717742\n')
    (folder / 'u.user').write_text('186|39|F|executive|00000\n196|49|M|writer|55105\n')
    text = f'242|Été (1996)|31-Jan-1997||http://a/b?c|{FLAGS}\n302|Two|01-Jan-1997|||{FLAGS}\n'
    (folder / 'u.item').write_bytes(text.encode('latin-1'))
    data = read_movielens(tmp_path)
    validate(data)
    assert data.name == 'movielens-100k'
    assert data['user'].id.tolist() == [186, 196]
    assert data[INTERACTS].edge_index.tolist() == [[1, 0], [0, 1]]
    assert data[INTERACTS].time.tolist() == [881250949, 891717742]
    assert data['item'].title[0] == 'Été (1996)'
    assert data['item'].genres[0] == 'Animation|Comedy'
    assert data['user'].age.tolist() == [39, 49]
    assert data['user'].zip[0] == '00000'


def test_1m(tmp_path):
    (tmp_path / 'ratings.dat').write_text('1::1193::5::978300760\n1::661::3::978302109\n')
    (tmp_path / 'users.dat').write_text('1::F::1::10::48067\n')
    (tmp_path / 'movies.dat').write_bytes(
        "661::James: the Peach (1996)::Animation|Children's\n1193::Café::Drama\n".encode('latin-1')
    )
    data = read_movielens(tmp_path, min_rating=4)
    assert data[INTERACTS].edge_index.tolist() == [[0], [1]]
    assert list(data['item'].title) == ['James: the Peach (1996)', 'Café']
    assert data['user'].occupation.tolist() == [10]


def test_ratings_alone_with_a_split(tmp_path):
    (tmp_path / 'u.data').write_text(''.join(f'1\t{n}\t3\t{n}\n' for n in range(10)))
    data = read_movielens(tmp_path, how='leave_one_out')
    assert data[HOLDOUT_TEST].edge_index.tolist() == [[0], [9]]


@pytest.mark.parametrize(
    ('line', 'message'),
    [('1\t2\t3', 'line 2 has 3 fields, expected 4'), ('1\t2\tx\t4', "line 2 has rating 'x'")],
)
def test_malformed_lines(tmp_path, line, message):
    (tmp_path / 'u.data').write_text(f'1\t1\t1\t1\n{line}\n')
    with pytest.raises(FormatError, match=message):
        read_movielens(tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(FormatError, match=r'neither u\.data'):
        read_movielens(tmp_path)


def test_real_data_through_this_format(tmp_path, data_root):
    table = pd.read_csv(data_root / 'ml-100k' / 'interactions.csv.gz')
    table[['user', 'item', 'rating', 'timestamp']].to_csv(
        tmp_path / 'u.data', sep='\t', index=False, header=False
    )
    data = read_movielens(tmp_path)
    assert (data['user'].num_nodes, data['item'].num_nodes) == (943, 1682)
    assert data[INTERACTS].edge_index.size(1) == 100_000
