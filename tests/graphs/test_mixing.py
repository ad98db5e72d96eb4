import pytest
import torch

from graphrec.errors import GraphError
from graphrec.graphs.knn import nearest_neighbours
from graphrec.graphs.mixing import mix
from graphrec.graphs.sparse import Sparse


def graphs(symmetrise='max'):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(20, 3, generator=generator) for _ in range(2))
    second[[4, 7]] = 0
    ways = {'symmetrise': symmetrise}
    return (
        nearest_neighbours(first, 4, self_loops=False).to_operator(**ways),
        nearest_neighbours(second, 4, self_loops=False).to_operator(**ways),
    )


def test_plain_sum_equals_dense():
    s, c = graphs()
    mixed = mix([s, c], [0.7, 0.3])
    expected = 0.7 * s.to_dense() + 0.3 * c.to_dense()
    torch.testing.assert_close(mixed.to_dense(), expected, atol=1e-7, rtol=0)
    assert mixed.nnz == int((expected != 0).sum())
    assert mixed.T is mixed
    assert torch.linalg.eigvalsh(mixed.to_dense()).abs().max() <= 1 + 1e-6
    x = torch.randn(20, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: mixed @ t, x)


def test_weights_of_zero_give_the_other_itself():
    s, c = graphs()
    assert mix([s, c], [1.0, 0.0]) is s
    assert mix([s, c], [0.0, 1.0], empty_rows='keep') is c


def test_rows_empty_in_one_keep_their_weight():
    s, c = graphs()
    mixed = mix([s, c], [0.5, 0.5], empty_rows='keep').to_dense()
    expected = 0.5 * s.to_dense() + 0.5 * c.to_dense()
    expected[[4, 7]] = s.to_dense()[[4, 7]]
    torch.testing.assert_close(mixed, expected, atol=1e-7, rtol=0)
    assert not torch.equal(mixed, mixed.t())
    shrunk = mix([s, c], [0.5, 0.5]).to_dense()
    torch.testing.assert_close(shrunk[4], 0.5 * s.to_dense()[4], atol=1e-7, rtol=0)


def test_a_transpose_that_is_no_copy_only_where_it_is_one():
    s, c = graphs('none')
    mixed = mix([s, c], [0.2, 0.8], empty_rows='keep')
    torch.testing.assert_close(mixed.T.to_dense(), mixed.to_dense().t())
    s, c = graphs()
    mixed = mix([s, c], [0.2, 0.8], empty_rows='keep')
    torch.testing.assert_close(mixed.T.to_dense(), mixed.to_dense().t())


def test_values_of_two_modalities():
    """LIRDRec: values in {w / k, (1 - w) / k, 1 / k}, rows sum to 1 and hold themselves."""
    generator = torch.Generator().manual_seed(1)
    first, second = (
        nearest_neighbours(torch.randn(30, 4, generator=generator), 5).to_operator()
        for _ in range(2)
    )
    mixed = mix([first, second], [0.1, 0.9])
    values = torch.tensor([0.02, 0.18, 0.2])
    assert bool(((mixed.weight.unsqueeze(1) - values).abs().min(1).values < 1e-6).all())
    torch.testing.assert_close(mixed @ torch.ones(30, 1), torch.ones(30, 1))
    assert mixed.nnz <= 2 * 5 * 30
    assert bool((mixed.to_dense().diagonal() > 0.19).all())


def test_bad_arguments():
    s, c = graphs()
    with pytest.raises(GraphError, match="'weights' has 1 entries for 2"):
        mix([s, c], [1.0])
    with pytest.raises(GraphError, match='must not be negative'):
        mix([s, c], [1.0, -0.1])
    with pytest.raises(GraphError, match="'empty_rows'"):
        mix([s, c], [1.0, 1.0], empty_rows='drop')
    small = Sparse.from_edges(torch.zeros(2, 1, dtype=torch.long), shape=(1, 1))
    with pytest.raises(GraphError, match='do not mix'):
        mix([s, small], [1.0, 1.0])
