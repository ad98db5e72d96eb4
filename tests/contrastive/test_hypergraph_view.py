import pytest
import torch

from graphrec.contrastive import Bipartite, HypergraphView, propagate
from graphrec.errors import GraphError
from graphrec.graphs import learned_hyperedges

USERS, ITEMS, DIM = 6, 5, 4


def run(view, x, seed=0):
    generator = torch.Generator().manual_seed(seed)
    graph = Bipartite(torch.zeros(2, 0, dtype=torch.long), USERS, ITEMS)
    operators = view.operators(graph, 1, generator)
    return propagate(view, operators, x, 1, generator, main=[2 * x])[1]


@pytest.fixture
def x():
    return torch.randn(USERS + ITEMS, DIM, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize('slope', [1.0, 0.5])
def test_equals_the_dense_hypergraph(x, slope):
    view = HypergraphView(USERS, DIM, 3, dropout=0.0, negative_slope=slope).double()
    out = run(view, x)

    def act(matrix):
        return torch.where(matrix > 0, matrix, slope * matrix)

    for rows, weight in (
        (slice(0, USERS), view.user_weight),
        (slice(USERS, None), view.item_weight),
    ):
        h = x[rows] @ weight
        torch.testing.assert_close(out[rows], act(h @ act(h.t() @ (2 * x[rows]))))


def test_gradient_reaches_embeddings_and_hyperedges(x):
    view = HypergraphView(USERS, DIM, 3, dropout=0.0).double()
    x.requires_grad_()

    def loss(x, user_weight, item_weight):
        weights = {'user_weight': user_weight, 'item_weight': item_weight}
        return torch.func.functional_call(
            Layer(view), {f'view.{k}': v for k, v in weights.items()}, (x,)
        )

    assert torch.autograd.gradcheck(loss, (x, view.user_weight, view.item_weight))


class Layer(torch.nn.Module):
    def __init__(self, view):
        super().__init__()
        self.view = view

    def forward(self, x):
        return run(self.view, x)


def test_dropout_is_for_training_and_keeps_the_expectation(x):
    view = HypergraphView(USERS, DIM, 3, dropout=0.5).double()
    assert not torch.equal(run(view, x), run(view, x, seed=1))
    assert torch.equal(run(view, x), run(view, x))
    source, weight = torch.Generator().manual_seed(0), torch.eye(DIM).double()
    mean = sum(learned_hyperedges(x, weight, 0.5, source) for _ in range(4000)) / 4000
    assert float((mean - x).abs().max()) < 0.12
    exact = run(view.eval(), x)
    assert torch.equal(exact, run(view, x, seed=1))


def test_seed_and_range():
    first, second = HypergraphView(USERS, DIM, seed=1), HypergraphView(USERS, DIM, seed=1)
    assert torch.equal(first.user_weight, second.user_weight)
    assert not torch.equal(first.user_weight, first.item_weight)
    with pytest.raises(GraphError, match='num_hyperedges'):
        HypergraphView(USERS, DIM, 0)
