import sys

import pytest
import torch

from graphrec.errors import GraphError
from graphrec.graphs.knn import nearest_neighbours


def clustered(n, d):
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(40, d, generator=generator)
    which = torch.randint(40, (n,), generator=generator)
    return centre[which] + 0.7 * torch.randn(n, d, generator=generator)


def shared(a, b):
    return (a.index.unsqueeze(2) == b.index.unsqueeze(1)).any(2).float()[:, 1:].mean()


def test_agrees_with_exact_search_to_the_recall_asked_for():
    pytest.importorskip('faiss')
    x = clustered(6000, 16)
    exact = nearest_neighbours(x, 11)
    loose = nearest_neighbours(x, 11, backend='faiss', min_recall=0.5)
    tight = nearest_neighbours(x, 11, backend='faiss', min_recall=0.98)
    assert exact.recall == 1.0
    assert 0.5 <= loose.recall < tight.recall
    # Measured on a sample of 256: 2,560 neighbours, three standard deviations.
    for graph in (loose, tight):
        spread = 3 * (graph.recall * (1 - graph.recall) / 256) ** 0.5
        assert abs(float(shared(graph, exact)) - graph.recall) <= spread + 1e-3
    assert torch.equal(tight.index[:, 0], torch.arange(6000))


def test_full_recall_is_exact_search():
    pytest.importorskip('faiss')
    x = clustered(700, 8)
    x[5], x[6], x[30] = x[4], x[4], 0
    exact = nearest_neighbours(x, 5, self_loops=False)
    graph = nearest_neighbours(x, 5, self_loops=False, backend='faiss', min_recall=1.0)
    assert graph.recall == 1.0
    assert (graph.index == exact.index).float().mean() > 0.99  # But for rounding.
    assert graph.index[5].tolist()[:2] == [4, 6]
    assert torch.equal(graph.index[30], torch.full((5,), -1))
    torch.testing.assert_close(graph.similarity, exact.similarity)


def test_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'faiss', None)
    with pytest.raises(GraphError, match=r'pip install graphrec\[faiss\]'):
        nearest_neighbours(torch.eye(4), 2, backend='faiss')


def test_recall_out_of_range():
    with pytest.raises(GraphError, match="'min_recall'"):
        nearest_neighbours(torch.eye(4), 2, backend='faiss', min_recall=0.0)
