import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from graphrec.datasets.frames import from_frame, from_scipy
from graphrec.errors import GraphError
from graphrec.graphs.schema import HOLDOUT_TEST, HOLDOUT_VALID, INTERACTS, validate


def test_frame_with_names_of_ones_own():
    frame = pd.DataFrame(
        {'who': ['b', 'a', 'a'], 'what': [7, 7, 9], 'fold': ['train'] * 2 + ['test']}
    )
    data = from_frame(frame, user='who', item='what', split='fold', name='mine')
    assert data.name == 'mine'
    assert list(data['user'].id) == ['a', 'b']
    assert data[HOLDOUT_TEST].edge_index.tolist() == [[0], [1]]
    with pytest.raises(GraphError, match='user'):
        from_frame(frame)


@pytest.mark.parametrize('kind', ['csr_array', 'csc_matrix', 'coo_array', 'lil_array'])
def test_scipy_matrices(kind):
    make = getattr(scipy.sparse, kind)
    dense = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    held = np.array([[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    data = from_scipy(make(dense), test=make(held), valid=make(held[::-1]))
    validate(data)
    assert (data['user'].num_nodes, data['item'].num_nodes) == (3, 4)
    found = torch.zeros(3, 4, dtype=torch.long)
    found[tuple(data[INTERACTS].edge_index)] = 1
    assert found.tolist() == dense.tolist()
    assert data[HOLDOUT_TEST].edge_index.tolist() == [[0], [3]]
    assert data[HOLDOUT_VALID].edge_index.tolist() == [[2], [3]]
    assert 'rating' not in data[INTERACTS]


def test_scipy_values_ids_and_zeros():
    matrix = scipy.sparse.coo_array(([2.5, 0.0, 1.0], ([0, 0, 1], [0, 1, 1])), shape=(2, 2))
    data = from_scipy(matrix, user_ids=['z', 'a'], item_ids=[30, 10], name='tiny')
    assert data.repairs['explicit_zeros'] == 1
    user = np.asarray(data['user'].id)[data[INTERACTS].edge_index[0]]
    item = np.asarray(data['item'].id)[data[INTERACTS].edge_index[1]]
    found = set(zip(user.tolist(), item.tolist(), data[INTERACTS].rating.tolist(), strict=True))
    assert found == {('z', 30, 2.5), ('a', 10, 1.0)}


def test_scipy_split_of_ones_own():
    data = from_scipy(
        scipy.sparse.random_array((20, 30), density=0.5, rng=0), how='leave_one_out_random'
    )
    assert data[HOLDOUT_TEST].edge_index.size(1) == 20


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'matrix': np.eye(3)}, "'matrix' needs to be a scipy sparse matrix"),
        ({'test': scipy.sparse.eye_array(2)}, "'test' has shape"),
        ({'user_ids': [1, 2]}, "'user_ids'.*expected 3"),
        ({'item_ids': ['a', 'b', 'a']}, "'item_ids' holds 'a' twice"),
        ({'matrix': scipy.sparse.csr_array((3, 3))}, 'no entries'),
        ({'matrix': scipy.sparse.csr_array(np.diag([1, np.nan, 1]))}, 'NaN'),
    ],
)
def test_bad_matrices(kwargs, message):
    with pytest.raises(GraphError, match=message):
        from_scipy(**{'matrix': scipy.sparse.eye_array(3), **kwargs})
