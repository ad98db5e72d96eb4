"""To edit and then to build is to build from edited data, for everything that is derived."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec import unlearn
from graphrec.datasets import planted
from graphrec.graphs.operators import normalized_adjacency
from graphrec.graphs.schema import INTERACTS
from graphrec.graphs.semantic import semantic_graph
from graphrec.unlearn.dependencies import DEPENDENCIES, count_pairs, forgotten_rows
from graphrec.unlearn.stores import equal

USERS, ITEMS = 30, 24
BY_NAME = {dependency.name: dependency for dependency in DEPENDENCIES}
# Searches are rebuilt in test_searches.py.
WITHOUT_SEARCHES = [
    name
    for name in BY_NAME
    if name not in ('training sampler', 'search events', 'words of searches')
]


def raw(seed=0):
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.permutation(USERS * ITEMS)[:260])
    table = pd.DataFrame({'user': cells // ITEMS, 'item': cells % ITEMS})
    return table, rng.normal(size=(ITEMS, 6)).astype(np.float32)


def build(table, x, present=None):
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = USERS, ITEMS
    data[INTERACTS].edge_index = torch.from_numpy(table.to_numpy().T.copy())
    data['item'].x_visual = torch.from_numpy(x)
    data['item'].has_visual = (
        torch.ones(ITEMS, dtype=torch.bool) if present is None else torch.from_numpy(present)
    )
    return data


def edited_raw(kind):
    """The edit, the raw data, and the raw data from which the same was taken by hand."""
    table, x = raw()
    x2, present = x.copy(), np.ones(ITEMS, dtype=bool)
    if kind == 'pairs':
        edit = unlearn.RemoveInteractions(tuple(map(tuple, table.iloc[::7].to_numpy().tolist())))
        kept = table.drop(table.index[::7])
    elif kind == 'users':
        edit, kept = unlearn.RemoveUsers((3, 8)), table[~table['user'].isin([3, 8])]
    elif kind == 'items':
        edit, kept = unlearn.RemoveItems((5,)), table[table['item'] != 5]
        x2[5], present[5] = 0, False
    else:
        edit, kept = unlearn.RemoveModality('visual', items=(2, 9)), table
        x2[[2, 9]], present[[2, 9]] = 0, False
    return edit, build(table, x), build(kept, x2, present)


@pytest.mark.parametrize('kind', ['pairs', 'users', 'items', 'modality'])
@pytest.mark.parametrize('name', WITHOUT_SEARCHES)
def test_edit_then_build_is_build_from_edited_raw(kind, name):
    edit, data, by_hand = edited_raw(kind)
    result = edit.apply(data)
    built, expected = (BY_NAME[name].build(graph) for graph in (result.data, by_hand))
    assert built.keys() == expected.keys()
    assert built
    for part in built:
        assert equal(built[part], expected[part]), part
        assert BY_NAME[name].residue(part, built[part], result.forget, result.data) == 0


@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        ('pairs', 'user-item adjacency'),
        ('users', 'user-item adjacency'),
        ('items', 'nearest-neighbour graphs of items'),
        ('modality', 'nearest-neighbour graphs of items'),
        ('items', 'item hypergraph'),
        ('items', 'co-occurrence graph'),
        ('items', 'features of items'),
        ('modality', 'features of items'),
        ('users', 'degrees and popularity'),
        ('pairs', 'training sampler'),
        ('users', 'training sampler'),
        ('items', 'training sampler'),
    ],
)
def test_what_was_built_before_the_edit_is_recognised(kind, name):
    edit, data, _ = edited_raw(kind)
    forget = edit.apply(data).forget
    stale = BY_NAME[name].build(data)
    counts = [BY_NAME[name].residue(part, value, forget, data) for part, value in stale.items()]
    assert any(counts)


def test_removing_an_items_features_changes_the_lists_of_others_as_a_rebuild_does():
    edit, data, by_hand = edited_raw('modality')
    before = semantic_graph(data, 'visual', 5).index
    after = semantic_graph(edit.apply(data).data, 'visual', 5).index
    others = [n for n in range(ITEMS) if n not in (2, 9)]
    assert not torch.equal(before[others], after[others])
    assert torch.equal(after, semantic_graph(by_hand, 'visual', 5).index)


def test_users_without_any_edge_left_give_no_nan():
    edit, data, _ = edited_raw('users')
    adjacency = normalized_adjacency(edit.apply(data).data)
    assert torch.isfinite(adjacency.weight).all()
    assert torch.isfinite(adjacency @ torch.ones(USERS + ITEMS, 2)).all()
    assert adjacency.rowptr.diff()[3] == 0


def test_hyperedges_of_few_items_are_no_trouble():
    edit = unlearn.RemoveModality('visual', items=tuple(range(ITEMS - 1)))
    result = edit.apply(edited_raw('pairs')[1])
    built = BY_NAME['item hypergraph'].build(result.data)['items']
    assert BY_NAME['item hypergraph'].residue('items', built, result.forget, result.data) == 0


def test_pairs_are_found_in_either_direction_and_numbering():
    edit, data, _ = edited_raw('pairs')
    forget = edit.apply(data).forget
    user, item = forget.pairs
    for found in ((user, item), (item, user), (user, item + USERS), (item + USERS, user)):
        assert count_pairs(torch.stack(found), forget, data) >= user.numel()
    beyond = torch.stack([user + USERS + ITEMS, item + USERS + ITEMS])
    assert count_pairs(beyond, forget, data) == 0


def test_derived_features_go_with_their_modality():
    forget = unlearn.RemoveModality('visual', items=(2,)).apply(edited_raw('pairs')[1]).forget
    assert forgotten_rows('visual', forget).tolist() == [2]
    assert forgotten_rows('visual_spectral', forget).tolist() == [2]
    assert forgotten_rows('text', forget).numel() == 0


def test_planted_data_has_every_dependency():
    data = planted(
        30, 20, num_interactions=200, num_communities=2, num_queries=5, num_intents=2, seed=0
    )
    assert all(dependency.build(data) for dependency in DEPENDENCIES)
