import math

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError, UnknownIdError
from graphrec.evaluation import evaluate
from graphrec.graphs.search import add_events, search_events
from graphrec.graphs.words import Encoded, WordLists
from graphrec.models.recommender import Recommender
from graphrec.search_evaluation import evaluate_search
from graphrec.significance import paired_test

TEXTS = ['red', 'blue', 'green']
ITEMS = 6


class Words(Recommender):
    """Scores an item by a table of words and items, and users by nothing."""

    def __init__(self, table, num_users):
        torch.nn.Module.__init__(self)
        self.table = {word: torch.tensor(row, dtype=torch.float32) for word, row in table.items()}
        self.num_users, self.num_items = num_users, ITEMS

    def encode_queries(self, texts):
        known = list(self.table)
        lists = [[known.index(w) for w in text.split() if w in known] for text in texts]
        return Encoded(WordLists.of(lists), [[] for _ in texts])

    def query_ranker(self):
        rows = list(self.table.values())

        def rank(user, lists):
            scores = [sum((rows[w] for w in each), torch.zeros(ITEMS)) for each in lists.tolist()]
            return torch.stack(scores)

        return rank


def graph(events, users=4):
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = users, ITEMS
    data['user'].id = np.array([f'u{n}' for n in range(users)], dtype=object)
    data['user', 'interacts', 'item'].edge_index = torch.tensor([[0, 1], [0, 5]])
    data['query'].num_nodes = len(TEXTS)
    data['query'].text = np.array(TEXTS, dtype=object)
    user, query, item, split = (np.array(part) for part in zip(*events, strict=True))
    add_events(data, user, query, item, split.astype(object))
    return data


@pytest.fixture
def small():
    data = graph(
        [
            (0, 0, 1, 'train'),
            (0, 0, 2, 'test'),
            (0, 0, 3, 'test'),
            (1, 1, 5, 'test'),
            (2, 2, 0, 'test'),
        ]
    )
    return Words({'red': [6, 5, 4, 3, 2, 1], 'blue': [1, 2, 2, 3, 2, 2]}, 4), data


def test_by_hand(small):
    model, data = small
    score = evaluate(model, data, task='search', k=(2, 5), metrics=('hit', 'ndcg', 'mrr', 'auc'))
    # Ranks: item 2 behind 0 and 1; item 3 too, since item 2 is right as well; item 5 behind 3,
    # 1, 2 and 4 (ties count); the query 'green' has no known word, so all are equal.
    assert score.per_event['rank'].tolist() == [3, 3, 5, 6]
    assert score.per_event['user'].tolist() == ['u0', 'u0', 'u1', 'u2']
    assert score['hit@2'] == 0
    assert score['hit@5'] == pytest.approx(3 / 4)
    assert score['ndcg@5'] == pytest.approx((1 / 2 + 1 / 2 + 1 / math.log2(6)) / 4)
    assert score['mrr@5'] == pytest.approx((1 / 3 + 1 / 3 + 1 / 5) / 4)
    assert score['auc'] == pytest.approx((2 * (1 - 2 / 4) + (1 - 4 / 5) + 0) / 4)
    assert score.per_user['num_heldout'].tolist() == [2, 1, 1]
    assert score.per_user['hit@5'].tolist() == [1, 1, 0]
    assert score.num_users == 3
    assert score.dropped == {'no held-out searches': 1}
    assert score.notes == {'searches have no word that the model knows': 1}
    assert 'test: 4 searches of 3 users, full ranking of 6 items, nothing masked' in str(score)
    assert 'auc' in str(score)


def test_masked_items_leave_the_running(small):
    model, data = small
    score = evaluate(model, data, task='search', k=5, mask='train')
    # Items 0 (interaction) and 1 (search) of user 0 are gone; item 5 of user 1 never comes.
    assert score.per_event['rank'].tolist() == [1, 1, 6, 6]
    with pytest.raises(GraphError, match="'split' is 'valid'"):
        evaluate(model, data, task='search', k=5, mask='valid')


def test_groups_by_query_and_by_user(small):
    score = evaluate(*small, task='search', k=5, metrics='hit', groups=True)
    assert score.groups['num_searches'].to_dict() == {
        'cold queries': 2,
        'known queries': 2,
        'users without searches': 2,
        'users with searches': 2,
    }
    assert score.groups.loc['cold queries', 'hit@5'] == 0.5
    assert score.groups.loc['users with searches', 'num_users'] == 1
    by_user = evaluate(*small, task='search', k=5, metrics='hit', groups={'u0': 'a', 'u1': 'b'})
    assert by_user.groups['hit@5'].to_dict() == {'a': 1, 'b': 1, 'unknown': 0}


def test_chosen_users_and_paired_values(small):
    model, data = small
    score = evaluate(model, data, task='search', k=5, users=['u1'])
    assert score.per_event['rank'].tolist() == [5]
    with pytest.raises(UnknownIdError):
        evaluate(model, data, task='search', k=5, users=['u9'])
    better = Words({'red': [0, 0, 9, 9, 0, 0], 'blue': [0] * 5 + [1], 'green': [1] + [0] * 5}, 4)
    other = evaluate(better, data, task='search', k=2, metrics='hit')
    assert other['hit@2'] == 1
    found = paired_test(other, evaluate(model, data, task='search', k=2, metrics='hit'), 'hit@2')
    assert (found.difference, found.num_users) == (1, 3)


def test_sampled_ranking_is_named_and_pessimistic(small):
    model, data = small
    score = evaluate(
        model, data, task='search', k=2, metrics=('hit', 'auc'), num_negatives=2, seed=3
    )
    assert list(score) == ['sampled2_hit@2', 'sampled2_auc']
    assert 'sampled ranking 1 against 2, seed 3' in score.protocol
    # User 0 has 0, 1, 2 and 3: items 4 and 5 are all there is, and both are worse.
    assert score.per_event['rank'].tolist()[:2] == [1, 1]
    # Without a known word all scores are equal: the last place.
    assert score.per_event['rank'].tolist()[3] == 3
    again = evaluate(
        model, data, task='search', k=2, metrics=('hit', 'auc'), num_negatives=2, seed=3
    )
    assert again == score
    with pytest.raises(GraphError, match='has only 2 items left'):
        evaluate(model, data, task='search', k=2, num_negatives=3)


def test_sampled_items_are_in_no_split():
    everything = [(0, 0, item, split) for item, split in enumerate(['train', 'valid', 'test'])]
    data = graph(everything, users=2)
    data['user', 'holdout_valid', 'item'].edge_index = torch.tensor([[0], [3]])
    # Only 4 and 5 are left for user 0; a model that likes the others most cannot lose.
    model = Words({'red': [9, 9, 5, 9, 1, 1]}, 2)
    for seed in range(5):
        score = evaluate(model, data, task='search', k=1, num_negatives=2, seed=seed)
        assert score['sampled2_recall@1'] == 1


def test_rank_and_area_say_the_same_without_ties():
    generator = torch.Generator().manual_seed(0)
    events = [(u, q, i, 'test') for u in range(4) for q, i in ((0, u), (1, u + 1), (2, u + 2))]
    rows = torch.rand(3, ITEMS, generator=generator).tolist()
    model = Words(dict(zip(TEXTS, rows, strict=True)), 4)
    score = evaluate(
        model, graph(events), task='search', k=3, metrics=('auc', 'mrr'), num_negatives=2
    )
    place = score.per_event['rank'] - 1
    assert score.per_event['sampled2_auc'].tolist() == (1 - place / 2).tolist()
    assert score.per_event['sampled2_mrr@3'].tolist() == (1 / (place + 1)).tolist()


def test_blocks_do_not_matter(small):
    model, data = small
    whole = evaluate(model, data, task='search', k=3)
    assert evaluate(model, data, task='search', k=3, block_size=1) == whole
    masked = evaluate(model, data, task='search', k=3, mask='train')
    assert evaluate(model, data, task='search', k=3, mask='train', block_size=3) == masked


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'metrics': 'coverage'}, "unknown metric 'coverage' of a search"),
        ({'mask': 'test'}, "is also in 'mask'"),
        ({'num_negatives': 0}, 'at least 1'),
        ({'k': 7}, "'k' is 7"),
        ({'k': ()}, 'at least one entry'),
        ({'items': 'cold'}, "'items' belongs to recommendation"),
        ({'ideal': 'retrieved'}, "'ideal' belongs to recommendation"),
        ({'require_training': True}, "'require_training' belongs"),
        ({'split': 'valid'}, 'no such search events'),
        ({'task': 'guess'}, "'task' needs to be"),
    ],
)
def test_bad_arguments(small, options, message):
    with pytest.raises(GraphError, match=message):
        evaluate(*small, **({'task': 'search', 'k': 5} | options))


def test_a_model_without_queries_or_a_graph_without_searches(small):
    model, data = small
    with pytest.raises(GraphError, match='Recommender has no queries'):
        evaluate_search(Recommender.__new__(Recommender), data)
    for edge_type in (('user', 'holdout_test', 'query'), ('query', 'holdout_test', 'item')):
        data[edge_type].edge_index = data[edge_type].edge_index[:, :0]
    assert search_events(data, 'test').user.numel() == 0
    with pytest.raises(GraphError, match='no search is left'):
        evaluate(model, data, task='search', k=5)


def test_scores_through_the_common_call(small):
    model, _ = small
    assert model.score([0, -1], query='red').tolist() == [[6, 5, 4, 3, 2, 1]] * 2
    assert model.score([0, 1], [3, 3], query=['red', 'blue']).tolist() == [3, 3]
    assert model.score(0, 2, query='red blue').item() == 6
    with pytest.raises(GraphError, match='holds 1 texts for 2 users'):
        model.score([0, 1], query=['red'])


def test_nan_scores_are_refused(small):
    model, data = small
    model.table['red'][0] = torch.nan
    with pytest.raises(GraphError, match='are NaN'):
        evaluate(model, data, task='search', k=5)
