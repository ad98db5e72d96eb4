import collections

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

import graphrec
from graphrec.graphs.search import (
    add_events,
    event_labels,
    event_types,
    query_texts,
    search_events,
)
from graphrec.graphs.words import (
    WordLists,
    carry_rows,
    carry_table,
    encode_texts,
    query_words,
    tokenize,
    with_words,
)

TEXTS = ['red shoe', 'Red  HAT', 'blue shoe', 'green boot', '', 'red red red']


def searched(events, texts=TEXTS, users=3, items=4):
    """A graph of events (user, query, item, split)."""
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = users, items
    data['user', 'interacts', 'item'].edge_index = torch.tensor([[0], [0]])
    data['query'].num_nodes = len(texts)
    data['query'].text = np.array(texts, dtype=object)
    user, query, item, split = (np.array(part) for part in zip(*events, strict=True))
    add_events(data, user, query, item, split.astype(object))
    return data


@pytest.fixture
def graph():
    return searched(
        [
            (0, 0, 0, 'train'),
            (0, 1, 1, 'train'),
            (1, 2, 0, 'train'),
            (0, 0, 1, 'train'),
            (2, 3, 3, 'test'),
            (0, 5, 2, 'valid'),
        ]
    )


def named(words, lists):
    return [[words.words[number] for number in each] for each in lists.tolist()]


def test_the_vocabulary_and_the_counts_come_from_training_events_alone(graph):
    words = query_words(graph)
    assert words.words == ('blue', 'hat', 'red', 'shoe')
    assert named(words, words.query) == [
        ['red', 'shoe'],
        ['red', 'hat'],
        ['blue', 'shoe'],
        [],  # 'green boot' is only searched in test.
        [],
        ['red', 'red', 'red'],
    ]
    assert words.num_unseen == 2
    assert named(words, words.user) == [['red', 'shoe', 'hat'], ['blue', 'shoe'], []]
    # Item 0: shoe twice; red before blue, each once. Item 1: red twice, then hat, then shoe.
    assert named(words, words.item) == [
        ['shoe', 'red', 'blue'],
        ['red', 'hat', 'shoe'],
        [],
        [],
    ]


def test_limits_keep_the_most_frequent_words_the_first_of_equal_ones(graph):
    assert query_words(graph, max_words=3).words == ('hat', 'red', 'shoe')
    assert query_words(graph, min_count=3).words == ('red', 'shoe')
    words = query_words(graph, query_length=1, user_length=2, item_length=1)
    assert named(words, words.query)[:3] == [['red'], ['red'], ['blue']]
    assert named(words, words.user) == [['red', 'shoe'], ['blue', 'shoe'], []]
    assert named(words, words.item) == [['shoe'], ['red'], [], []]
    # Cutting comes after unknown words are gone.
    short = query_words(graph, min_count=3, query_length=1)
    assert named(short, short.query)[2] == ['shoe']


@pytest.mark.parametrize('name', ['max_words', 'min_count', 'query_length', 'item_length'])
@pytest.mark.parametrize('value', [0, -1, 2.5, True])
def test_a_limit_below_one_is_refused(graph, name, value):
    with pytest.raises(graphrec.GraphError, match=f"'{name}' needs to be an integer"):
        query_words(graph, **{name: value})


def test_the_words_do_not_depend_on_held_out_events(graph):
    blind = graph.clone()
    for edge_type in blind.edge_types:
        if edge_type[1].startswith('holdout'):
            del blind[edge_type]
    seen, unseen = query_words(graph), query_words(blind)
    assert seen.words == unseen.words
    for name in ('query', 'user', 'item'):
        assert getattr(seen, name).tolist() == getattr(unseen, name).tolist()
    assert unseen.num_unseen == 0


triples = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 5),
        st.integers(0, 3),
        st.sampled_from(['train', 'valid', 'test']),
    ),
    min_size=1,
    max_size=15,
)


@given(events=triples, gone=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_deleting_a_users_events_equals_building_without_them(events, gone):
    wordless = (1, 4, 0, 'train')  # A graph needs an event; this one counts no word.
    edited = searched([*events, wordless])
    for split in event_labels(edited):
        keep = search_events(edited, split).user != gone
        for edge_type in event_types(split):
            edited[edge_type].edge_index = edited[edge_type].edge_index[:, keep]
    never = searched([*(event for event in events if event[0] != gone), wordless])
    after, built = query_words(edited), query_words(never)
    assert after.words == built.words
    assert after.digest == built.digest
    for name in ('query', 'user', 'item'):
        assert getattr(after, name).tolist() == getattr(built, name).tolist()


@given(events=triples, gone=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_deleting_a_query_equals_building_without_it(events, gone):
    wordless = (1, 4, 0, 'train')
    edited = searched([*events, wordless])
    for split in event_labels(edited):
        keep = search_events(edited, split).query != gone
        for edge_type in event_types(split):
            edited[edge_type].edge_index = edited[edge_type].edge_index[:, keep]
    edited['query'].text[gone] = None
    texts = [text if number != gone else '' for number, text in enumerate(TEXTS)]
    never = searched([*(event for event in events if event[1] != gone), wordless], texts)
    after, built = query_words(edited), query_words(never)
    assert after.words == built.words
    assert after.num_unseen == built.num_unseen
    for name in ('query', 'user', 'item'):
        assert getattr(after, name).tolist() == getattr(built, name).tolist()
    assert after.query.tolist()[gone] == []


@given(events=triples)
@settings(max_examples=60, deadline=None)
def test_top_words_agree_with_a_counter(events):
    data = searched([*events, (0, 4, 0, 'train')])
    words = query_words(data)
    for place, lists, length in ((0, words.user, 3), (2, words.item, 10)):
        for owner in range(len(lists)):
            counter = collections.Counter()
            for event in events:
                if event[3] == 'train' and event[place] == owner:
                    counter.update(tokenize(TEXTS[event[1]]))
            wanted = [word for word, _ in counter.most_common(length)]
            assert named(words, lists)[owner] == wanted


def test_new_texts_are_encoded_and_unknown_words_reported(graph):
    words = query_words(graph)
    encoded = words.encode(['SHOE, red!', 'purple hat', ''])
    assert named(words, encoded.lists) == [['shoe', 'red'], ['hat'], []]
    assert encoded.unseen == [[], ['purple'], []]
    with pytest.raises(graphrec.GraphError, match='pass'):
        words.encode('red')
    assert encode_texts(['a b a'], {'a': 7}).lists.tolist() == [[7, 7]]


def test_one_letter_words_numbers_and_accents_stay():
    assert tokenize('Björk: 90s R&B, [42, 6]') == ['björk', '90s', 'r', 'b', '42', '6']


def test_lists_are_selected_cut_and_padded():
    lists = WordLists.of([[1, 2, 3], [], [4]])
    assert len(lists) == 3
    assert lists.select(torch.tensor([2, 0, 0, 1])).tolist() == [[4], [1, 2, 3], [1, 2, 3], []]
    assert lists.cut(2).tolist() == [[1, 2], [], [4]]
    assert lists.padded(2).tolist() == [[1, 2], [-1, -1], [4, -1]]
    assert lists.row.tolist() == [0, 0, 0, 2]
    assert lists.to('cpu').tolist() == lists.tolist()
    assert WordLists.of([]).tolist() == []


def test_rows_are_carried_by_word():
    assert carry_rows(['a', 'b', 'd'], ['b', 'c', 'd']).tolist() == [1, -1, 2]


def test_a_table_takes_the_rows_of_known_words():
    old, new = torch.tensor([[1.0], [2.0], [4.0]]), torch.full((3, 1), -1.0)
    table = carry_table(old, new, ['a', 'b', 'd'], ['b', 'c', 'd'])
    assert table.tolist() == [[2.0], [-1.0], [4.0]]
    assert new.tolist() == [[-1.0]] * 3


def test_word_nodes_are_a_copy(graph):
    words = query_words(graph)
    view = with_words(graph, words)
    assert 'word' not in graph.node_types
    graphrec.graphs.validate(view)
    assert view['word'].id.tolist() == list(words.words)
    assert view['item', 'found_by', 'word'].edge_index.tolist() == [
        words.item.row.tolist(),
        words.item.word.tolist(),
    ]
    assert view['query', 'contains', 'word'].edge_index.size(1) == 9


def test_a_graph_without_searches_has_no_words():
    data = graphrec.datasets.planted(num_users=20, num_items=10, seed=0)
    words = query_words(data)
    assert words.words == ()
    assert len(words.user) == 20
    assert words.item.tolist() == [[]] * 10
    assert words.encode(['red']).unseen == [['red']]


def test_word_edges_stand_in_for_texts():
    data = graphrec.datasets.planted(
        num_users=20, num_items=10, num_queries=8, query_words=True, seed=0
    )
    from_text = query_words(data)
    del data['query'].text
    assert query_words(data).words == from_text.words
    del data['query', 'contains', 'word']
    with pytest.raises(graphrec.GraphError, match=r"neither data\['query'\].text nor edges"):
        query_words(data)


def test_a_missing_text_is_no_word(graph):
    graph['query'].text[0] = None
    graph['query'].text[1] = float('nan')
    assert query_texts(graph)[:2] == ['', '']
    assert query_words(graph).words == ('blue', 'shoe')
