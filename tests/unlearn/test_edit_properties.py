"""Laws of edits, on random edits of graphs that hold one of everything. What must stay is
computed a second way: row by row, in original ids, with sets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrec.graphs.schema import INTERACTS, node_ids, validate
from graphrec.unlearn import (
    EditSet,
    RemoveAttribute,
    RemoveInteractions,
    RemoveItems,
    RemoveModality,
    RemoveQueries,
    RemoveUsers,
    graph_digest,
)

VIEWS, SEARCHES = ('user', 'views', 'item'), ('user', 'searches', 'query')
USERS, ITEMS, QUERIES = 7, 8, 4  # As in conftest.py.


def parts_of(items, queries):
    """Edits of one kind, on graphs with these ids of items and queries."""
    users = st.sampled_from([f'u{n}' for n in range(USERS + 1)])  # The last is unknown.
    return st.one_of(
        st.lists(users, max_size=3).map(RemoveUsers),
        st.lists(items, max_size=3).map(RemoveItems),
        st.lists(queries, max_size=2).map(RemoveQueries),
        st.lists(st.tuples(users, items), max_size=9).map(RemoveInteractions),
        st.lists(st.tuples(users, items), max_size=9).map(lambda p: RemoveInteractions(p, VIEWS)),
        st.lists(st.tuples(users, queries), max_size=4).map(
            lambda p: RemoveInteractions(p, SEARCHES)
        ),
        st.builds(
            RemoveModality,
            st.sampled_from(['visual', 'text', 'image', 'image_spectral']),
            st.none() | st.lists(items, max_size=3),
        ),
        st.builds(RemoveAttribute, st.just('item'), st.sampled_from(['title', 'price', 'tags'])),
        st.builds(
            RemoveAttribute,
            st.just('user'),
            st.sampled_from(['age', 'email']),
            st.lists(users, max_size=2),
        ),
    )


NUMBERS = parts_of(st.integers(100, 100 + ITEMS), st.integers(0, QUERIES))
TEXTS = parts_of(
    st.sampled_from([f'i{n}' for n in range(ITEMS + 1)]),
    st.sampled_from([f'search {n}' for n in range(QUERIES + 1)]),
)


def drawn(least, most):
    """The number of a graph in ``rich_graphs`` and edits in its ids."""
    return st.tuples(st.integers(0, 2), st.lists(NUMBERS, min_size=least, max_size=most)) | (
        st.tuples(st.integers(3, 5), st.lists(TEXTS, min_size=least, max_size=most))
    )


cases = drawn(1, 3).map(lambda case: (case[0], EditSet(tuple(case[1]))))
few = settings(max_examples=100, deadline=None)


def tensors(data):
    for store in data.stores:
        for name, value in store.items():
            if isinstance(value, (torch.Tensor, np.ndarray)):
                yield f'{store._key} {name}', value


def assert_equal(first, second):
    assert first.node_types == second.node_types
    assert first.edge_types == second.edge_types
    for one, other in zip(first.stores, second.stores, strict=True):
        assert set(one.keys()) == set(other.keys())
        for name, value in one.items():
            place = f'{one._key} {name}'
            if isinstance(value, torch.Tensor):
                assert value.dtype == other[name].dtype, place
                assert torch.equal(value, other[name]), place
            elif isinstance(value, (list, tuple)):
                assert value == other[name], place
            else:
                assert np.array_equal(value, other[name]), place


def comparable(value):
    return value.item() if isinstance(value, (torch.Tensor, np.generic)) else value


def edge_rows(data):
    """Every edge in original ids with its values, by edge type, in stored order."""
    found = {}
    for edge_type in data.edge_types:
        store = data[edge_type]
        source, target = node_ids(data, edge_type[0]), node_ids(data, edge_type[2])
        values = [n for n in ('time', 'count', 'position', 'note') if n in store]
        found[edge_type] = [
            (
                comparable(source[a]),
                comparable(target[b]),
                *(comparable(store[n][e]) for n in values),
            )
            for e, (a, b) in enumerate(store.edge_index.t().tolist())
        ]
    return found


def expected_rows(data, edit):
    """The rows that stay, decided row by row."""
    removals = edit.removals()
    gone = {kind: set(removals.nodes.get(kind, ())) for kind in ('user', 'item', 'query')}
    pairs = {kind: set(removals.pairs.get(kind, ())) for kind in (INTERACTS, VIEWS, SEARCHES)}
    owner = [f'u{user}' for user in data['session'].user.tolist()]
    gone['session'] = {n for n, user in enumerate(owner) if user in gone['user']}
    alias, ids = data['entity'].item.tolist(), node_ids(data, 'item')
    gone['entity'] = {n for n, item in enumerate(alias) if item >= 0 and ids[item] in gone['item']}
    rows = edge_rows(data)
    kept = {}
    for edge_type, found in rows.items():
        source, verb, target = edge_type
        if 'views' in verb:
            forgotten = pairs[VIEWS]
        elif (source, target) == ('user', 'item'):
            forgotten = pairs[INTERACTS]
        elif verb == 'rev_interacts':
            forgotten = {(item, user) for user, item in pairs[INTERACTS]}
        elif verb == 'contains' and source == 'session':
            forgotten = {
                (n, i) for n, u in enumerate(owner) for user, i in pairs[INTERACTS] if u == user
            }
        else:
            forgotten = set()
        kept[edge_type] = [
            row[0] not in gone.get(source, ())
            and row[1] not in gone.get(target, ())
            and row[:2] not in forgotten
            for row in found
        ]
    for searches, finds in (
        (SEARCHES, ('query', 'finds', 'item')),
        (('user', 'holdout_test', 'query'), ('query', 'holdout_test', 'item')),
    ):
        both = zip(rows[searches], rows[finds], strict=True)
        events = [
            kept[searches][n]
            and kept[finds][n]
            and (search[0], found[1]) not in pairs[INTERACTS]
            and search[:2] not in pairs[SEARCHES]
            for n, (search, found) in enumerate(both)
        ]
        kept[searches] = kept[finds] = events
    # A query whose last search goes is removed with it.
    searches = (SEARCHES, ('user', 'holdout_test', 'query'))
    events = [
        (row[1], stays) for t in searches for row, stays in zip(rows[t], kept[t], strict=True)
    ]
    asked = {query for query, _ in events} - {query for query, stays in events if stays}
    words = ('query', 'contains', 'word')
    kept[words] = [
        stays and row[0] not in asked for row, stays in zip(rows[words], kept[words], strict=True)
    ]
    return {
        edge_type: [row for row, stays in zip(found, kept[edge_type], strict=True) if stays]
        for edge_type, found in rows.items()
    }


@few
@given(case=cases)
def test_exactly_the_forgotten_edges_go(rich_graphs, case):
    data, edit = rich_graphs[case[0]], case[1]
    result = edit.apply(data)
    assert edge_rows(result.data) == expected_rows(data, edit)
    before, after = edge_rows(data), edge_rows(result.data)
    counted = {t: len(before[t]) - len(after[t]) for t in before if before[t] != after[t]}
    assert result.summary.edges == {' '.join(t): n for t, n in counted.items()}


@few
@given(case=cases)
def test_twice_is_once(rich_graphs, case):
    data, edit = rich_graphs[case[0]], case[1]
    once = edit.apply(data)
    twice = edit.apply(once.data)
    assert_equal(once.data, twice.data)
    assert twice.summary.noop
    assert not twice.forget
    assert twice.summary.digest_after == once.summary.digest_after
    assert once.summary.noop == (graph_digest(data) == graph_digest(once.data))


@few
@given(
    case=drawn(2, 4),
    random=st.randoms(use_true_random=False),
)
def test_a_union_is_its_parts_in_any_order(rich_graphs, case, random):
    data, found = rich_graphs[case[0]], list(case[1])
    union = EditSet(tuple(found)).apply(data).data
    for _ in range(2):
        random.shuffle(found)
        step = data
        for edit in found:
            step = edit.apply(step).data
        assert_equal(union, step)


@few
@given(case=cases)
def test_the_input_stays_and_no_memory_is_shared(rich_graphs, case):
    data, edit = rich_graphs[case[0]], case[1]
    copies = {
        place: value.copy() if isinstance(value, np.ndarray) else value.clone()
        for place, value in tensors(data)
    }
    result = edit.apply(data)
    for place, value in tensors(data):
        same = np.array_equal if isinstance(value, np.ndarray) else torch.equal
        assert same(value, copies[place]), place

    def memory(graph):
        return {
            value.ctypes.data
            if isinstance(value, np.ndarray)
            else value.untyped_storage().data_ptr()
            for _, value in tensors(graph)
            if (value.size if isinstance(value, np.ndarray) else value.numel())
        }

    compact = edit.apply(data, compact=True)
    assert not memory(data) & memory(result.data)
    assert not memory(data) & memory(compact.data)
    assert result.data.repairs is not data.repairs
    assert result.data['item'].genres is not data['item'].genres


@few
@given(case=cases)
def test_removed_nodes_are_empty_everywhere(rich_graphs, case):
    data, edit = rich_graphs[case[0]], case[1]
    result = edit.apply(data).data
    validate(result)
    for kind in result.node_types:
        assert result[kind].num_nodes == data[kind].num_nodes
        ids = data[kind].id.copy()
        if 'is_removed' in result[kind] and kind == 'query' and ids.dtype == object:
            for number in result[kind].is_removed.nonzero().squeeze(1).tolist():
                ids[number] = f'<removed query {number}>'  # Its text may be its id.
        assert np.array_equal(result[kind].id, ids)
        if 'is_removed' not in result[kind]:
            continue
        removed = result[kind].is_removed
        for source, verb, target in result.edge_types:
            edges = result[source, verb, target].edge_index
            assert source != kind or not removed[edges[0]].any()
            assert target != kind or not removed[edges[1]].any()
    items = result['item']
    labels = result[INTERACTS].edge_label_index
    if 'is_removed' in items:
        gone = items.is_removed
        assert not gone[labels[1]].any()
        for name in ('x_visual', 'x_text', 'x_image_spectral', 'price', 'knn_image_similarity'):
            assert not items[name][gone].any(), name
        for name in ('visual', 'text', 'image', 'image_spectral'):
            assert not items[f'has_{name}'][gone].any(), name
        for name in ('code_text', 'knn_image_index', 'duplicate_of'):
            assert (items[name][gone] == -1).all(), name
        for name in ('knn_image_index', 'duplicate_of'):
            named = items[name][items[name] >= 0]
            assert not gone[named].any(), name
        assert all(title is None for title in items.title[gone.numpy()])
        assert all(items.tags[n] is None for n in gone.nonzero().flatten())
        assert not result[INTERACTS].item_weight[gone].any()
    assert result[INTERACTS].legend == data[INTERACTS].legend
    assert items.genres == data['item'].genres


@few
@given(case=cases)
def test_attributes_of_all_others_stay(rich_graphs, case):
    data, edit = rich_graphs[case[0]], case[1]
    result = edit.apply(data).data
    removals = edit.removals()
    ids = node_ids(data, 'item')
    gone = np.isin(ids, list(removals.nodes.get('item', ())))
    for name, derived in (('visual', ()), ('text', ()), ('image', ('image_spectral',))):
        asked = removals.modalities.get(name, frozenset())
        lost = gone | (np.ones_like(gone) if asked is None else np.isin(ids, list(asked)))
        for each in (name, *derived):
            other = removals.modalities.get(each, frozenset())
            cut = lost | (np.ones_like(gone) if other is None else np.isin(ids, list(other)))
            if f'x_{each}' in data['item']:
                stay = torch.from_numpy(~cut)
                value = result['item'][f'x_{each}']
                assert torch.equal(value[stay], data['item'][f'x_{each}'][stay])
                assert not value[~stay].any()
                if f'has_{each}' in result['item']:
                    assert torch.equal(result['item'][f'has_{each}'], value.any(dim=1))
    users_gone = np.isin(node_ids(data, 'user'), list(removals.nodes.get('user', ())))
    ages = removals.attributes.get(('user', 'age'), frozenset())
    stay = torch.from_numpy(~(users_gone | np.isin(node_ids(data, 'user'), list(ages))))
    assert torch.equal(result['user'].age, data['user'].age * stay)
    emails = removals.attributes.get(('user', 'email'), frozenset())
    lost = users_gone | np.isin(node_ids(data, 'user'), list(emails))
    assert result['user'].email == tuple(
        None if gone else email for email, gone in zip(data['user'].email, lost, strict=True)
    )


@few
@given(case=cases)
def test_compact_and_empty_rows_are_one_graph(rich_graphs, case):
    data, edit = rich_graphs[case[0]], case[1]
    kept, compact = edit.apply(data), edit.apply(data, compact=True)
    validate(compact.data)
    assert graph_digest(compact.data) == graph_digest(kept.data) == kept.summary.digest_after
    assert compact.summary == kept.summary
    assert edge_rows(compact.data) == edge_rows(kept.data)
    for kind, new in compact.id_map.items():
        alive = new >= 0
        assert int(alive.sum()) == compact.data[kind].num_nodes
        assert np.array_equal(compact.data[kind].id, data[kind].id[alive.numpy()])
        removed = kept.data[kind].get('is_removed', torch.zeros_like(alive))
        assert torch.equal(removed, ~alive)
    again = edit.apply(compact.data, compact=True)
    assert again.summary.noop
    assert_equal(again.data, compact.data)


@few
@given(case=cases)
def test_the_forget_set_is_what_left_the_training_edges(rich_graphs, case):
    data, edit = rich_graphs[case[0]], case[1]
    result = edit.apply(data)
    before = {tuple(pair) for pair in data[INTERACTS].edge_index.t().tolist()}
    after = {tuple(pair) for pair in result.data[INTERACTS].edge_index.t().tolist()}
    assert {tuple(pair) for pair in result.forget.pairs.t().tolist()} == before - after
    assert result.forget.pairs.size(1) == len(before) - len(after)
    for split in ('valid', 'test', 'test_views'):
        sizes = [
            g['user', f'holdout_{split}', 'item'].edge_index.size(1) for g in (data, result.data)
        ]
        gone = result.forget.heldout.get(split, torch.zeros(2, 0))
        assert gone.size(1) == sizes[0] - sizes[1]
    assert result.forget.events.size(1) == (
        data[SEARCHES].edge_index.size(1) - result.data[SEARCHES].edge_index.size(1)
    )
    for name, cells in result.forget.modality_cells.items():
        if f'x_{name}' in data['item']:
            changed = (data['item'][f'x_{name}'] != result.data['item'][f'x_{name}']).any(1)
            assert set(changed.nonzero().squeeze(1).tolist()) <= set(cells.tolist())


@pytest.mark.parametrize('edit', [RemoveUsers([]), EditSet(), RemoveUsers(['nobody'])])
def test_nothing_to_do(graph, edit):
    result = edit.apply(graph)
    assert_equal(result.data, graph)
    assert result.summary.noop
    assert not result.forget
    assert 'nothing removed' in str(result.summary)
