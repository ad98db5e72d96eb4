import sys

import numpy as np
import pandas as pd
import pytest
import torch

import graphrec
from graphrec.errors import GraphError, UnknownIdError
from graphrec.graphs.words import Encoded, WordLists
from graphrec.models.recommender import Recommender

WORDS = ['mug', 'pot', 'tea']


class Shelf(Recommender):
    """Scores by a table of words and items, plus one of users and items for known users."""

    def __init__(self, num_users):
        torch.nn.Module.__init__(self)
        self.num_users, self.num_items = num_users, 4
        self.words = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]])
        self.taste = torch.arange(4.0).repeat(num_users, 1) * 0.1

    def encode_queries(self, texts):
        tokens = [text.lower().split() for text in texts]
        lists = [[WORDS.index(w) for w in each if w in WORDS] for each in tokens]
        return Encoded(
            WordLists.of(lists), [[w for w in each if w not in WORDS] for each in tokens]
        )

    def query_ranker(self):
        def rank(user, lists):
            scores = torch.stack([self.words[each].sum(0) for each in lists.tolist()])
            return scores + self.taste[user] * (user >= 0).unsqueeze(1)

        return rank

    def ranker(self):
        return lambda user: self.taste[user].clone()

    def demand_words(self, user, item, k=3):
        return [[f'{u}', f'{i}'] for u, i in zip(user.tolist(), item.tolist(), strict=True)]


@pytest.fixture
def data():
    table = pd.DataFrame({'user': ['ann', 'ann', 'bob'], 'item': [10, 40, 20]})
    items = pd.DataFrame({'item': [10, 20, 30, 40], 'title': ['A mug', 'A pot', 'Tea', None]})
    return graphrec.graphs.from_tables(table, items=items)


@pytest.fixture
def model():
    return Shelf(2)


def test_one_query_for_someone_unknown(model, data):
    found = graphrec.search(model, data, 'tea', k=3)
    assert list(found.columns) == ['query', 'item', 'title', 'score', 'rank']
    assert found['item'].tolist() == [30, 40, 10]  # Equal scores by node number.
    assert found['title'].tolist() == ['Tea', '', 'A mug']
    assert found['rank'].tolist() == [1, 2, 3]
    assert found.attrs['unseen'] == [[]]


def test_several_queries_and_askers(model, data):
    found = graphrec.search(model, data, ['tea', 'Pot please'], user=['ann', 'bob'], k=2)
    assert found['query'].tolist() == ['tea', 'tea', 'Pot please', 'Pot please']
    assert found['user'].tolist() == ['ann', 'ann', 'bob', 'bob']
    assert found['item'].tolist() == [40, 30, 20, 40]  # Taste breaks the tie.
    assert found.attrs['unseen'] == [[], ['please']]
    both = graphrec.search(model, data, ['tea', 'tea'], user='ann', k=1)
    assert both['item'].tolist() == [40, 40]
    assert both.equals(graphrec.search(model, data, ['tea', 'tea'], user='ann', k=1, block_size=1))


def test_a_query_of_unknown_words_is_ranked_by_taste(model, data):
    found = graphrec.search(model, data, 'sofa', user='ann', k=4)
    assert found['item'].tolist() == [40, 30, 20, 10]
    assert found.attrs['unseen'] == [['sofa']]


def test_seen_and_unwanted_items_are_left_out_when_asked(model, data):
    found = graphrec.search(
        model, data, ['tea', 'mug'], user=['ann', 'bob'], k=4, exclude_seen=True
    )
    assert found.loc[found['user'] == 'ann', 'item'].tolist() == [30, 20]
    assert found.loc[found['user'] == 'bob', 'item'].tolist() == [10, 40, 30]
    nobody = graphrec.search(model, data, 'tea', k=4, exclude_seen=True)
    assert len(nobody) == 4
    few = graphrec.search(model, data, 'tea', k=2, items=[10, 30, 40], exclude=[30])
    assert few['item'].tolist() == [40, 10]


def test_without_titles_there_is_no_column(model, data):
    del data['item'].title
    assert list(graphrec.search(model, data, 'tea', k=1).columns) == [
        'query',
        'item',
        'score',
        'rank',
    ]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'query': ''}, 'at least one word'),
        ({'query': ['tea', None]}, 'at least one word'),
        ({'query': []}, 'at least one text'),
        ({'query': 'tea', 'k': 5}, "'k' is 5"),
        ({'query': ['tea', 'pot'], 'user': ['ann']}, "'user' holds 1 ids for 2 queries"),
    ],
)
def test_bad_input(model, data, options, message):
    with pytest.raises(GraphError, match=message):
        graphrec.search(model, data, **({'k': 2} | options))


def test_unknown_ids_and_models_without_queries(model, data):
    with pytest.raises(UnknownIdError, match='zoe'):
        graphrec.search(model, data, 'tea', user='zoe', k=1)
    popular = graphrec.models.Popularity.from_graph(data)
    with pytest.raises(GraphError, match='Popularity has no queries'):
        graphrec.search(popular, data, 'tea', k=1)


def test_recommendations_say_what_the_user_looks_for(model, data, monkeypatch):
    top = graphrec.recommend(model, data, users=['bob'], k=2)
    assert top['item'].tolist() == [40, 30]
    assert top['reason'].tolist() == ['1, 3', '1, 2']
    monkeypatch.setattr(sys.modules['graphrec.recommend'], '_PAIRS_AT_ONCE', 3)
    everyone = graphrec.recommend(model, data, k=2)
    assert everyone['reason'].tolist() == ['0, 2', '0, 1', '1, 3', '1, 2']
    popular = graphrec.recommend(graphrec.models.Popularity.from_graph(data), data, k=2)
    assert 'reason' not in popular


def test_the_library_model_finds_titles(data):
    bm25 = graphrec.models.BM25.from_graph(data)
    found = graphrec.search(bm25, data, ['a POT', 'tea'], user='ann', k=1)
    assert found['title'].tolist() == ['A pot', 'Tea']
    assert np.isfinite(found['score']).all()
