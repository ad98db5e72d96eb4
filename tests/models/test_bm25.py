import collections
import math
import sys

import numpy as np
import pytest
import torch

import graphrec
from graphrec.errors import GraphError
from graphrec.graphs.search import add_events
from graphrec.graphs.words import tokenize
from graphrec.models import BM25

TITLES = ['Red shoe, red laces', 'Blue shoe', 'Green hat', None, 'red hat with a blue shoe on it']


@pytest.fixture
def data():
    data = graphrec.datasets.planted(num_users=6, num_items=5, num_communities=2, seed=0)
    data['item'].title = np.array(TITLES, dtype=object)
    data['item'].asin = np.array(['a1', 'b2', 'c3', 'd4', 'e5'], dtype=object)
    data['query'].num_nodes = 2
    data['query'].text = np.array(['red shoe', 'sandal'], dtype=object)
    labels = np.array(['train', 'train', 'test'], dtype=object)
    add_events(data, np.array([0, 1, 2]), np.array([0, 1, 1]), np.array([0, 3, 2]), labels)
    return data


def textbook(texts, query, k1, b):
    """The formula of the docstring, word by word."""
    tokens = [tokenize(text or '') for text in texts]
    mean = sum(map(len, tokens)) / len(tokens)
    scores = []
    for words in tokens:
        count, score = collections.Counter(words), 0.0
        for word in tokenize(query):
            with_word = sum(word in other for other in tokens)
            idf = math.log(1 + (len(tokens) - with_word + 0.5) / (with_word + 0.5))
            length = k1 * (1 - b + b * len(words) / mean)
            score += idf * count[word] / (count[word] + length) if count[word] else 0.0
        scores.append(score)
    return scores


@pytest.mark.parametrize(('k1', 'b'), [(1.5, 0.75), (0.9, 0.4), (2.0, 0.0)])
def test_scores_follow_the_formula(data, k1, b):
    model = BM25.from_graph(data, k1=k1, b=b)
    for query in ('red', 'BLUE shoe', 'shoe shoe hat', 'hat unheard'):
        found = model.score([0, -1], query=query)
        expected = textbook(TITLES, query, k1, b)
        assert found[0].tolist() == pytest.approx(expected, abs=1e-6)
        assert torch.equal(found[0], found[1])
    assert model.encode_queries(['hat unheard']).unseen == [['unheard']]
    assert model.score([0], query='unheard').abs().sum() == 0


def test_queries_of_training_searches_can_be_part_of_the_text(data):
    model = BM25.from_graph(data, with_queries=True)
    texts = ['Red shoe, red laces red shoe', *TITLES[1:3], 'sandal', TITLES[4]]
    expected = textbook(texts, 'red sandal', 1.5, 0.75)
    assert model.score([0], query='red sandal')[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_recommendation_is_a_search_for_what_the_user_searched(data):
    model = BM25.from_graph(data, with_queries=True)
    searched = model.score([0, 1], query=['red shoe', 'sandal'])
    torch.testing.assert_close(model.score([0, 1]), searched)
    assert model.score([2]).abs().sum() == 0  # Searched in test only.


def test_columns_are_chosen(data):
    data['item'].tags = np.array(['sandal'] * 5, dtype=object)
    assert 'sandal' not in BM25.from_graph(data).numbers  # Tags may be the test's queries.
    assert 'sandal' in BM25.from_graph(data, columns=('tags',)).numbers
    model = BM25.from_graph(data, columns=('asin',))
    assert model.score([0], query='c3')[0].nonzero().flatten().tolist() == [2]
    with pytest.raises(GraphError, match="'columns' names 'price'"):
        BM25.from_graph(data, columns=('price',))
    del data['item'].title
    with pytest.raises(GraphError, match='the items have no text'):
        BM25.from_graph(data)


def test_refresh_forgets_what_the_data_forgot(data):
    model = BM25.from_graph(data, with_queries=True)
    assert 'sandal' in model.numbers
    edges = data['user', 'searches', 'query'].edge_index
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        data[edge_type].edge_index = data[edge_type].edge_index[:, edges[0] != 1]
    model.refresh(data)
    assert 'sandal' not in model.numbers
    assert torch.equal(
        model.score([0, 1], query='red'),
        BM25.from_graph(data, with_queries=True).score([0, 1], query='red'),
    )


@pytest.mark.parametrize(('name', 'value'), [('k1', -1.0), ('b', 1.5)])
def test_settings_out_of_range(data, name, value):
    with pytest.raises(GraphError, match=name):
        BM25.from_graph(data, **{name: value})


def test_without_the_library_the_error_names_it(data, monkeypatch):
    monkeypatch.setitem(sys.modules, 'bm25s', None)
    with pytest.raises(GraphError, match='pip install bm25s'):
        BM25.from_graph(data)


def test_it_finds_planted_intents():
    data = graphrec.datasets.planted(
        num_users=200, num_items=120, num_communities=3, num_intents=4, num_queries=40, seed=0
    )
    model = BM25.from_graph(data, with_queries=True)
    found = graphrec.evaluate(model, data, task='search', k=30, metrics=('hit', 'auc'))
    # A quarter of the items serve the intent, so chance is 0.25 and 0.5.
    assert found['hit@30'] > 0.4
    assert found['auc'] > 0.75


def test_saved_and_loaded(data, tmp_path):
    model = BM25.from_graph(data, columns=('title', 'asin'))
    graphrec.save(model, tmp_path / 'bm25')
    loaded = graphrec.load_model(tmp_path / 'bm25', data)
    assert torch.equal(loaded.score([0], query='red c3'), model.score([0], query='red c3'))
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        data[edge_type].edge_index = data[edge_type].edge_index[:, 1:]
    with pytest.raises(GraphError, match='trained on other edges'):
        graphrec.load_model(tmp_path / 'bm25', data)
