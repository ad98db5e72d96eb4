import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from graphrec.graphs.operators import Polynomial, Sparse
from graphrec.unlearn.stores import cached_forms_agree, entries, equal, leaves, storages

EDGES = torch.tensor([[0, 0, 1, 2], [1, 2, 0, 2]])


@dataclasses.dataclass
class Nested:
    x: torch.Tensor
    more: dict


class Slotted:
    __slots__ = ('x',)

    def __init__(self, x):
        self.x = x


def test_arrays_are_found_however_deep():
    module = torch.nn.Linear(3, 2)
    module.register_buffer('seen', torch.ones(2))
    module.cache = {'a': [Nested(torch.ones(1), {'b': (np.zeros(2), Slotted(torch.ones(1)))})]}
    module.sparse = scipy.sparse.eye(3).tocsr()
    module.frame = pd.DataFrame({'user': [1, 2]})
    module.lists = {7: [1, 2], 8: [3]}
    module.pairs = {(1, 2), (3, 4)}
    module.loop = module
    found = {leaf.path for leaf in leaves(module)}
    assert {
        'weight',
        'bias',
        'seen',
        'cache.a.0.x',
        'cache.a.0.more.b.0',
        'cache.a.0.more.b.1.x',
        'sparse',
        'frame.user',
        'lists.keys',
        'lists.7',
        'pairs',
    } <= found


def test_optimizer_state_and_operators():
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert any('exp_avg' in leaf.path for leaf in leaves(optimizer))
    op = Polynomial(Sparse.from_edges(EDGES, shape=(3, 3)), [0.5, 0.5])
    op @ torch.ones(3, 2)
    assert [leaf.path for leaf in leaves(op)] == ['op', 'shape']  # No work tables.


def test_entries_of_every_kind_of_graph():
    op = Sparse.from_edges(EDGES, shape=(3, 3))
    expected = EDGES.t().tolist()
    forms = [op, op.to_scipy(), EDGES, EDGES.t(), EDGES.numpy()]
    forms += [torch.sparse_coo_tensor(EDGES, torch.ones(4), (3, 3))]
    forms += [torch.sparse_coo_tensor(EDGES, torch.ones(4), (3, 3)).to_sparse_csr()]
    for form in forms:
        assert entries(form).t().tolist() == expected
    assert entries(torch.ones(2, 4)) is None
    assert entries(torch.ones(3, 4).long()) is None


def test_equal_is_bit_for_bit():
    x = torch.tensor([1.0, float('nan')])
    assert equal(x, x.clone())
    assert not equal(x, x.double())
    assert not equal(x, x + 1e-7)
    assert not equal(x, x.numpy())
    op = Sparse.from_edges(EDGES, shape=(3, 3))
    assert equal(op, Sparse.from_edges(EDGES.flip(1), shape=(3, 3)))
    assert not equal(op, Sparse.from_edges(EDGES[:, :3], shape=(3, 3)))
    assert equal(op.to_scipy(), op.to_scipy())


def test_shared_memory_is_seen_through_views_and_numpy():
    x = torch.ones(4, 3)
    held = storages(leaves({'view': x[1:], 'array': x.numpy()[2:], 'copy': x.clone(), 'n': [1, 2]}))
    assert len(held) == 2
    assert held.keys() & storages(leaves([x])).keys()


def test_a_stale_transpose_is_noticed():
    op = Sparse.from_edges(EDGES, shape=(3, 3))
    assert cached_forms_agree(op)
    op.T.weight[0] = 9.0
    assert not cached_forms_agree(op)
    with_blocks = Sparse.from_edges(EDGES, shape=(3, 3), symmetric=True)
    with_blocks._row_blocks(10)
    assert cached_forms_agree(with_blocks)
    with_blocks._blocks = Sparse.from_edges(EDGES[:, :3], shape=(3, 3))._row_blocks(10)
    assert not cached_forms_agree(with_blocks)


@pytest.mark.parametrize('value', ['text', 3, None, torch.float32, len])
def test_what_is_no_array_is_passed_over(value):
    assert list(leaves({'x': value})) == []
