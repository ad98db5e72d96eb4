import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric import metrics as pyg
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError, UnknownIdError
from graphrec.evaluation import evaluate
from graphrec.models.recommender import Recommender


class Table(Recommender):
    """Scores every user by a row of a fixed table."""

    def __init__(self, scores):
        torch.nn.Module.__init__(self)
        self.scores = torch.as_tensor(scores, dtype=torch.float32)
        self.num_users, self.num_items = self.scores.shape

    def ranker(self):
        return lambda users: self.scores[users].clone()


def graph(train, test, num_users=4, num_items=5, valid=None):
    data = HeteroData()
    data['user'].num_nodes = num_users
    data['user'].id = np.array([f'u{n}' for n in range(num_users)], dtype=object)
    data['item'].num_nodes = num_items
    data['item'].id = np.arange(num_items) * 10
    data['user', 'interacts', 'item'].edge_index = torch.tensor(train).t().reshape(2, -1)
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor(test).t().reshape(2, -1)
    if valid is not None:
        data['user', 'holdout_valid', 'item'].edge_index = torch.tensor(valid).t()
    return data


@pytest.fixture
def small():
    # u0 has item 0 and holds out 1, 4; u1 has 0, 1 and holds out 2; u2 has nothing and
    # holds out 3; u3 holds out nothing. Items 3 and 4 are cold.
    train = [[0, 0], [1, 0], [1, 1], [3, 2]]
    test = [[0, 1], [0, 4], [1, 2], [2, 3]]
    scores = [
        [9, 8, 7, 6, 5],  # Ranked: 1 2 3 4, hits at ranks 1 and 4.
        [9, 8, 1, 6, 5],  # Ranked: 3 4 2, a hit at rank 3.
        [9, 8, 7, 6, 5],  # Ranked: 0 1 2 3, a hit at rank 4.
        [9, 8, 7, 6, 5],
    ]
    return Table(scores), graph(train, test)


def test_by_hand(small):
    score = evaluate(*small, k=(2, 3), metrics=('recall', 'ndcg', 'hit', 'coverage'))
    assert score['recall@2'] == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert score['recall@3'] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert score['ndcg@3'] == pytest.approx((1 / (1 + 1 / math.log2(3)) + 1 / 2 + 0) / 3)
    assert score['hit@3'] == pytest.approx(2 / 3)
    assert score['coverage@2'] == 1.0  # 1 2 | 3 4 | 0 1
    assert list(score) == [
        f'{m}@{k}' for m in ('recall', 'ndcg', 'hit', 'coverage') for k in (2, 3)
    ]
    assert json.loads(json.dumps(score)) == score


def test_counts_and_values_of_users(small):
    score = evaluate(*small, k=3, metrics='recall')
    assert score.num_users == 3
    assert score.dropped == {'no held-out items': 1}
    assert score.notes['users have no training items and are ranked all the same'] == 1
    assert score.per_user['user'].tolist() == ['u0', 'u1', 'u2']
    assert score.per_user['num_heldout'].tolist() == [2, 1, 1]
    assert score.per_user['recall@3'].tolist() == [0.5, 1.0, 0.0]
    text = str(score)
    assert 'test: 3 users, full ranking of 5 items, train masked' in text
    assert 'left out: 1 users: no held-out items' in text
    assert '0.5000' in text
    assert 'note: 1 users have no training items' in text


def test_require_training(small):
    score = evaluate(*small, k=3, metrics='recall', require_training=True)
    assert score.dropped == {'no held-out items': 1, 'no training items': 1}
    assert score['recall@3'] == 0.75


def test_means_equal_torch_geometric():
    generator = torch.Generator().manual_seed(3)
    edges = (torch.rand(60, 40, generator=generator) < 0.3).nonzero()
    test = torch.rand(len(edges), generator=generator) < 0.3
    data = graph(edges[~test].tolist(), edges[test].tolist(), 60, 40)
    scores = torch.randn(60, 40, generator=generator)
    score = evaluate(
        Table(scores), data, k=(5, 10), metrics=('recall', 'precision', 'ndcg', 'map', 'mrr', 'hit')
    )
    scores[edges[~test][:, 0], edges[~test][:, 1]] = -torch.inf
    ranked = scores.topk(10).indices
    kinds = {
        'recall': pyg.LinkPredRecall,
        'precision': pyg.LinkPredPrecision,
        'ndcg': pyg.LinkPredNDCG,
        'map': pyg.LinkPredMAP,
        'mrr': pyg.LinkPredMRR,
        'hit': pyg.LinkPredHitRatio,
    }
    for name, kind in kinds.items():
        for k in (5, 10):
            metric = kind(k)
            metric.update(ranked, edges[test].t())
            assert score[f'{name}@{k}'] == pytest.approx(float(metric.compute()), abs=1e-6)


def test_mask_of_validation_items():
    data = graph([[0, 0]], [[0, 2]], valid=[[0, 1]])
    model = Table([[9, 8, 7, 6, 5]] * 4)
    assert evaluate(model, data, k=1, metrics='recall')['recall@1'] == 0.0
    both = evaluate(model, data, k=1, metrics='recall', mask=('train', 'valid'))
    assert both['recall@1'] == 1.0
    assert evaluate(model, data, k=2, metrics='recall', mask=())['recall@2'] == 0.0
    assert evaluate(model, data, split='train', k=1, metrics='hit', mask=())['hit@1'] == 1.0


def test_masked_heldout_pair_is_counted():
    data = graph([[0, 0], [0, 1]], [[0, 1], [0, 2]])
    score = evaluate(Table([[9, 8, 7, 6, 5]] * 4), data, k=3, metrics='recall')
    assert score['recall@3'] == 0.5
    assert score.notes['held-out pairs are masked as well and can never be found'] == 1


def test_users_by_id(small):
    score = evaluate(*small, users=['u1', 'u3'], k=3, metrics='recall')
    assert (score.num_users, score.dropped) == (1, {'no held-out items': 1})
    assert score['recall@3'] == 1.0
    with pytest.raises(UnknownIdError, match='nobody'):
        evaluate(*small, users=['nobody'])


def test_cold_items(small):
    # Held-out pairs with a cold item: (u0, 4), (u2, 3).
    among = evaluate(*small, items='cold', k=(1, 2), metrics='recall')
    assert among.per_user['user'].tolist() == ['u0', 'u2']
    assert among['recall@1'] == 0.5
    assert among['recall@2'] == 1.0
    assert among.dropped['no held-out item among the chosen ones'] == 1
    against_all = evaluate(*small, items='cold', cold_against='all', k=(2, 4), metrics='recall')
    assert against_all['recall@2'] == 0.0
    assert against_all['recall@4'] == 1.0
    same = evaluate(*small, items=[30, 40], k=(1, 2), metrics='recall')
    assert dict(same) == dict(among)


def test_no_cold_items():
    data = graph([[0, n] for n in range(5)], [[1, 2]])
    with pytest.raises(GraphError, match='every item has training edges'):
        evaluate(Table(torch.zeros(4, 5)), data, items='cold', k=1)


def test_activity_groups(small):
    groups = evaluate(*small, k=3, metrics='recall', groups='activity', num_groups=3).groups
    assert groups.index.tolist() == ['0 training items', '1 training items', '2 training items']
    assert groups['num_users'].tolist() == [1, 1, 1]
    assert groups['recall@3'].tolist() == [0.0, 0.5, 1.0]


def test_groups_by_column_and_by_dict(small):
    model, data = small
    data['user'].country = np.array(['DE', 'FR', 'DE', 'FR'], dtype=object)
    by_column = evaluate(model, data, k=3, metrics='recall', groups='country').groups
    assert by_column['recall@3'].to_dict() == {'DE': 0.25, 'FR': 1.0}
    by_dict = evaluate(model, data, k=3, metrics='recall', groups={'u0': 'a', 'u1': 'a'}).groups
    assert by_dict['recall@3'].to_dict() == {'a': 0.75, 'unknown': 0.0}
    assert by_dict['num_users'].to_dict() == {'a': 2, 'unknown': 1}
    with pytest.raises(GraphError, match='no such column'):
        evaluate(model, data, k=3, groups='age')


def test_sampled_ranking_is_named_and_exact_when_all_are_drawn():
    # Three items are neither in training nor held out: all are drawn.
    data = graph([[0, 0]], [[0, 3]])
    model = Table([[9, 8, 1, 6, 7]] * 4)
    score = evaluate(model, data, k=(1, 3), metrics=('recall', 'ndcg'), num_negatives=3)
    assert dict(score) == {
        'sampled3_recall@1': 0.0,
        'sampled3_recall@3': 1.0,
        'sampled3_ndcg@1': 0.0,
        'sampled3_ndcg@3': 0.5,
    }
    assert 'sampled ranking 1 against 3' in score.protocol
    with pytest.raises(GraphError, match=r"'num_negatives' is 4.* only 3 items"):
        evaluate(model, data, k=1, num_negatives=4)
    with pytest.raises(GraphError, match='coverage'):
        evaluate(model, data, k=1, num_negatives=2, metrics='coverage')


def test_sampled_ranking_is_seeded_and_easier(small):
    generator = torch.Generator().manual_seed(0)
    edges = (torch.rand(30, 60, generator=generator) < 0.2).nonzero()
    test = torch.rand(len(edges), generator=generator) < 0.2
    data = graph(edges[~test].tolist(), edges[test].tolist(), 30, 60)
    model = Table(torch.randn(30, 60, generator=generator))
    first, again, other = (
        evaluate(model, data, k=5, metrics='recall', num_negatives=20, seed=seed, block_size=size)
        for seed, size in ((0, 7), (0, None), (1, None))
    )
    pd.testing.assert_frame_equal(first.per_user, again.per_user)
    assert dict(first) != dict(other)
    assert first['sampled20_recall@5'] > evaluate(model, data, k=5, metrics='recall')['recall@5']


def test_retrieved_ideal_is_never_lower(small):
    full = evaluate(*small, k=3, metrics='ndcg')
    retrieved = evaluate(*small, k=3, metrics='ndcg', ideal='retrieved')
    assert retrieved['ndcg@3'] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert retrieved['ndcg@3'] > full['ndcg@3']
    assert 'retrieved' in retrieved.protocol


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'k': 6}, r"'k' is 6.* 5 items"),
        ({'k': 3, 'items': 'cold'}, r"'k' is 3.* 2 chosen items"),
        ({'k': 0}, 'positive integer'),
        ({'k': ()}, "'k' is empty"),
        ({'metrics': ('recal',)}, 'recal'),
        ({'metrics': ()}, "'metrics' is empty"),
        ({'ideal': 'best'}, 'ideal'),
        ({'task': 'search'}, 'has no queries'),
        ({'split': 'valid'}, "'split' is 'valid'"),
        ({'mask': ('train', 'test')}, "also in 'mask'"),
        ({'items': 'warm'}, "'items'"),
        ({'cold_against': 'warm'}, "'cold_against'"),
        ({'num_negatives': 0}, "'num_negatives'"),
        ({'users': ['u3']}, 'no user is left'),
    ],
)
def test_bad_arguments(small, arguments, message):
    with pytest.raises(GraphError, match=message):
        evaluate(*small, **{'k': 1, **arguments})


def test_model_of_another_graph(small):
    with pytest.raises(GraphError, match='num_items=3'):
        evaluate(Table(torch.zeros(4, 3)), small[1], k=1)


def test_nan_scores(small):
    model, data = small
    model.scores[1, 2] = torch.nan
    with pytest.raises(GraphError, match='user number 1'):
        evaluate(model, data, k=1)
    with pytest.raises(GraphError, match='user number 1'):
        evaluate(model, data, k=1, num_negatives=1)


def test_input_is_left_as_it_was(small):
    model, data = small
    before = data.clone()
    model.train()
    evaluate(model, data, k=1)
    assert model.training
    for edge_type in data.edge_types:
        assert torch.equal(data[edge_type].edge_index, before[edge_type].edge_index)


def test_sampled_area_is_the_share_of_items_behind(small):
    model, data = small
    score = evaluate(model, data, k=2, metrics=('hit', 'auc'), num_negatives=2, seed=0)
    assert list(score) == ['sampled2_hit@2', 'sampled2_auc']
    # Items 2 and 3 are drawn for user 0, whose item 1 is ahead of both and 4 behind both.
    assert score.per_user['sampled2_auc'][0] == pytest.approx((1 + 0) / 2)
    with pytest.raises(GraphError, match="unknown metric 'auc'"):
        evaluate(model, data, k=2, metrics='auc')


def test_groups_by_searches(small):
    model, data = small
    data['query'].num_nodes = 1
    data['user', 'searches', 'query'].edge_index = torch.tensor([[1], [0]])
    data['query', 'finds', 'item'].edge_index = torch.tensor([[0], [1]])
    score = evaluate(model, data, k=3, metrics='recall', groups='searches')
    assert score.groups['num_users'].to_dict() == {'no searches': 2, 'searches': 1}
    assert score.groups.loc['searches', 'recall@3'] == 1
