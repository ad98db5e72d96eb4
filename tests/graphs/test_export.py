import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError, UnknownIdError
from graphrec.graphs.export import neighbourhood, to_networkx, to_scipy

TEST = ('user', 'holdout_test', 'item')
TRAIN = ('user', 'interacts', 'item')
VIEWS = ('user', 'views', 'item')


@pytest.fixture
def data():
    """ann - pen - bob - {cup, hat} - cyd; dan knows hat only in the test split."""
    graph = HeteroData()
    graph.name = 'toy'
    graph['user'].num_nodes = 4
    graph['user'].id = np.array(['ann', 'bob', 'cyd', 'dan'], dtype=object)
    graph['item'].num_nodes = 3
    graph['item'].id = np.array([10, 20, 30])
    graph['item'].title = np.array(['pen', 'cup', None], dtype=object)
    graph['item'].x_text = torch.ones(3, 2)
    graph['item'].has_text = torch.tensor([True, True, False])
    edge_index = torch.tensor([[0, 1, 1, 1, 2, 2], [0, 0, 1, 2, 1, 2]])
    graph[TRAIN].edge_index = edge_index
    graph[TRAIN].time = torch.tensor([5, 6, 7, 8, 9, 10])
    graph[TRAIN].rating = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 4.5])
    graph[TEST].edge_index = torch.tensor([[3], [2]])
    return graph


def test_whole_graph(data):
    graph = to_networkx(data)
    assert graph.number_of_nodes() == 7
    assert graph.number_of_edges() == 6
    assert graph.nodes['item', 10] == {
        'type': 'item',
        'id': 10,
        'bipartite': 1,
        'title': 'pen',
        'has_text': True,
    }
    assert type(next(n[1] for n in graph if n[0] == 'item')) is int
    assert graph.edges[('user', 'bob'), ('item', 30)] == {
        'relation': 'interacts',
        'time': 8,
        'rating': 4.0,
    }
    assert graph.degree['user', 'dan'] == 0  # Held-out edges stay out unless asked for.
    assert graph.graph == {'name': 'toy', 'num_hidden': 0}
    assert networkx.is_bipartite(graph)


def test_hops_count_edges(data):
    names = [
        {node[1] for node in to_networkx(data, around=('user', 'ann'), hops=hops)}
        for hops in range(4)
    ]
    assert names == [
        {'ann'},
        {'ann', 10},
        {'ann', 10, 'bob'},
        {'ann', 10, 'bob', 20, 30},
    ]
    graph = to_networkx(data, around=('user', 'ann'), hops=9)
    assert graph.nodes['user', 'cyd']['hop'] == 4
    assert ('user', 'dan') not in graph


def test_around_an_item_and_other_edge_types(data):
    assert set(to_networkx(data, ('item', 30), hops=1)) == {
        ('item', 30),
        ('user', 'bob'),
        ('user', 'cyd'),
    }
    both = to_networkx(data, ('item', 30), hops=1, edge_types=[TRAIN, TEST])
    assert both.edges[('user', 'dan'), ('item', 30)] == {'relation': 'holdout_test'}


def test_two_relations_between_a_pair(data):
    data[VIEWS].edge_index = torch.tensor([[0, 0], [0, 2]])
    graph = to_networkx(data, edge_types=[TRAIN, VIEWS])
    assert graph.edges[('user', 'ann'), ('item', 10)]['relation'] == 'interacts,views'
    assert graph.edges[('user', 'ann'), ('item', 30)]['relation'] == 'views'


def test_max_nodes_keeps_the_most_connected(data):
    found = neighbourhood(data, ('user', 'cyd'), hops=3, max_nodes=4)
    # 1 + 2 items + 1 user + 1 item reached; a place for each distance first.
    assert found.reached == [1, 2, 1, 1]
    assert found.num_hidden == 1
    assert found.nodes[0] == ('user', 2)
    graph = to_networkx(data, ('user', 'bob'), hops=1, max_nodes=3)
    assert set(graph) == {('user', 'bob'), ('item', 10), ('item', 20)}  # Ties: first ones.
    assert graph.graph['num_hidden'] == 1
    whole = to_networkx(data, max_nodes=2)
    assert set(whole) == {('user', 'bob'), ('user', 'cyd')}
    assert whole.graph['num_hidden'] == 5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 4), st.integers(1, 30))
def test_neighbourhood_equals_networkx(seed, hops, limit):
    generator = torch.Generator().manual_seed(seed)
    graph = HeteroData()
    graph['user'].num_nodes, graph['item'].num_nodes = 12, 9
    pairs = torch.randperm(108, generator=generator)[:25]
    graph[TRAIN].edge_index = torch.stack([pairs // 9, pairs % 9])
    expected = networkx.single_source_shortest_path_length(
        to_networkx(graph), ('user', 5), cutoff=hops
    )
    found = neighbourhood(graph, ('user', 5), hops=hops)
    assert dict(zip(found.nodes, found.hop, strict=True)) == expected
    small = neighbourhood(graph, ('user', 5), hops=hops, max_nodes=limit)
    assert len(small.nodes) <= limit
    assert sum(small.reached) == len(expected)
    part = to_networkx(graph, ('user', 5), hops=hops, max_nodes=limit)
    assert networkx.is_connected(part)
    assert all(expected[node] == hop for node, hop in zip(small.nodes, small.hop, strict=True))


def test_bad_arguments(data):
    with pytest.raises(UnknownIdError, match="'eve'"):
        to_networkx(data, around=('user', 'eve'))
    with pytest.raises(GraphError, match='node type'):
        to_networkx(data, around=('person', 'ann'))
    with pytest.raises(GraphError, match="'around'"):
        to_networkx(data, around='ann')
    with pytest.raises(GraphError, match="'hops'"):
        to_networkx(data, around=('user', 'ann'), hops=-1)
    with pytest.raises(GraphError, match="'max_nodes'"):
        to_networkx(data, around=('user', 'ann'), max_nodes=0)
    with pytest.raises(GraphError, match="'edge_types'"):
        to_networkx(data, edge_types=[('user', 'buys', 'item')])


def test_to_scipy(data):
    matrix = to_scipy(data)
    assert matrix.shape == (4, 3)
    assert matrix.dtype == np.float32
    assert matrix.toarray().tolist() == [[1, 0, 0], [1, 1, 1], [0, 1, 1], [0, 0, 0]]
    assert to_scipy(data, weight='rating').toarray()[1].tolist() == [2, 3, 4]
    assert to_scipy(data, 'test').toarray()[3].tolist() == [0, 0, 1]
    with pytest.raises(GraphError, match=r"'weight' is 'price'.*rating"):
        to_scipy(data, weight='price')
    with pytest.raises(GraphError, match="'split' is 'valid'"):
        to_scipy(data, 'valid')
