import pytest
import torch

from graphrec.errors import GraphError
from graphrec.graphs.knn import nearest_neighbours
from graphrec.graphs.neighbours import NeighbourGraph


def binary(graph):
    """K: row i has a one at every neighbour of i."""
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    for i, row in enumerate(graph.index.tolist()):
        for j in row:
            if j >= 0:
                matrix[i, j] = 1
    return matrix


def cosines(graph):
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    for i, (row, values) in enumerate(
        zip(graph.index.tolist(), graph.similarity.tolist(), strict=True)
    ):
        for j, value in zip(row, values, strict=True):
            if j >= 0:
                matrix[i, j] = max(value, 0)
    return matrix


def normalised(matrix, how):
    degree = matrix.sum(1)
    if how == 'none':
        return matrix
    if how == 'row':
        return torch.where(degree > 0, 1 / degree, 0.0)[:, None] * matrix
    scale = torch.where(degree > 0, degree.rsqrt(), 0.0)
    return scale[:, None] * matrix * scale[None]


@pytest.fixture
def graph():
    x = torch.randn(14, 3, generator=torch.Generator().manual_seed(2))
    x[5] = 0
    x[9] = x[2]
    return nearest_neighbours(x, 4)


@pytest.mark.parametrize('normalisation', ['none', 'row', 'symmetric'])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('together', ['none', 'max', 'mean', 'mutual'])
def test_operator_equals_dense(graph, normalisation, weighted, together):
    matrix = cosines(graph) if weighted else binary(graph)
    if together == 'max':
        matrix = torch.maximum(matrix, matrix.t())
    elif together == 'mean':
        matrix = (matrix + matrix.t()) / 2
    elif together == 'mutual':
        matrix = torch.minimum(matrix, matrix.t())
    way = {'mutual': True} if together == 'mutual' else {'symmetrise': together}
    op = graph.to_operator(weighted=weighted, normalisation=normalisation, **way)
    expected = normalised(matrix, normalisation)
    torch.testing.assert_close(op.to_dense(), expected, atol=1e-6, rtol=0)
    x = torch.randn(14, 2, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(op.T @ x, expected.t() @ x, atol=1e-6, rtol=0)
    assert torch.autograd.gradcheck(lambda t: op @ t, x)
    if together != 'none':
        assert (op.T is op) == (normalisation != 'row')
    if together != 'none' and normalisation == 'symmetric':
        values = torch.linalg.eigvalsh(op.to_dense())
        assert values.abs().max() <= 1 + 1e-6


def test_every_row_has_exactly_k_ones(graph):
    matrix = graph.to_operator(normalisation='none').to_dense()
    assert set(matrix.unique().tolist()) == {0, 1}
    expected = torch.full((14,), 4.0, dtype=torch.float64)
    expected[5] = 1  # No features: itself only.
    assert torch.equal(matrix.sum(1), expected)
    assert torch.equal(matrix.diagonal(), torch.ones(14, dtype=torch.float64))


def test_values_of_freedom():
    """Every stored value is 1 / k and every row sums to 1, though rows are not symmetric."""
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    graph = nearest_neighbours(x, 5)
    for normalisation in ('symmetric', 'row'):
        op = graph.to_operator(normalisation=normalisation)
        torch.testing.assert_close(op.weight, torch.full((200,), 0.2))
        torch.testing.assert_close(op @ torch.ones(40, 1), torch.ones(40, 1))
    assert not torch.equal(op.to_dense(), op.to_dense().t())


def test_a_hub_sends_to_those_who_chose_it():
    # All points lie around the first, which is nearest to each but near none itself.
    angle = torch.arange(5) * 2 * torch.pi / 5
    around = torch.stack([torch.ones(5), angle.cos(), angle.sin()], 1)
    graph = nearest_neighbours(torch.cat([torch.tensor([[1.0, 0.0, 0.0]]), around]), 2)
    assert graph.index[1:, 1].tolist() == [0] * 5
    op = graph.to_operator()
    x = torch.zeros(6, 1)
    x[0] = 1.0
    assert (op @ x).flatten().tolist() == [0.5] * 6  # Not divided by the hub's in-degree.
    x = torch.zeros(6, 1)
    x[5] = 1.0
    assert (op @ x).flatten().tolist() == [0, 0, 0, 0, 0, 0.5]


def test_self_loops_are_added_and_removed(graph):
    own = torch.eye(14, dtype=torch.float64)
    without = graph.to_operator(self_loops=False, normalisation='none').to_dense()
    torch.testing.assert_close(without, binary(graph) - own)
    others = NeighbourGraph(graph.index[:, 1:], graph.similarity[:, 1:])
    again = others.to_operator(self_loops=True, normalisation='none').to_dense()
    torch.testing.assert_close(again, binary(graph))
    kept = others.to_operator(normalisation='none').to_dense()
    torch.testing.assert_close(kept, without)


def test_only_positive_similarities_on_demand():
    graph = nearest_neighbours(torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0]]), 3)
    assert graph.to_operator(normalisation='none').nnz == 9
    positive = graph.to_operator(normalisation='none', positive=True).to_dense()
    assert positive.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    weighted = graph.to_operator(normalisation='symmetric', weighted=True)
    assert torch.isfinite(weighted.weight).all()
    assert weighted.nnz == 5


def test_entries_in_any_order():
    row, col = torch.tensor([[2, 0, 2, 2, 0, 2], [0, 1, 1, 2, 2, 3]])
    value = torch.tensor([0.5, 0.1, 0.5, 0.2, 0.9, 0.7])
    graph = NeighbourGraph.from_entries(row, col, value, num_nodes=4, k=3)
    assert graph.index.tolist() == [[2, 1, -1], [-1, -1, -1], [2, 3, 0], [-1, -1, -1]]
    expected = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.0, 0.0], [1.0, 0.7, 0.5], [0.0, 0.0, 0.0]])
    assert torch.equal(graph.similarity, expected)


@pytest.mark.parametrize(
    ('index', 'similarity', 'word'),
    [
        ([[0, 1]], [[1.0]], r"'index' has shape \[1, 2\]"),
        ([[1, 0], [2, 0]], [[1.0, 1.0]] * 2, 'runs from 0 to 2 for 2 nodes'),
        ([[-2, 0], [1, 0]], [[1.0, 1.0]] * 2, 'runs from -2'),
        ([[0, 1], [1, 1]], [[1.0, 1.0]] * 2, 'names a node twice in row 1'),
        ([[0, 1], [1, 0]], [[1.0, 1.0], [1.0, torch.nan]], 'NaN or infinite .* row 1'),
    ],
)
def test_wrong_lists_are_refused(index, similarity, word):
    with pytest.raises(GraphError, match=word):
        NeighbourGraph(torch.tensor(index), torch.tensor(similarity))


@pytest.mark.parametrize('wrong', [{'normalisation': 'gcn'}, {'symmetrise': 'min'}])
def test_unknown_words_are_refused(graph, wrong):
    with pytest.raises(GraphError, match=next(iter(wrong))):
        graph.to_operator(**wrong)
