"""Edits of real data: every edge type of the removed nodes is cleared, all else stays."""

import functools

import numpy as np
import pytest
import torch

from graphrec.datasets import load
from graphrec.graphs import frozen_graph
from graphrec.graphs.schema import (
    HOLDOUT_TEST,
    INTERACTS,
    ITEM,
    QUERY,
    USER,
    holdout,
    node_ids,
    validate,
)
from graphrec.graphs.semantic import frozen_modalities
from graphrec.unlearn import (
    RemoveInteractions,
    RemoveItems,
    RemoveModality,
    RemoveQueries,
    RemoveUsers,
)
from graphrec.unlearn.graph_digest import graph_digest


@pytest.fixture(scope='module')
def read(data_root):
    return functools.cache(lambda name: load(data_root / name))


def busiest(data, edge_type, row, count=3):
    degree = torch.bincount(data[edge_type].edge_index[row])
    return degree.argsort(descending=True)[:count]


def ids_of(data, node_type, nodes):
    return node_ids(data, node_type)[nodes.numpy()].tolist()


def check_cleared(before, after, node_type, nodes):
    for edge_type in before.edge_types:
        edges = before[edge_type].edge_index
        at = torch.zeros(edges.size(1), dtype=torch.bool)
        for row, kind in ((0, edge_type[0]), (1, edge_type[2])):
            if kind == node_type:
                at |= torch.isin(edges[row], nodes)
        left = after[edge_type].edge_index
        assert left.size(1) <= int((~at).sum())
        if QUERY not in edge_type and 'entity' not in edge_type:  # These lose more.
            assert torch.equal(left, edges[:, ~at]), edge_type


@pytest.mark.parametrize('name', ['ml-latest-small', 'lastfm-2k-mm', 'amazon-baby'])
@pytest.mark.parametrize('node_type', [USER, ITEM])
def test_busy_nodes_are_cleared_in_every_edge_type(read, name, node_type):
    data = read(name)
    nodes = busiest(data, INTERACTS, 0 if node_type == USER else 1)
    edit = {USER: RemoveUsers, ITEM: RemoveItems}[node_type](ids_of(data, node_type, nodes))
    result = edit.apply(data, strict=True)
    validate(result.data)
    check_cleared(data, result.data, node_type, nodes)
    assert result.summary.edges['user interacts item'] > 0
    assert result.data[node_type].is_removed.nonzero().squeeze(1).tolist() == sorted(nodes.tolist())
    assert edit.apply(result.data, strict=True).summary.noop
    assert graph_digest(edit.apply(data, compact=True).data) == result.summary.digest_after


def test_a_user_of_lastfm_leaves_friends_and_searches(read):
    data = read('lastfm-2k-mm')
    user = busiest(data, (USER, 'searches', QUERY), 0, 1)
    result = RemoveUsers(ids_of(data, USER, user)).apply(data)
    gone = result.summary.edges
    knows = data[USER, 'knows', USER].edge_index
    assert gone['user knows user'] == int(torch.isin(knows, user).any(dim=0).sum()) > 0
    searched = data[USER, 'searches', QUERY].edge_index
    assert gone['user searches query'] == gone['query finds item']
    assert result.forget.events.size(1) == int((searched[0] == user).sum()) > 0
    found = data[QUERY, 'finds', ITEM].edge_index
    events = torch.cat([searched, found[1:]])[:, searched[0] == user]
    assert torch.equal(result.forget.events, events)


def test_queries_of_lastfm(read):
    data = read('lastfm-2k-mm')
    query = busiest(data, (USER, 'searches', QUERY), 1, 2)
    result = RemoveQueries(ids_of(data, QUERY, query)).apply(data)
    for edge_type in ((USER, 'searches', QUERY), holdout('test', USER, QUERY)):
        left = result.data[edge_type].edge_index
        assert torch.equal(
            left, data[edge_type].edge_index[:, ~torch.isin(data[edge_type].edge_index[1], query)]
        )
    assert torch.equal(result.data[INTERACTS].edge_index, data[INTERACTS].edge_index)


def test_an_item_of_lastfm_leaves_the_knowledge_graph(read):
    data = read('lastfm-2k-mm')
    relates = data['entity', 'relates', 'entity'].edge_index
    owner = data['entity'].item
    entity = next(e for e in relates[0].tolist() if owner[e] >= 0)
    result = RemoveItems(ids_of(data, ITEM, owner[[entity]])).apply(data)
    assert result.data['entity'].is_removed.nonzero().flatten().tolist() == [entity]
    left = result.data['entity', 'relates', 'entity']
    stay = ~(relates == entity).any(dim=0)
    assert torch.equal(left.edge_index, relates[:, stay])
    assert torch.equal(left.relation, data['entity', 'relates', 'entity'].relation[stay])
    assert left.relation_name == data['entity', 'relates', 'entity'].relation_name


def test_pairs_leave_training_and_held_out_edges(read):
    data = read('ml-latest-small')
    pairs = torch.cat([data[t].edge_index[:, :40] for t in (INTERACTS, HOLDOUT_TEST)], dim=1)
    ids = list(zip(ids_of(data, USER, pairs[0]), ids_of(data, ITEM, pairs[1]), strict=True))
    result = RemoveInteractions(ids).apply(data, strict=True)
    assert result.summary.edges['user interacts item'] == 40
    assert result.summary.edges['user holdout_test item'] == 40
    for edge_type in (INTERACTS, HOLDOUT_TEST):
        assert torch.equal(result.data[edge_type].edge_index, data[edge_type].edge_index[:, 40:])
        for name, value in data[edge_type].items():
            if name != 'edge_index':
                assert torch.equal(result.data[edge_type][name], value[40:])


def test_frozen_neighbours_of_amazon_baby(read):
    data = read('amazon-baby')
    name = frozen_modalities(data)[0]
    items = torch.tensor([0, 5, 77])
    result = RemoveModality(name, items=ids_of(data, ITEM, items)).apply(data)
    before, after = frozen_graph(data, name), frozen_graph(result.data, name)

    def entries(graph):
        row = torch.arange(len(graph.index)).repeat_interleave(graph.index.size(1))
        return {
            pair
            for pair in zip(row.tolist(), graph.index.flatten().tolist(), strict=True)
            if pair[1] >= 0
        }

    gone = set(items.tolist())
    assert entries(after) == {
        (row, col) for row, col in entries(before) if row not in gone and col not in gone
    }
    spectral = result.data[ITEM][f'x_{name}_spectral']
    assert not spectral[items].any()
    stay = np.setdiff1d(np.arange(len(spectral)), items.numpy())
    assert torch.equal(spectral[stay], data[ITEM][f'x_{name}_spectral'][stay])
