import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

import graphrec
from graphrec.errors import GraphError
from graphrec.graphs.knn import nearest_neighbours
from graphrec.graphs.semantic import (
    frozen_graph,
    frozen_modalities,
    semantic_graph,
    semantic_modalities,
)


@pytest.fixture
def data():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 2, 6
    data['user', 'interacts', 'item'].edge_index = torch.tensor([[0, 0, 1], [1, 2, 5]])
    data['item'].x_visual = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    data['item'].has_visual = torch.ones(6, dtype=torch.bool)
    return data


def freeze(data, index, similarity, name='image'):
    data['item'][f'knn_{name}_index'] = torch.tensor(index)
    data['item'][f'knn_{name}_similarity'] = torch.tensor(similarity)
    return data


@pytest.fixture
def frozen(data):
    nan = torch.nan
    index = [[2, 0, 1], [1, 0, -1], [0, 2, 1], [4, 5, 0], [4, 3, 5], [-1, -1, -1]]
    similarity = [
        [0.5, 1.0, 0.9],
        [1.0, nan, nan],
        [0.5, 1.0, 0.5],
        [nan, nan, nan],
        [1.0, nan, 0.4],
        [0.0, 0.0, nan],
    ]
    return freeze(data, index, similarity)


def test_features_are_searched(data):
    graph = semantic_graph(data, 'visual', 3)
    expected = nearest_neighbours(data['item'].x_visual, 3)
    assert torch.equal(graph.index, expected.index)
    assert torch.equal(graph.similarity, expected.similarity)


def test_an_item_that_lost_its_modality_is_nobodys_neighbour(data):
    data['item'].has_visual[4] = False
    graph = semantic_graph(data, 'visual', 3)
    assert graph.index[4].tolist() == [4, -1, -1]
    assert not (graph.index[[0, 1, 2, 3, 5]] == 4).any()
    assert torch.isfinite(graph.to_operator(weighted=True).weight).all()


def test_zero_features_give_no_nan(data):
    data['item'].x_visual[[1, 3]] = 0
    for self_loops in (True, False):
        op = semantic_graph(data, 'visual', 2, self_loops=self_loops).to_operator(weighted=True)
        assert torch.isfinite(op.weight).all()
        row = op.to_dense()[1]
        assert row[1] == float(self_loops)
        assert row.sum() == float(self_loops)


def test_frozen_rows_are_put_in_order(frozen):
    graph = frozen_graph(frozen, 'image')
    assert graph.index.tolist() == [
        [0, 1, 2],
        [1, 0, -1],
        [2, 0, 1],  # Equal ones by number.
        [0, 4, 5],
        [4, 3, 5],
        [-1, -1, -1],
    ]
    expected = [[1.0, 0.9, 0.5], [1.0, 1.0, 0.0], [1.0, 0.5, 0.5], [1.0, 1.0, 1.0]]
    expected += [[1.0, 0.7, 0.4], [0.0, 0.0, 0.0]]  # 0.7 is the mean of 1.0 and 0.4.
    torch.testing.assert_close(graph.similarity, torch.tensor(expected))


def test_frozen_with_and_without_itself(frozen):
    graph = frozen_graph(frozen, 'image', 2, self_loops=True)
    assert graph.index.tolist() == [[0, 1], [1, 0], [2, 0], [3, 0], [4, 3], [5, -1]]
    graph = semantic_graph(frozen, 'image', 3, self_loops=False)
    assert graph.index.tolist()[:4] == [[1, 2, -1], [0, -1, -1], [0, 1, -1], [0, 4, 5]]


def test_a_frozen_graph_follows_a_lost_modality(frozen):
    frozen['item'].has_image = torch.tensor([False, True, True, True, True, True])
    graph = semantic_graph(frozen, 'image', 3)
    assert graph.index.tolist()[:4] == [[0, -1, -1], [1, -1, -1], [2, 1, -1], [3, 4, 5]]


def test_sources(frozen):
    freeze(frozen, [[i, (i + 1) % 6] for i in range(6)], [[1.0, 0.5]] * 6, 'visual')
    computed = semantic_graph(frozen, 'visual', 2, source='features')
    assert torch.equal(semantic_graph(frozen, 'visual', 2).index, computed.index)
    stored = semantic_graph(frozen, 'visual', 2, source='frozen')
    assert stored.index[:, 1].tolist() == [1, 2, 3, 4, 5, 0]
    frozen['item'].x_image_spectral = torch.ones(6, 2)
    assert frozen_modalities(frozen) == ['image', 'visual']
    assert semantic_modalities(frozen) == ['image', 'visual']


def test_no_edge_is_read(data):
    before = semantic_graph(data, 'visual', 3)
    del data['user', 'interacts', 'item']
    assert torch.equal(semantic_graph(data, 'visual', 3).index, before.index)


def test_errors_say_what_there_is(frozen):
    with pytest.raises(GraphError, match=r"'modality' is 'text'.*\['visual'\].*\['image'\]"):
        semantic_graph(frozen, 'text')
    with pytest.raises(GraphError, match="'modality' is 'image'"):
        semantic_graph(frozen, 'image', source='features')
    with pytest.raises(GraphError, match="'source' must be one of"):
        semantic_graph(frozen, 'visual', source='file')
    with pytest.raises(GraphError, match="'k' is 4, but the frozen graph of 'image' holds 3"):
        semantic_graph(frozen, 'image', 4)
    with pytest.raises(GraphError, match="'k' needs to lie between 1 and 6"):
        semantic_graph(frozen, 'image', 7)
    frozen['item'].knn_image_similarity = frozen['item'].knn_image_similarity[:, :2]
    with pytest.raises(GraphError, match='has shapes'):
        frozen_graph(frozen, 'image')


def test_a_real_frozen_graph_is_read_as_it_stands(data_root):
    data = graphrec.load(data_root / 'amazon-baby')
    assert semantic_modalities(data) == ['image', 'text']
    stored = np.load(data_root / 'amazon-baby' / 'item_text_knn.npz')
    graph = semantic_graph(data, 'text', 10, source='frozen')
    as_stored = frozen_graph(data, 'text')
    assert np.array_equal(np.sort(as_stored.index.numpy()), np.sort(stored['index']))
    assert torch.equal(graph.index[:, 0], torch.arange(7050))
    assert bool((graph.index >= 0).all())
    assert bool((as_stored.similarity > 0).all())
    falling = as_stored.similarity[:, 1:].diff(dim=1)
    assert bool((falling <= 0).all())
    known = np.isfinite(stored['similarity'])
    total = as_stored.similarity.numpy()[known.all(1)].sum()
    assert np.isclose(total, stored['similarity'][known.all(1)].astype(np.float64).sum(), rtol=1e-4)
