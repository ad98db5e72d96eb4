import pytest

from graphrec.datasets.planted import planted
from graphrec.errors import GraphError
from graphrec.evaluation import evaluate
from graphrec.graphs.schema import HOLDOUT_TEST, HOLDOUT_VALID
from graphrec.models import BM25, Popularity
from graphrec.validation import Validation, parse_metric


@pytest.fixture(scope='module')
def data():
    return planted(num_users=30, num_items=25, num_interactions=250, seed=1)


def test_values_are_those_of_the_validation_part(data):
    model = Popularity.from_graph(data)
    scores = Validation(data, 'mrr@5')(model)
    assert list(scores) == ['mrr@5', 'recall@5', 'ndcg@5']
    expected = evaluate(model, data, split='valid', k=5, metrics=('mrr', 'recall', 'ndcg'))
    assert scores == {name: expected[name] for name in scores}


def test_it_never_reads_the_test_part(data):
    model = Popularity.from_graph(data)
    blind = data.clone()
    del blind[HOLDOUT_TEST]
    assert Validation(blind)(model) == Validation(data)(model)


def test_without_validation_edges_there_is_nothing(data):
    model = Popularity.from_graph(data)
    bare = data.clone()
    bare[HOLDOUT_VALID].edge_index = bare[HOLDOUT_VALID].edge_index[:, :0]
    for graph in (bare, bare.clone()):
        validation = Validation(graph)
        assert not validation.active
        assert validation(model) == {}
        assert validation.digest is None
        del bare[HOLDOUT_VALID]


def test_digest_is_of_the_set_of_edges(data):
    other = data.clone()
    edges = data[HOLDOUT_VALID].edge_index
    other[HOLDOUT_VALID].edge_index = edges.flip(1)
    assert Validation(other).digest == Validation(data).digest
    other[HOLDOUT_VALID].edge_index = edges[:, 1:]
    assert Validation(other).digest != Validation(data).digest


def test_a_search_metric_is_that_of_the_validation_searches():
    data = planted(num_users=30, num_items=25, num_queries=12, seed=1)
    model = BM25.from_graph(data, with_queries=True)
    validation = Validation(data, 'search_mrr@5')
    scores = validation(model)
    assert list(scores) == ['search_mrr@5', 'search_recall@5', 'search_ndcg@5']
    expected = evaluate(model, data, split='valid', k=5, metrics='mrr', task='search')
    assert scores['search_mrr@5'] == expected['mrr@5']
    assert validation.digest != Validation(data).digest
    with pytest.raises(GraphError, match="choose 'search_hit@25' or less"):
        Validation(data, 'search_hit@26')
    other = data.clone()
    for edge_type in (('user', 'holdout_valid', 'query'), ('query', 'holdout_valid', 'item')):
        other[edge_type].edge_index = other[edge_type].edge_index.flip(1)
    assert Validation(other, 'search_mrr@5').digest == validation.digest
    for edge_type in (('user', 'holdout_valid', 'query'), ('query', 'holdout_valid', 'item')):
        del other[edge_type]
    assert not Validation(other, 'search_mrr@5').active
    assert Validation(other).active


def test_parse_metric():
    assert parse_metric('ndcg@10') == ('ndcg', 10)
    for text in ('ndcg', 'ndcg@', '@3', 'ndcg@-1', 'ndcg@0', 'ndcg@1.5', 'test/ndcg@3', ''):
        with pytest.raises(GraphError, match='name@k'):
            parse_metric(text)


@pytest.mark.parametrize('metric', ['foo@5', 'recall@26', 'search_coverage@5'])
def test_what_cannot_be_computed_is_refused_before_training(data, metric):
    with pytest.raises(GraphError, match=f"'metric' is '{metric}'"):
        Validation(data, metric)


def test_the_default_metric_asks_nothing_of_a_graph_without_validation():
    tiny = planted(num_users=5, num_items=4, num_communities=2, ratios=(1.0, 0.0, 0.0))
    assert not Validation(tiny).active
