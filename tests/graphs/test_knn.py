import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrec.errors import GraphError
from graphrec.graphs import knn
from graphrec.graphs.knn import nearest_neighbours


def dense(x, k, self_loops=True):
    """Neighbours and similarities by the full matrix, one row after the other."""
    x = x.double()
    present = (x.abs().sum(1) > 0).tolist()
    x = x / x.norm(dim=1, keepdim=True)
    cosine = (x @ x.t()).tolist()
    index, value = [], []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if present[i] and present[j] and j != i]
        # Rounding off what float32 cannot tell apart leaves equal ones to their numbers.
        ranked = sorted((-round(cosine[i][j], 6), j) for j in others)
        row = ([(-1.0, i)] if self_loops else []) + ranked
        row = (row + [(0.0, -1)] * k)[:k]
        index.append([j for _, j in row])
        value.append([-s for s, _ in row])
    return torch.tensor(index), torch.tensor(value)


def check(graph, expected):
    assert torch.equal(graph.index, expected[0])
    torch.testing.assert_close(graph.similarity, expected[1], atol=2e-6, rtol=0)


@pytest.mark.parametrize('self_loops', [True, False])
@pytest.mark.parametrize('size', [32, 64, 4096])
def test_equals_the_full_matrix_in_any_blocks(self_loops, size):
    x = torch.randn(211, 6, generator=torch.Generator().manual_seed(1))
    x[[17, 200]] = 0
    for k in (1, 3, 40):
        graph = nearest_neighbours(x, k, self_loops=self_loops, block_size=size)
        check(graph, dense(x, k, self_loops))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 160),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([32, 4096]),
    st.integers(0, 2**31),
)
def test_ties_duplicates_and_zero_rows(n, kinds, self_loops, size, seed):
    generator = torch.Generator().manual_seed(seed)
    # Axes and diagonals of four dimensions: lengths 1 and 2, so every cosine is exact, and
    # few of them differ.
    table = torch.cat([torch.eye(4), -torch.eye(4), torch.ones(1, 4), torch.zeros(1, 4)])
    table = torch.cat([table, torch.tensor([[1.0, 1, -1, -1], [-1, 1, -1, 1]])])
    x = table[torch.randint([2, 10, 12][kinds], (n,), generator=generator)]
    most = n if self_loops else n - 1
    for k in {1, min(3, most), most}:
        graph = nearest_neighbours(x, k, self_loops=self_loops, block_size=size)
        check(graph, dense(x, k, self_loops))


def test_ties_across_groups_of_columns():
    # All different rows, all at right angles but to the last: chosen by number.
    x = torch.eye(200)
    x[199] = 1.0
    for size in (32, 4096):
        graph = nearest_neighbours(x, 4, block_size=size)
        assert graph.index[150].tolist() == [150, 199, 0, 1]
        assert graph.index[199].tolist() == [199, 0, 1, 2]


def test_many_copies_are_chosen_by_number():
    x = torch.randn(1, 300, generator=torch.Generator().manual_seed(0)).repeat(70, 1)
    x[40:] *= -1
    graph = nearest_neighbours(x, 4, block_size=32)
    assert graph.index[0].tolist() == [0, 1, 2, 3]
    assert graph.index[2].tolist() == [2, 0, 1, 3]
    assert graph.index[39].tolist() == [39, 0, 1, 2]
    assert graph.index[69].tolist() == [69, 40, 41, 42]
    assert torch.equal(graph.similarity, torch.ones(70, 4))


def test_copies_are_exactly_alike_whatever_the_rounding():
    x = torch.randn(40, 300, generator=torch.Generator().manual_seed(0)).repeat(3, 1)
    graph = nearest_neighbours(x, 3, block_size=64)
    assert torch.equal(graph.similarity, torch.ones(120, 3))
    expected = torch.arange(40) + torch.tensor([[0], [40], [80]])
    assert torch.equal(graph.index[:40].t(), expected)


def test_copies_need_more_than_k_rows_of_room():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    graph = nearest_neighbours(x, 3, self_loops=False)
    assert graph.index.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [2, 0, 1]]


def test_missing_rows_are_nobodys_neighbours():
    x = torch.eye(4)[[0, 0, 1, 1]] + 0.1
    x[3] = 0
    graph = nearest_neighbours(x, 3)
    assert graph.index.tolist() == [[0, 1, 2], [1, 0, 2], [2, 0, 1], [3, -1, -1]]
    assert graph.similarity[3].tolist() == [1.0, 0.0, 0.0]
    present = torch.tensor([True, False, True, True])
    graph = nearest_neighbours(x, 2, self_loops=False, present=present)
    assert graph.index.tolist() == [[2, -1], [-1, -1], [0, -1], [-1, -1]]
    nothing = nearest_neighbours(torch.zeros(3, 2), 2, self_loops=False)
    assert torch.equal(nothing.index, torch.full((3, 2), -1))


@pytest.mark.parametrize('scale', [1e-38, 1e-20, 1e30, 3e38])
def test_scale_does_not_matter(scale):
    x = torch.rand(40, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    graph = nearest_neighbours(x * scale, 6)
    check(graph, dense(x, 6))
    mixed = x * (10.0 ** torch.arange(-20, 20)).unsqueeze(1)
    check(nearest_neighbours(mixed, 6), dense(x, 6))


@pytest.mark.parametrize('dtype', [torch.float16, torch.float64])
def test_other_types(dtype):
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    check(nearest_neighbours(x, 5), dense(x, 5))
    assert nearest_neighbours(x, 5).similarity.dtype == torch.float32


def test_follows_a_permutation():
    generator = torch.Generator().manual_seed(0)
    x, order = torch.randn(90, 7, generator=generator), torch.randperm(90, generator=generator)
    before, after = nearest_neighbours(x, 8), nearest_neighbours(x[order], 8)
    assert torch.equal(order[after.index], before.index[order])


def test_memory_grows_with_blocks_and_not_with_their_square(monkeypatch):
    seen = []
    empty = torch.empty

    def spy(*size, **kwargs):
        seen.append(torch.Size(size).numel())
        return empty(*size, **kwargs)

    monkeypatch.setattr(knn.torch, 'empty', spy)
    nearest_neighbours(torch.randn(3000, 4), 5, block_size=256)
    assert seen
    assert max(seen) <= 256 * (256 + 32)


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        ({'k': 0}, "'k' needs to lie between 1 and 4"),
        ({'k': 5}, r'got 5'),
        ({'k': 4, 'self_loops': False}, 'between 1 and 3'),
        ({'backend': 'annoy'}, "'backend' must be one of"),
        ({'present': torch.ones(3, dtype=torch.bool)}, "'present' has shape"),
    ],
)
def test_errors_name_the_argument(arguments, word):
    with pytest.raises(GraphError, match=word):
        nearest_neighbours(torch.eye(4), **{'k': 2, **arguments})


def test_bad_features_are_refused():
    x = torch.eye(4)
    x[2, 1] = torch.nan
    with pytest.raises(GraphError, match='row 2'):
        nearest_neighbours(x, 2)
    with pytest.raises(GraphError, match="'x' has shape"):
        nearest_neighbours(torch.ones(3, 2, dtype=torch.long), 2)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_cuda_equals_cpu():
    x = torch.randn(500, 16)
    graph = nearest_neighbours(x.cuda(), 9, block_size=128)
    assert torch.equal(graph.index.cpu(), nearest_neighbours(x, 9).index)
