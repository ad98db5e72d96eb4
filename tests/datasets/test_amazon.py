import gzip
import json

import pytest

from graphrec.datasets.amazon import read_amazon
from graphrec.errors import FormatError
from graphrec.graphs.schema import INTERACTS, validate


def review(user, item, rating=5.0, time=1370000000, **more):
    return json.dumps(
        {'reviewerID': user, 'asin': item, 'overall': rating, 'unixReviewTime': time, **more}
    )


def write(folder, *lines):
    with gzip.open(folder / 'reviews_Toy_5.json.gz', 'wt', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')
    return folder


def test_reviews_of_2014(tmp_path):
    write(tmp_path, review('B', 'y', helpful=[0, 1]), review('A', 'x', 3, reviewText='ok\u2028'))
    data = read_amazon(tmp_path)
    validate(data)
    assert data.name == 'reviews_Toy_5'
    assert list(data['user'].id) == ['A', 'B']
    assert data[INTERACTS].edge_index.tolist() == [[1, 0], [1, 0]]
    assert data[INTERACTS].rating.tolist() == [5.0, 3.0]


def test_ratings_of_2023(tmp_path):
    path = tmp_path / 'Toys.csv'
    path.write_text('user_id,parent_asin,rating,timestamp\nA,x,4.0,1370000000500\n')
    data = read_amazon(path)
    assert data[INTERACTS].time.tolist() == [1370000000.5]


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('{"reviewerID": "A"', 'line 2 is no JSON'),
        ('{"reviewerID": "A"}', "line 2 has no 'asin'"),
        ('[1]', "line 2 has no 'reviewerID'"),
        (review('A', 'x', 'good'), "line 2 has rating 'good'"),
    ],
)
def test_malformed_lines(tmp_path, line, message):
    with pytest.raises(FormatError, match=message):
        read_amazon(write(tmp_path, review('B', 'y'), line))


def test_unreadable_and_missing(tmp_path):
    with pytest.raises(FormatError, match='expected one file of reviews'):
        read_amazon(tmp_path)
    path = write(tmp_path, *(review(f'u{n}', 'y') for n in range(200))) / 'reviews_Toy_5.json.gz'
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match='could not be read'):
        read_amazon(tmp_path)
    (tmp_path / 'bad.csv').write_text('user,item\n1,2\n')
    with pytest.raises(FormatError, match="no column 'user_id'"):
        read_amazon(tmp_path / 'bad.csv')
