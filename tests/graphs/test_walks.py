import itertools

import numpy as np
import pytest
import scipy.sparse

from graphrec.graphs.walks import count_walks, strongest_walks


def every_walk(dense, start, length):
    """All walks of a length along non-zero entries, with their products."""
    for rest in itertools.product(range(len(dense)), repeat=length):
        nodes = (start, *rest)
        steps = [dense[a, b] for a, b in itertools.pairwise(nodes)]
        if all(steps):
            yield nodes, float(np.prod(steps))


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('length', [1, 2, 3])
def test_strongest_walks_equal_listing_them_all(seed, length):
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(6, 6)) * (rng.random((6, 6)) < 0.5)
    match = rng.normal(size=6)
    matrix = scipy.sparse.csr_matrix(dense)
    walks = list(every_walk(dense, 2, length))
    expected = sorted((abs(w * match[n[-1]]) for n, w in walks), reverse=True)
    found = strongest_walks(matrix, 2, match, length, count=7)
    weights = dict(walks)
    assert len({walk.nodes for walk in found}) == len(found)
    assert all(walk.weight == pytest.approx(weights[walk.nodes]) for walk in found)
    value = [abs(walk.weight * match[walk.nodes[-1]]) for walk in found]
    assert value == pytest.approx(expected[:7])


def test_count_walks():
    dense = np.array([[0, 0.5, 2.0], [0.5, 0, 0], [2.0, 0, 0]])
    matrix = scipy.sparse.csr_matrix(dense)
    expected = sum(len(list(every_walk(dense, 0, length))) for length in (1, 2, 3))
    assert count_walks(matrix, 0, 3) == expected == 2 + 2 + 4
    assert count_walks(matrix, 0, 0) == 0


def test_a_node_without_edges_has_no_walks():
    matrix = scipy.sparse.csr_matrix((3, 3))
    assert strongest_walks(matrix, 1, np.ones(3), 2, 5) == []
    assert count_walks(matrix, 1, 3) == 0
