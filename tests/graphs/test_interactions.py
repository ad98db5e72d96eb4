import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrec.errors import GraphError
from graphrec.graphs import schema
from graphrec.graphs.interactions import from_tables


def pairs(data, edge_type):
    """Edges in original ids."""
    user, item = data[edge_type].edge_index.numpy()
    users, items = schema.node_ids(data, 'user')[user], schema.node_ids(data, 'item')[item]
    return list(zip(users.tolist(), items.tolist(), strict=True))


def table(*rows, columns=('user', 'item', 'split')):
    return pd.DataFrame(rows, columns=list(columns))


def test_splits_become_edge_types():
    data = from_tables(
        table((5, 2, 'train'), (3, 2, 'train'), (5, 9, 'val'), (3, 9, 'test'), (5, 4, 'Extra')),
        name='tiny',
    )
    schema.validate(data)
    assert data.name == 'tiny'
    assert data['user'].id.tolist() == [3, 5]
    assert data['item'].id.tolist() == [2, 4, 9]
    assert pairs(data, schema.INTERACTS) == [(5, 2), (3, 2)]
    assert pairs(data, schema.HOLDOUT_VALID) == [(5, 9)]
    assert pairs(data, schema.HOLDOUT_TEST) == [(3, 9)]
    assert pairs(data, schema.holdout('extra')) == [(5, 4)]
    assert data.repairs == {}


def test_own_column_names_and_string_ids():
    frame = pd.DataFrame(
        {
            'reader': ['zoe', 'ann', 'zoe'],
            'book': ['b2', 'b1', 'b1'],
            'when': ['2024-01-01', '2024-01-02 00:00:10', '1970-01-01T00:00:30Z'],
            'stars': [1, 2, 3],
            'note': ['x', 'y', 'z'],
            'pages': [10, 20, 30],
        }
    )
    data = from_tables(frame, user='reader', item='book', time='when', rating='stars')
    assert data['user'].id.tolist() == ['ann', 'zoe']
    assert pairs(data, schema.INTERACTS) == [('zoe', 'b2'), ('ann', 'b1'), ('zoe', 'b1')]
    store = data[schema.INTERACTS]
    assert store.time.tolist() == [1704067200, 1704153610, 30]
    assert store.time.dtype == torch.long
    assert store.rating.dtype == torch.float
    assert store.pages.tolist() == [10, 20, 30]
    assert 'note' not in store


@pytest.mark.parametrize('argument', ['user', 'item', 'split', 'time', 'rating', 'behavior'])
def test_named_column_must_exist(argument):
    with pytest.raises(GraphError, match=r"'absent'.*\['user', 'item', 'split'\]"):
        from_tables(table((1, 1, 'train')), **{argument: 'absent'})


def test_ids_must_be_of_one_type():
    with pytest.raises(GraphError, match=r"'user' of the interactions.*\['int', 'str'\]"):
        from_tables(pd.DataFrame({'user': [1, 'a'], 'item': [1, 2]}))
    with pytest.raises(GraphError, match="'item' of the interactions has no id in 1 of 2"):
        from_tables(pd.DataFrame({'user': [1, 2], 'item': [1, None]}))
    with pytest.raises(GraphError, match=r'no whole numbers \(first one: 2.5 in row 1\)'):
        from_tables(pd.DataFrame({'user': [1.0, 2.5], 'item': [1, 2]}))
    with pytest.raises(GraphError, match='empty id'):
        from_tables(pd.DataFrame({'user': ['', 'a'], 'item': [1, 2]}))
    with pytest.raises(GraphError, match='bool'):
        from_tables(pd.DataFrame({'user': [True, False], 'item': [1, 2]}))
    with pytest.raises(GraphError, match=r'integers .*items table.* strings'):
        from_tables(pd.DataFrame({'user': [1], 'item': [1]}), items=pd.DataFrame({'item': ['b1']}))


def test_whole_floats_are_a_counted_repair():
    data = from_tables(pd.DataFrame({'user': [3.0, 1.0], 'item': [1, 2]}))
    assert data['user'].id.tolist() == [1, 3]
    assert data['user'].id.dtype == np.int64
    assert data.repairs == {'whole_float_ids': 2}


def test_duplicates_keep_the_earliest():
    frame = table(
        (0, 0, 'train', 9, 1), (0, 1, 'train', 5, 2), (0, 0, 'train', 3, 3), (0, 0, 'train', 7, 4),
        columns=('user', 'item', 'split', 'timestamp', 'plays'),
    )  # fmt: skip
    data = from_tables(frame)
    assert pairs(data, schema.INTERACTS) == [(0, 1), (0, 0)]
    assert data[schema.INTERACTS].time.tolist() == [5, 3]
    assert data[schema.INTERACTS].plays.tolist() == [2, 3]
    assert data.repairs == {'duplicate_interactions': 2}
    without_time = from_tables(frame.drop(columns='timestamp'))
    assert without_time[schema.INTERACTS].plays.tolist() == [1, 2]


def test_held_out_pairs_seen_elsewhere_are_dropped():
    data = from_tables(
        table(
            (0, 0, 'train'), (0, 1, 'train'), (0, 1, 'test'), (0, 2, 'valid'), (0, 2, 'test'),
            (1, 0, 'test'),
        )
    )  # fmt: skip
    assert pairs(data, schema.HOLDOUT_VALID) == [(0, 2)]
    assert pairs(data, schema.HOLDOUT_TEST) == [(1, 0)]
    assert data.repairs == {'holdout_seen_in_training': 1, 'test_seen_in_validation': 1}


def test_empty_inputs():
    with pytest.raises(GraphError, match='no rows'):
        from_tables(table())
    with pytest.raises(GraphError, match=r"no interaction is left for training \(splits: \['test"):
        from_tables(table((0, 0, 'test')))
    with pytest.raises(GraphError, match=r"'split' is empty in 1 rows .first one: row 1"):
        from_tables(table((0, 0, 'train'), (0, 1, None)))


def test_min_rating_keeps_nodes_and_counts():
    frame = table((0, 0, 5), (1, 1, 2), columns=('user', 'item', 'rating'))
    data = from_tables(frame, min_rating=4)
    assert pairs(data, schema.INTERACTS) == [(0, 0)]
    assert schema.num_users(data) == 2
    assert data.repairs == {'below_min_rating': 1}
    with pytest.raises(GraphError, match="no column 'rating'"):
        from_tables(frame.drop(columns='rating'), min_rating=4)
    with pytest.raises(GraphError, match='ratings below 6 left out'):
        from_tables(frame, min_rating=6)


def test_behaviours():
    columns = ('user', 'item', 'behavior', 'split')
    frame = table(
        (0, 0, 'view', 'train'), (0, 1, 'buy', 'train'), (0, 1, 'view', 'train'),
        (0, 2, 'wish', 'train'), (0, 2, 'buy', 'test'), columns=columns,
    )  # fmt: skip
    data = from_tables(frame)
    schema.validate(data)
    assert pairs(data, schema.INTERACTS) == [(0, 1)]
    assert pairs(data, ('user', 'views', 'item')) == [(0, 0), (0, 1)]
    assert pairs(data, ('user', 'wish', 'item')) == [(0, 2)]
    assert pairs(data, schema.HOLDOUT_TEST) == [(0, 2)]
    assert data.repairs == {}

    views = from_tables(frame, target_behavior='view')
    assert pairs(views, schema.INTERACTS) == [(0, 0), (0, 1)]
    assert pairs(views, schema.holdout('test_buys')) == [(0, 2)]
    with pytest.raises(GraphError, match=r"\['buy', 'view', 'wish'\]"):
        from_tables(frame.drop(columns='split'))
    with pytest.raises(GraphError, match="'target_behavior' is 'rent'"):
        from_tables(frame, target_behavior='rent')


def test_side_tables_bring_nodes_and_columns():
    data = from_tables(
        table((1, 10, 'train')),
        users=pd.DataFrame({'user': [2, 1], 'age': [30, 40]}),
        items=pd.DataFrame({'item': [20, 10], 'title': ['b', None], 'year': [1.0, np.nan],
                            'id': ['B', 'A']}),
    )  # fmt: skip
    assert data['user'].id.tolist() == [1, 2]
    assert data['user'].age.tolist() == [40, 30]
    assert data['user'].age.dtype == np.int64
    assert data['item'].id.tolist() == [10, 20]
    assert data['item'].title.tolist() == [None, 'b']
    assert data['item'].year.tolist() == [None, 1.0]
    assert data['item'].column_id.tolist() == ['A', 'B']
    with pytest.raises(GraphError, match='holds 7 twice'):
        from_tables(table((1, 7, 'train')), items=pd.DataFrame({'item': [7, 7]}))


def test_features_follow_integer_ids():
    values = np.array([[1, 0], [0, 0], [0, 3]], dtype=np.float16)
    data = from_tables(table((0, 2, 'train')), features={'visual': values})
    assert data['item'].id.tolist() == [0, 1, 2]  # Rows bring items that nobody touched.
    assert data['item'].x_visual.dtype == torch.float
    assert data['item'].x_visual.tolist() == values.tolist()
    assert data['item'].has_visual.tolist() == [True, False, True]


def test_features_follow_the_items_table_for_strings():
    frame = pd.DataFrame({'user': ['u'], 'item': ['a']})
    items = pd.DataFrame({'item': ['c', 'a', 'b']})
    features = {'text': np.array([[3.0], [1.0], [2.0]]), 'level': np.array([[30], [10], [20]])}
    data = from_tables(frame, items=items, features=features)
    assert data['item'].x_text.tolist() == [[1.0], [2.0], [3.0]]
    assert data['item'].code_level.tolist() == [[10], [20], [30]]
    with pytest.raises(GraphError, match="'text' has 3 rows, but item ids are strings"):
        from_tables(frame, features=features)
    with pytest.raises(GraphError, match="'text' has 3 rows for 2 items"):
        from_tables(frame, items=items[:2], features=features)


def test_features_that_do_not_fit():
    frame = table((0, 0, 'train'), (0, 3, 'train'))
    with pytest.raises(GraphError, match=r"feature 'text' has 2 rows for 2 items \(largest id 3\)"):
        from_tables(frame, features={'text': np.ones((2, 2))})
    bad = np.ones((4, 2))
    bad[1, 0], bad[2, 1] = np.nan, np.inf
    with pytest.raises(GraphError, match=r'in 2 of 4 rows .first one: item 1.*repair_features'):
        from_tables(frame, features={'text': bad})
    data = from_tables(frame, features={'text': bad}, repair_features=True)
    assert data['item'].has_text.tolist() == [True, False, False, True]
    assert data['item'].x_text[1].tolist() == [0, 0]
    # Items 1 and 2 are in no table; 0 and 3 are.
    assert data.repairs == {'features_text': 2, 'items_known_by_features_alone': 2}
    named = from_tables(
        frame, items=pd.DataFrame({'item': range(4)}), features={'text': bad[:, :0]}
    )
    assert named.repairs == {}
    with pytest.raises(GraphError, match='shape'):
        from_tables(frame, features={'text': np.ones(4)})


def test_free_text_queries_follow_their_pair():
    data = from_tables(
        table((0, 0, 'train'), (0, 1, 'test')),
        queries=table((0, 0, 'red', 5), (0, 1, 'blue', 6), (0, 2, 'red', 7),
                      columns=('user', 'item', 'query', 'timestamp')),
    )  # fmt: skip
    schema.validate(data)
    assert data['query'].id.tolist() == ['blue', 'red']
    assert data['query'].text.tolist() == ['blue', 'red']
    assert data[schema.SEARCHES].edge_index.tolist() == [[0], [1]]
    assert data[schema.FINDS].edge_index.tolist() == [[1], [0]]
    assert data[schema.SEARCHES].time.tolist() == [5]
    assert data['user', 'holdout_test', 'query'].edge_index.tolist() == [[0], [0]]
    assert data['query', 'holdout_test', 'item'].edge_index.tolist() == [[0], [1]]
    assert data['query', 'holdout_none', 'item'].edge_index.tolist() == [[1], [2]]


def test_numbered_queries_with_a_split_of_their_own():
    data = from_tables(
        table((0, 0, 'train')),
        queries=table((0, 0, 4, 'test'), columns=('user', 'item', 'query', 'split')),
        query_texts=pd.DataFrame({'query': [9, 4], 'text': ['nine', 'four']}),
    )
    assert data['query'].id.tolist() == [4, 9]
    assert data['query'].text.tolist() == ['four', 'nine']
    assert schema.SEARCHES not in data.edge_types
    assert data['user', 'holdout_test', 'query'].edge_index.tolist() == [[0], [0]]


def test_a_split_can_be_made():
    frame = pd.DataFrame({'user': [0] * 10, 'item': range(10), 'timestamp': range(10)})
    data = from_tables(frame, how='time')
    assert pairs(data, schema.HOLDOUT_VALID) == [(0, 8)]
    assert pairs(data, schema.HOLDOUT_TEST) == [(0, 9)]
    relabelled = from_tables(frame.assign(split='test'), how='time')
    assert pairs(relabelled, schema.HOLDOUT_TEST) == [(0, 9)]


def test_times_that_are_none():
    with pytest.raises(GraphError, match="'timestamp' of the interactions holds no time in 1"):
        from_tables(pd.DataFrame({'user': [0], 'item': [0], 'timestamp': ['soon']}))


def test_columns_that_collide():
    frame = pd.DataFrame({'user': [0], 'item': [0], 'timestamp': [1], 'time': [2]})
    with pytest.raises(GraphError, match="'timestamp' and 'time'"):
        from_tables(frame)


IDS = st.one_of(st.integers(-3, 6), st.integers(10**6, 10**6 + 5))
ROWS = st.lists(
    st.tuples(IDS, IDS, st.sampled_from(['train', 'valid', 'test'])), min_size=1, max_size=25
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, text=st.booleans())
def test_edges_equal_the_table(rows, text):
    convert = (lambda v: f'id{v}') if text else int
    rows = [(0, 0, 'train'), *rows]
    frame = table(*((convert(u), convert(i), s) for u, i, s in rows))
    data = from_tables(frame)
    schema.validate(data)
    wanted = {'train': set(), 'valid': set(), 'test': set()}
    for user, item, split in frame.itertuples(index=False):
        wanted[split].add((user, item))
    wanted['valid'] -= wanted['train']
    wanted['test'] -= wanted['train'] | wanted['valid']
    kept = 0
    for split, expected in wanted.items():
        edge_type = schema.INTERACTS if split == 'train' else schema.holdout(split)
        found = pairs(data, edge_type) if edge_type in data.edge_types else []
        assert set(found) == expected
        kept += len(found)
    assert sum(data.repairs.values()) == len(rows) - kept
    assert data['user'].id.tolist() == sorted(set(frame['user']))
    known = data['item'].id.tolist()
    assert schema.index_of(data, 'item', known).tolist() == list(range(len(known)))


def test_pandas_extension_types():
    frame = pd.DataFrame(
        {
            'user': pd.array([2, 1], dtype='Int64'),
            'item': pd.Categorical(['b', 'a']),
            'timestamp': pd.to_datetime(['1970-01-01 01:00', '1970-01-02 01:00']).tz_localize(
                'Europe/Paris'
            ),
            'plays': pd.array([1, None], dtype='Int64'),
        },
        index=[5, 9],
    )
    data = from_tables(frame)
    assert pairs(data, schema.INTERACTS) == [(2, 'b'), (1, 'a')]
    assert data[schema.INTERACTS].time.tolist() == [0, 86400]
    assert data[schema.INTERACTS].plays.isnan().tolist() == [False, True]


def test_ids_beyond_64_bits():
    for values in (np.array([2**63 + 1], dtype=np.uint64), [2**70]):
        with pytest.raises(GraphError, match='beyond 64 bits'):
            from_tables(pd.DataFrame({'user': values, 'item': [1]}))
