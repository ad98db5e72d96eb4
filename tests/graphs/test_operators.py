import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.operators import (
    Diagonal,
    Identity,
    Polynomial,
    Product,
    Sparse,
    bipartite_adjacency,
    interaction_operator,
    normalized_adjacency,
)


@st.composite
def sparse_and_dense(draw):
    """A random sparse operator, duplicates and empty rows included, and its matrix."""
    n, m = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    size = draw(st.integers(0, 20)) if n and m else 0
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    row = torch.randint(max(n, 1), (size,), generator=generator)
    col = torch.randint(max(m, 1), (size,), generator=generator)
    weight = torch.randn(size, generator=generator, dtype=torch.float64)
    dense = torch.zeros(n, m, dtype=torch.float64)
    dense.index_put_((row, col), weight, accumulate=True)
    return Sparse.from_edges(torch.stack([row, col]), weight, shape=(n, m)), dense


@settings(max_examples=60, deadline=None)
@given(sparse_and_dense(), st.integers(0, 5))
def test_sparse_equals_dense(pair, d):
    op, dense = pair
    x = torch.randn(op.shape[1], d, dtype=torch.float64)
    torch.testing.assert_close(op @ x, dense @ x)
    y = torch.randn(op.shape[0], d, dtype=torch.float64)
    torch.testing.assert_close(op.T @ y, dense.t() @ y)
    torch.testing.assert_close(op.to_dense(), dense)
    assert op.T.T is op


@settings(max_examples=40, deadline=None)
@given(sparse_and_dense())
def test_algebra_equals_dense(pair):
    op, dense = pair
    n, m = op.shape
    x = torch.randn(n, 3, dtype=torch.float64)
    scale = torch.randn(n, dtype=torch.float64)
    gram = op @ op.T
    left = Diagonal(scale) @ (gram - Diagonal(scale) + 2 * Identity(n))
    expected = torch.diag(scale) @ (dense @ dense.t() - torch.diag(scale) + 2 * torch.eye(n))
    torch.testing.assert_close(left @ x, expected @ x)
    torch.testing.assert_close(left.T @ x, expected.t() @ x)
    torch.testing.assert_close((-op) @ torch.ones(m, dtype=torch.float64), -dense.sum(1))


def test_gradients():
    edge_index = torch.tensor([[0, 0, 2, 2], [1, 3, 0, 0]])
    op = Sparse.from_edges(edge_index, torch.rand(4, dtype=torch.float64), shape=(3, 4))
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: op @ t, x)
    assert torch.autograd.gradgradcheck(lambda t: (op @ t).square(), x)
    square = Polynomial(op.T @ op, [0.2, 0.0, 0.5])
    assert torch.autograd.gradcheck(lambda t: square @ t, x)


@pytest.mark.parametrize('coefficients', [[1.0], [0.5, 0.5], [0.0, 0.0, 1.0], [0.3, 0.2, 0.0]])
def test_polynomial_equals_powers(coefficients):
    a = torch.randn(5, 5, dtype=torch.float64)
    index = torch.cartesian_prod(torch.arange(5), torch.arange(5)).t()
    op = Polynomial(Sparse.from_edges(index, a.flatten(), shape=(5, 5)), coefficients)
    expected = sum(c * torch.linalg.matrix_power(a, p) for p, c in enumerate(coefficients))
    x = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(op @ x, expected @ x)
    torch.testing.assert_close(op.T @ x, expected.t() @ x)
    values = torch.randn(3, 2, dtype=torch.float64)
    scattered = torch.zeros(5, 2, dtype=torch.float64)
    scattered[4], scattered[0] = values[0] + values[2], values[1]
    rows = torch.tensor([4, 0, 4])
    torch.testing.assert_close(op.apply_scattered(values, rows), expected @ scattered)
    torch.testing.assert_close(op.apply_rows(x, rows), (expected @ x)[rows])


@pytest.mark.parametrize('rows', [[3, 90, 3], list(range(100))])
def test_rows_of_a_polynomial_whether_few_or_all(rows):
    index = torch.randint(100, (2, 800), generator=torch.Generator().manual_seed(0))
    op = Polynomial(Sparse.from_edges(index, shape=(100, 100)), [0.1, 0.0, 0.3, 0.2])
    assert (op.op.num_entries(torch.tensor(rows)) > 0.5 * 800) == (len(rows) == 100)
    x = torch.randn(100, 4, dtype=torch.float64)
    for _ in range(2):  # The second time on tables of the first.
        torch.testing.assert_close(op.apply_rows(x, torch.tensor(rows)), (op @ x)[rows])


def test_polynomial_reuses_no_table_that_it_gave_out():
    op = Polynomial(Sparse.from_edges(torch.tensor([[0, 1], [1, 0]]), shape=(2, 2)), [1.0] * 4)
    x = torch.tensor([[1.0], [2.0]])
    first = op @ x
    kept = first.clone()
    with torch.inference_mode():
        op @ (2 * x)
    second = op @ (3 * x)
    assert torch.equal(first, kept)
    torch.testing.assert_close(second, 3 * kept)


def test_multiply_add_in_blocks_equals_dense():
    generator = torch.Generator().manual_seed(0)
    row = torch.randint(20000, (50000,), generator=generator)  # 10 MB of output: 3 blocks.
    col = torch.randint(300, (50000,), generator=generator)
    op = Sparse.from_edges(torch.stack([row, col]), shape=(20000, 300))
    h = torch.randn(300, 128, generator=generator)
    x = torch.randn(20000, 128, generator=generator)
    out = op.multiply_add(h, x, 0.5, torch.empty_like(x))
    assert torch.equal(out, op.apply(h) + 0.5 * x)


@settings(max_examples=40, deadline=None)
@given(sparse_and_dense())
def test_scale_and_sums_with_diagonals_equal_dense(pair):
    op, dense = pair
    rows = torch.randn(op.shape[0], dtype=torch.float64)
    cols = torch.randn(op.shape[1], dtype=torch.float64)
    for r, c in ((rows, cols), (rows, None), (None, cols)):
        scaled = op.scale(r, c)
        expected = dense if r is None else rows[:, None] * dense
        expected = expected if c is None else expected * cols
        torch.testing.assert_close(scaled.to_dense(), expected)
        torch.testing.assert_close(scaled.T.to_dense(), expected.t())
        assert scaled.T.T is scaled
    torch.testing.assert_close(op.to_dense(), dense)
    gram = dense @ dense.t() + torch.diag(rows)
    torch.testing.assert_close((op @ op.T + Diagonal(rows)).to_dense(), gram)


def test_select_rows():
    edge_index = torch.tensor([[0, 0, 2, 3], [1, 3, 0, 2]])
    op = Sparse.from_edges(edge_index, torch.arange(4.0), shape=(4, 4))
    index = torch.tensor([3, 1, 0, 3])
    assert torch.equal(op.select_rows(index).to_dense(), op.to_dense()[index])


def graph(edges, users, items):
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = users, items
    data['user', 'interacts', 'item'].edge_index = torch.tensor(edges).t().contiguous()
    return data


def test_normalized_adjacency_equals_dense():
    data = graph([[2, 0], [0, 1], [0, 0]], users=3, items=3)  # User 1 and item 2 are isolated.
    dense = torch.zeros(6, 6, dtype=torch.float64)
    for user, item in [(0, 0), (0, 1), (2, 0)]:
        dense[user, 3 + item] = dense[3 + item, user] = 1
    degree = dense.sum(1).clamp(min=1).rsqrt()
    expected = degree[:, None] * dense * degree[None]
    op = normalized_adjacency(data)
    torch.testing.assert_close(op.to_dense(), expected, atol=1e-7, rtol=0)
    assert op.T is op
    root = dense.sum(1).sqrt()  # The leading eigenvector of the normalised adjacency.
    torch.testing.assert_close(op @ root, root, atol=1e-6, rtol=0)
    assert torch.equal(interaction_operator(data).to_dense(), dense[:3, 3:])


def test_normalized_adjacency_ignores_held_out_edges():
    data = graph([[0, 0], [1, 1]], users=2, items=2)
    before = normalized_adjacency(data).to_dense()
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor([[0], [1]])
    assert torch.equal(normalized_adjacency(data).to_dense(), before)


def test_bipartite_adjacency_without_edges():
    op = bipartite_adjacency(torch.zeros(2, 0, dtype=torch.long), 2, 3)
    assert torch.equal(op @ torch.ones(5, 2), torch.zeros(5, 2))


def test_low_precision_option():
    data = graph([[u, i] for u in range(20) for i in range(15) if (u * i) % 3], 20, 15)
    op, x = normalized_adjacency(data), torch.randn(35, 8)
    low = op.to(dtype=torch.bfloat16) @ x
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, op @ x, atol=3e-2, rtol=3e-2)
    assert not torch.equal(low, op @ x)


def test_half_the_index_bytes():
    op = normalized_adjacency(graph([[0, 0]], 1, 1))
    assert op.col.dtype == torch.int32
    assert op.nbytes == (3 + 2 + 2) * 4


def test_scipy_round_trip():
    op = Sparse.from_edges(torch.tensor([[0, 1], [2, 0]]), torch.tensor([2.0, 3.0]), shape=(2, 3))
    again = Sparse.from_scipy(op.to_scipy())
    assert torch.equal(op.to_dense(), again.to_dense())


def test_errors_name_the_argument():
    op = Sparse.from_edges(torch.tensor([[0], [1]]), shape=(2, 3))
    with pytest.raises(GraphError, match=r"'x' has shape \[2, 4\], expected \[3, d\]"):
        op @ torch.zeros(2, 4)
    with pytest.raises(GraphError, match=r'\[2, 3\] and \[2, 3\] do not multiply'):
        Product([op, op])
    with pytest.raises(GraphError, match='do not add up'):
        op + op.T
    with pytest.raises(GraphError, match="'weight' has 3 entries for 1"):
        Sparse(op.rowptr, op.col, torch.ones(3), num_cols=3)
    with pytest.raises(GraphError, match="'rowptr'"):
        Sparse(torch.tensor([0, 5]), op.col, num_cols=3)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_cuda_equals_cpu():
    op = normalized_adjacency(graph([[u, i] for u in range(9) for i in range(u + 1)], 9, 9))
    x = torch.randn(18, 16)
    out = op.to('cuda') @ x.cuda()
    torch.testing.assert_close(out.cpu(), op @ x, atol=1e-6, rtol=1e-5)


def test_factors_have_double_precision():
    x = torch.ones(2, 1, dtype=torch.float64)
    assert torch.equal((0.1 * Identity(2)) @ x, 0.1 * x)


def test_whole_numbers_are_refused():
    for op in (Diagonal(torch.tensor([0.5])), Identity(1)):
        with pytest.raises(GraphError, match=r"'x' has type torch.int64"):
            op @ torch.ones(1, 1, dtype=torch.long)


@pytest.mark.parametrize('edges', [[[0, 5], [0, 1]], [[0, 1], [0, 7]], [[0, -1], [0, 1]]])
def test_edges_outside_the_shape_are_refused(edges):
    with pytest.raises(GraphError, match='but the matrix has 3'):
        Sparse.from_edges(torch.tensor(edges), shape=(3, 3))


def test_division():
    op = Sparse.from_edges(torch.tensor([[0], [1]]), shape=(2, 2))
    assert torch.equal((op / 4).to_dense(), op.to_dense() / 4)
