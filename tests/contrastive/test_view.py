import pytest
import torch

from graphrec.contrastive import (
    Bipartite,
    DegreeEdgeDrop,
    EdgeDrop,
    FeatureMask,
    HypergraphView,
    ModulusNoise,
    NodeDrop,
    RandomWalk,
    SVDView,
    UniformNoise,
    View,
    propagate,
    readout,
)
from graphrec.errors import GraphError
from graphrec.graphs.operators import Polynomial, bipartite_adjacency

USERS, ITEMS, LAYERS = 9, 7, 3
STRENGTH = {
    EdgeDrop: 0.4,
    NodeDrop: 0.3,
    RandomWalk: 0.4,
    DegreeEdgeDrop: 0.4,
    UniformNoise: 0.1,
    ModulusNoise: 0.1,
    FeatureMask: 0.5,
}
views = pytest.mark.parametrize('view_class', STRENGTH)


@pytest.fixture
def graph():
    dense = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(1)) < 0.5
    dense[8] = False  # A user without edges.
    return Bipartite(dense.nonzero().t().contiguous(), USERS, ITEMS)


@pytest.fixture
def x():
    return torch.randn(USERS + ITEMS, 4, generator=torch.Generator().manual_seed(2))


def run(view, graph, x, seed=0, main=None):
    generator = torch.Generator().manual_seed(seed)
    operators = view.operators(graph, LAYERS, generator)
    return torch.stack(propagate(view, operators, x, LAYERS, generator, main))


@views
def test_strength_zero_is_the_plain_pass(view_class, graph, x):
    plain = run(View(), graph, x)
    assert torch.equal(run(view_class(0.0), graph, x), plain)
    assert not torch.equal(run(view_class(STRENGTH[view_class]), graph, x), plain)


@views
def test_a_seed_is_a_view(view_class, graph, x):
    view = view_class(STRENGTH[view_class])
    assert torch.equal(run(view, graph, x), run(view, graph, x))
    assert not torch.equal(run(view, graph, x), run(view, graph, x, seed=1))


def test_plain_pass_is_the_powers_of_the_adjacency(graph, x):
    weights = [0.1, 0.2, 0.3, 0.4]
    expected = Polynomial(bipartite_adjacency(*graph), weights) @ x
    torch.testing.assert_close(readout(run(View(), graph, x).unbind(), weights), expected)
    assert View().is_linear
    assert View().keeps_graph


def test_readout_leaves_layers_out():
    nan, one = torch.full((2, 1), torch.nan), torch.ones(2, 1)
    assert torch.equal(readout([nan, one, one], [0.0, 0.5, 1.0]), torch.full((2, 1), 1.5))
    assert torch.equal(readout([one], [0.0]), torch.zeros(2, 1))


@views
def test_what_a_view_says_of_itself(view_class):
    on_graph = {EdgeDrop, NodeDrop, RandomWalk, DegreeEdgeDrop}
    view = view_class(0.1)
    assert view.is_linear == (view_class in on_graph)
    assert view.keeps_graph == (view_class not in on_graph)


@pytest.mark.parametrize('view', [SVDView(2), HypergraphView(USERS, 4, 3)])
def test_views_of_the_main_pass_read_its_layers(view, graph, x):
    assert not view.is_linear
    with pytest.raises(GraphError, match='main'):
        run(view, graph, x)
    main = run(View(), graph, x)
    before = run(view, graph, x, main=main.unbind())
    main[1] += 1  # Read by layer 2 alone.
    after = run(view, graph, x, main=main.unbind())
    assert torch.equal(before[[0, 1, 3]], after[[0, 1, 3]])
    assert not torch.equal(before[2], after[2])


def test_wrong_number_of_operators(x):
    with pytest.raises(GraphError, match='expected 1 or 3'):
        propagate(View(), [None, None], x, 3, torch.Generator())


@views
def test_range(view_class):
    with pytest.raises(GraphError, match=r'got -0\.1'):
        view_class(-0.1)
