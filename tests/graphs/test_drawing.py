import re

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError, UnknownIdError
from graphrec.graphs.drawing import draw_neighbourhood

FRIEND = ('user', 'knows', 'user')


@pytest.fixture
def data():
    graph = HeteroData()
    graph.name = 'toy'
    graph['user'].num_nodes, graph['item'].num_nodes = 60, 50
    graph['item'].title = np.array([f'Thing ${n}$' for n in range(50)], dtype=object)
    user = torch.arange(60).repeat_interleave(50)
    item = torch.arange(50).repeat(60)
    keep = (user * 7 + item * 3) % 5 == 0
    graph['user', 'interacts', 'item'].edge_index = torch.stack([user[keep], item[keep]])
    graph[FRIEND].edge_index = torch.tensor([[0, 0, 1], [1, 2, 2]])
    return graph


def drawn(monkeypatch, *args, **kwargs):
    """The texts of a picture and the boxes (left, bottom, right, top) behind nodes."""
    seen = []
    original = Figure.savefig
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, *a, **k: (seen.append(self), original(self, *a, **k))
    )
    draw_neighbourhood(*args, **kwargs)
    figure = seen[-1]
    axes = figure.axes[0]
    boxes = [
        (p.get_x(), p.get_y(), p.get_x() + p.get_width(), p.get_y() + p.get_height())
        for p in axes.patches
        if hasattr(p, 'get_boxstyle')
    ]
    return figure, [text.get_text() for text in axes.texts], boxes


def test_labels_head_and_hidden_count(data, tmp_path, monkeypatch):
    _, texts, _ = drawn(monkeypatch, data, ('user', 3), 2, tmp_path / 'a.png', max_nodes=20)
    assert 'Around user 3 in toy' in texts
    (subtitle,) = (text for text in texts if 'hops' in text)
    # User 3 has 10 items; 12 users of 60 share its residue class, itself included.
    assert subtitle == '2 hops · training edges · 20 nodes shown · 2 less connected ones hidden'
    assert any(re.fullmatch(r'Thing \$\d+\$ · \d+', text) for text in texts)
    assert any(
        text.startswith('9 of 10 items') or text == '10 items, 1 edge away' for text in texts
    )
    assert {'user', 'item'} <= set(texts)  # The legend.


def test_boxes_do_not_overlap_and_labels_fit(data, tmp_path, monkeypatch):
    figure, _, boxes = drawn(monkeypatch, data, ('item', 0), 3, tmp_path / 'a.png', max_nodes=60)
    assert len(boxes) == 1 + 12 + 9 + 2  # The last two are the legend's.
    for place, (left, bottom, right, top) in enumerate(boxes):
        for other in boxes[:place]:
            apart = left >= other[2] or right <= other[0] or bottom >= other[3] or top <= other[1]
            assert apart
    width, height = figure.get_size_inches()
    assert all(b[0] >= 0 and b[1] >= 0 and b[2] <= width and b[3] <= height for b in boxes)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text in figure.axes[0].texts:
        extent = text.get_window_extent(renderer)
        assert extent.x0 >= 0
        assert extent.x1 <= width * figure.dpi


def test_edges_within_a_distance_and_lonely_nodes(data, tmp_path, monkeypatch):
    path = tmp_path / 'a.svg'
    _, texts, boxes = drawn(monkeypatch, data, ('user', 0), 1, path, edge_types=[FRIEND])
    assert '2 users, 1 edge away' in texts
    assert len(boxes) == 3 + 1
    assert path.read_text().rstrip().endswith('</svg>')
    _, texts, _ = drawn(monkeypatch, data, ('user', 9), 1, path, edge_types=[FRIEND])
    assert any('no edges here' in text for text in texts)


def test_hidden_nodes_of_several_types_are_not_called_users(data, tmp_path, monkeypatch):
    both = [('user', 'interacts', 'item'), FRIEND]
    _, texts, _ = drawn(
        monkeypatch, data, ('user', 0), 1, tmp_path / 'a.png', max_nodes=4, edge_types=both
    )
    assert '3 of 12 nodes, 1 edge away' in texts


def test_same_graph_same_bytes_without_pyplot(data, tmp_path):
    first = draw_neighbourhood(data, ('user', 3), 2, tmp_path / 'a.svg').read_bytes()
    second = draw_neighbourhood(data, ('user', 3), 2, tmp_path / 'b.svg').read_bytes()
    assert first == second


def test_bad_arguments(data, tmp_path):
    with pytest.raises(UnknownIdError):
        draw_neighbourhood(data, ('user', 99), 2, tmp_path / 'a.png')
    with pytest.raises(GraphError, match='ends in'):
        draw_neighbourhood(data, ('user', 1), 2, tmp_path / 'a.gif')
    with pytest.raises(GraphError, match="'max_nodes'"):
        draw_neighbourhood(data, ('user', 1), 2, tmp_path / 'a.png', max_nodes=0)
    assert not any(tmp_path.iterdir())
