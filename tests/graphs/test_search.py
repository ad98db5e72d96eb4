import pandas as pd
import pytest

import graphrec
from graphrec.graphs.search import search_digest, search_events, search_history


def test_histories_are_in_order_of_time():
    log = pd.DataFrame(
        {
            'user': [1, 0, 1, 1],
            'item': [0, 1, 1, 2],
            'query': list('abcd'),
            'timestamp': [9, 5, 3, 9],
        }
    )
    pairs = log[['user', 'item']].assign(split='train')
    data = graphrec.graphs.from_tables(pairs, queries=log)
    ptr, event = search_history(data)
    assert ptr.tolist() == [0, 1, 4]
    assert event.tolist() == [1, 2, 0, 3]
    for part in ('searches', 'finds'):
        ends = ('user', 'query') if part == 'searches' else ('query', 'item')
        del data[ends[0], part, ends[1]].time
    assert search_history(data)[1].tolist() == [1, 0, 2, 3]


def test_twins_that_differ_are_refused():
    graph = graphrec.datasets.planted(num_users=20, num_items=15, num_queries=8, seed=0)
    count = search_events(graph).user.numel()
    finds = graph['query', 'finds', 'item']
    finds.edge_index = finds.edge_index.flip(1)
    with pytest.raises(graphrec.GraphError, match='store both in the same order'):
        search_events(graph)
    finds.edge_index = finds.edge_index[:, :2]
    with pytest.raises(graphrec.GraphError, match=f'{count} events but'):
        search_events(graph)
    with pytest.raises(graphrec.GraphError, match="'split' is 'cold'"):
        search_events(graph, 'cold')


def test_the_digest_is_of_training_searches_and_their_texts():
    sizes = {'num_users': 20, 'num_items': 15, 'num_queries': 8}
    data = graphrec.datasets.planted(**sizes, seed=0)
    digest = search_digest(data)
    other = data.clone()
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        other[edge_type].edge_index = other[edge_type].edge_index.flip(1)
    del other['user', 'holdout_test', 'query'], other['query', 'holdout_test', 'item']
    assert search_digest(other) == digest
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        other[edge_type].edge_index = other[edge_type].edge_index[:, 1:]
    assert search_digest(other) != digest
    other = data.clone()
    other['query'].text = data['query'].text.copy()
    other['query'].text[int(search_events(data).query[0])] = 'another'
    assert search_digest(other) != digest
    assert len(search_digest(graphrec.datasets.planted(num_users=9, num_items=8))) == 64
