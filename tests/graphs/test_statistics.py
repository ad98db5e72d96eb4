import json

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.export import to_networkx
from graphrec.graphs.statistics import describe, draw, gini


@pytest.fixture
def data():
    """Three users, four items; user 2 and item 3 have no training edge."""
    graph = HeteroData()
    graph.name = 'toy'
    graph.repairs = {'duplicate_interactions': 3}
    graph['user'].num_nodes = 3
    graph['item'].num_nodes = 4
    graph['item'].x_text = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [1.0, 1.0]])
    graph['item'].x_visual = torch.ones(4, 3)
    graph['item'].has_visual = torch.tensor([True, False, False, False])
    graph['user', 'interacts', 'item'].edge_index = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 2]])
    graph['user', 'holdout_test', 'item'].edge_index = torch.tensor([[0, 2, 2], [3, 0, 3]])
    return graph


def test_describe_by_hand(data):
    found = describe(data)
    assert found.nodes == {'user': 3, 'item': 4}
    assert found.edges == {'user interacts item': 4, 'user holdout_test item': 3}
    assert (found.active_users, found.active_items) == (2, 3)
    assert found.density == 4 / 12
    assert found.user_degree == {
        'min': 0,
        'median': 2.0,
        'mean': pytest.approx(4 / 3),
        'p90': 2.0,
        'max': 2,
    }
    # Degrees 0, 1, 1, 2: (-3*0 - 1*1 + 1*1 + 3*2) / (4 * 4).
    assert found.item_gini == pytest.approx(6 / 16)
    # Users 0, 1 and items 0, 1, 2 hang together; user 2 and item 3 stand alone.
    assert (found.num_components, found.num_isolated, found.largest_component) == (3, 2, 5)
    assert (found.cold_items, found.cold_item_share) == (1, 0.25)
    assert found.cold_edge_share == {'test': pytest.approx(2 / 3)}
    assert found.users_without_training == {'test': 1}
    assert found.modalities == {
        'text': {'dim': 2, 'present': 0.75},
        'visual': {'dim': 3, 'present': 0.25},
    }
    assert found.repairs == {'duplicate_interactions': 3}
    assert found.user_histogram == ((0, 1), (2, 2))


def test_describe_agrees_with_networkx():
    graph = HeteroData()
    generator = torch.Generator().manual_seed(0)
    graph['user'].num_nodes, graph['item'].num_nodes = 30, 40
    pairs = torch.randperm(1200, generator=generator)[:40]
    edge_index = torch.stack([pairs // 40, pairs % 40])
    graph['user', 'interacts', 'item'].edge_index = edge_index
    found, exported = describe(graph), to_networkx(graph)
    parts = list(networkx.connected_components(exported))
    assert found.num_components == len(parts) > 1
    assert found.largest_component == max(map(len, parts))
    assert found.item_degree['max'] == max(d for n, d in exported.degree if n[0] == 'item')


def test_describe_prints_every_number_and_goes_to_json(data):
    found = describe(data)
    text, table = str(found), found.table()
    assert text.splitlines()[0] == 'toy'
    for quantity in table['quantity']:
        assert quantity in text
    row = table.set_index(['group', 'quantity'])['value']
    assert row['repairs', 'duplicate interactions'] == 3
    assert row['cold start', 'test users without training edges'] == 1
    assert json.loads(json.dumps(found.to_dict()))['modalities']['text']['dim'] == 2


@pytest.mark.parametrize(('users', 'items'), [(0, 0), (2, 0), (0, 2), (2, 2)])
def test_describe_without_edges(users, items, tmp_path):
    graph = HeteroData()
    graph['user'].num_nodes, graph['item'].num_nodes = users, items
    graph['user', 'interacts', 'item'].edge_index = torch.zeros(2, 0, dtype=torch.long)
    found = describe(graph)
    assert (found.density, found.item_gini, found.num_components) == (0, 0, users + items)
    assert found.item_degree['max'] == 0
    json.dumps(found.to_dict(), allow_nan=False)
    assert draw(found, tmp_path / 'empty.png').stat().st_size > 0


def test_describe_a_graph_of_other_things(tmp_path):
    graph = HeteroData()
    graph['outfit'].num_nodes, graph['item'].num_nodes = 2, 3
    graph['outfit', 'contains', 'item'].edge_index = torch.tensor([[0, 1], [0, 2]])
    found = describe(graph)
    assert found.nodes == {'outfit': 2, 'item': 3}
    assert found.edges == {'outfit contains item': 2}
    assert (found.density, found.active_items, found.largest_component) == (0, 0, 1)
    assert graph.node_types == ['outfit', 'item']
    assert 'outfit contains item' in str(found)
    assert draw(graph, tmp_path / 'a.svg').exists()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_gini_is_half_the_relative_mean_difference(values):
    array = np.array(values, dtype=float)
    if array.sum() == 0:
        assert gini(array) == 0
    else:
        difference = np.abs(array[:, None] - array[None, :]).mean()
        assert gini(array) == pytest.approx(difference / (2 * array.mean()))


def test_draw_writes_png_and_svg_whole(data, tmp_path):
    png = draw(data, tmp_path / 'a.png')
    svg = draw(describe(data), str(tmp_path / 'b.SVG'))
    assert png.read_bytes().startswith(b'\x89PNG')
    assert png.read_bytes().endswith(b'IEND\xaeB`\x82')
    assert svg.read_text().rstrip().endswith('</svg>')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.png', 'b.SVG']  # Nothing left over.


def test_draw_refuses_another_suffix_and_a_missing_folder(data, tmp_path):
    with pytest.raises(GraphError, match=r"'path' ends in '\.pdf'.*\.png or \.svg"):
        draw(data, tmp_path / 'a.pdf')
    with pytest.raises(GraphError, match='does not exist'):
        draw(data, tmp_path / 'nowhere' / 'a.png')
    assert not any(tmp_path.iterdir())


def test_draw_leaves_an_old_picture_as_it_was_when_it_fails(data, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    target = tmp_path / 'a.png'
    target.write_bytes(b'old')

    def fail(self, path, **_):
        with open(path, 'wb') as file:
            file.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Figure, 'savefig', fail)
    with pytest.raises(GraphError, match='disk is full'):
        draw(data, target)
    assert target.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a.png']
