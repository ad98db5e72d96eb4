import copy

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.unlearn import RemoveItems, RemoveUsers, graph_digest, store_digests


def shuffled(data, seed=1):
    """The same graph with its nodes and edges in another order, written out by hand."""
    generator = torch.Generator().manual_seed(seed)
    order = {t: torch.randperm(data[t].num_nodes, generator=generator) for t in data.node_types}
    place = {t: rows.argsort() for t, rows in order.items()}
    out = HeteroData()
    for node_type, rows in order.items():
        for name, value in data[node_type].items():
            if name in ('num_nodes', 'genres', 'vocabularies'):
                out[node_type][name] = value
            elif isinstance(value, (list, tuple)):
                out[node_type][name] = [value[row] for row in rows]
            else:
                out[node_type][name] = value[rows if torch.is_tensor(value) else rows.numpy()]
    for node_type, name, target in (
        ('item', 'duplicate_of', 'item'),
        ('item', 'knn_image_index', 'item'),
        ('session', 'user', 'user'),
        ('entity', 'item', 'item'),
    ):
        value = out[node_type][name]
        out[node_type][name] = torch.where(value >= 0, place[target][value], -1)
    events = {}
    for edge_type in data.edge_types:
        source, verb, target = edge_type
        store = data[edge_type]
        label = verb if verb.startswith('holdout') else 'train'
        twin = (label, store.edge_index.size(1)) if 'query' in (source, target) else edge_type
        columns = torch.randperm(store.edge_index.size(1), generator=generator)
        columns = events.setdefault(twin, columns)
        for name, value in store.items():
            if name == 'edge_index':
                value = torch.stack([place[source][value[0]], place[target][value[1]]])[:, columns]
            elif name == 'edge_label_index':
                value = torch.stack([place[source][value[0]], place[target][value[1]]]).flip(1)
            elif name == 'edge_label':
                value = value.flip(0)
            elif name == 'item_weight':
                value = value[order['item']]
            elif torch.is_tensor(value):
                value = value[columns]
            elif name == 'note':
                value = [value[column] for column in columns]
            out[edge_type][name] = value
    return out


def test_the_order_of_nodes_and_edges_does_not_matter(rich_graphs):
    for data in rich_graphs:
        other = shuffled(data)
        assert store_digests(other) == store_digests(data)
        assert graph_digest(other) == graph_digest(data)
    assert len({graph_digest(data) for data in rich_graphs}) == len(rich_graphs)


def _swap_finds(data):
    index = data['query', 'finds', 'item'].edge_index
    query, item = index[0], index[1].clone()
    first = next(
        (a, b)
        for a in range(index.size(1))
        for b in range(a)
        if query[a] == query[b]
        and item[a] != item[b]
        and data['user', 'searches', 'query'].edge_index[0, a]
        != data['user', 'searches', 'query'].edge_index[0, b]
    )
    item[list(first)] = item[list(first[::-1])]
    data['query', 'finds', 'item'].edge_index = torch.stack([query, item])


def _set(node_type, name, place, value):
    def change(data):
        new = copy.copy(data[node_type][name])
        new = new.clone() if torch.is_tensor(new) else new.copy()
        new[place] = value
        data[node_type][name] = new

    return change


@pytest.mark.parametrize(
    'change',
    [
        _set('item', 'x_visual', (3, 1), 0.25),
        _set('item', 'has_text', 3, False),
        _set('item', 'knn_image_index', (3, 1), -1),
        _set('item', 'title', 3, 'Another'),
        _set('item', 'genres', 3, 'another'),
        _set('item', 'tags', 3, ['another', 3]),
        _set(('user', 'interacts', 'item'), 'note', 3, 'another'),
        _set('user', 'id', 3, 'another'),
        _set('session', 'user', 3, -1),
        _set(('user', 'interacts', 'item'), 'time', 3, 7),
        _set(('user', 'interacts', 'item'), 'edge_label', 3, 99),
        _set(('user', 'interacts', 'item'), 'item_weight', 3, 99.0),
        _set(('user', 'views', 'item'), 'edge_index', (0, slice(0, 9)), 6),
        _swap_finds,
        lambda data: setattr(data, 'note', 'x'),
        lambda data: data['user', 'knows', 'user'].__setitem__(
            'edge_index', data['user', 'knows', 'user'].edge_index.flip(0)
        ),
    ],
)
def test_any_change_is_seen(graph, change):
    data = copy.copy(graph)
    data['item'].has_text = torch.ones(8, dtype=torch.bool)
    before = graph_digest(data)
    assert before == graph_digest(graph)  # The marks say no more than the rows.
    change(data)
    assert graph_digest(data) != before


def test_names_and_empty_edge_types_do_not_count(graph):
    data = copy.copy(graph)
    data.name, data.repairs = 'other', {}
    data['user', 'buys', 'item'].edge_index = torch.zeros(2, 0, dtype=torch.long)
    assert graph_digest(data) == graph_digest(graph)


def test_removed_nodes_do_not_count(graph):
    """A graph built without the nodes is the graph that lost them."""
    edit = RemoveUsers(['u2']) | RemoveItems([104])
    edited = edit.apply(graph).data
    built = HeteroData()
    built['user'].id = np.delete(np.asarray(graph['user'].id), 2)
    built['user'].num_nodes = 6
    built['user'].age = torch.tensor([20, 21, 23, 24, 25, 26])
    built['user'].email = [email for email in graph['user'].email if email[1] != '2']
    assert store_digests(built)['node user'] == store_digests(edited)['node user']
    assert store_digests(edited)['node user'] != store_digests(graph)['node user']
