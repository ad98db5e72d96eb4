import pytest
import torch

from graphrec import unlearn
from graphrec.datasets import planted
from graphrec.errors import GraphError
from graphrec.graphs.schema import train_edges
from graphrec.models import MF
from graphrec.unlearn.canaries import CanaryTest, p_text


@pytest.fixture(scope='module')
def data():
    return planted(80, 60, num_interactions=1200, num_communities=4, modalities={}, seed=3)


def test_canaries_are_new_pairs_with_all_that_an_edge_has(data):
    found = unlearn.insert_canaries(data, 120, seed=1)
    before, after = train_edges(data), train_edges(found.data)
    assert after.size(1) == before.size(1) + 120
    assert torch.equal(after[:, : before.size(1)], before)
    assert torch.equal(after[:, before.size(1) :], found.pairs)
    key = found.pairs[0] * 60 + found.pairs[1]
    assert key.unique().numel() == 120
    for edge_type in data.edge_types:
        known = data[edge_type].edge_index
        assert not torch.isin(key, known[0] * 60 + known[1]).any()
    store = found.data['user', 'interacts', 'item']
    assert store.time.numel() == after.size(1)
    assert train_edges(data).size(1) == before.size(1)  # The input is as it was.
    assert torch.equal(found.pairs, unlearn.insert_canaries(data, 120, seed=1).pairs)


def test_uniform_for_a_model_that_never_saw_them_and_not_for_one_that_did(data):
    planted_data, pairs = unlearn.insert_canaries(data, 120, seed=1)
    fresh = MF.from_graph(data, dim=8)
    assert unlearn.canary_uniformity(fresh, data, pairs).p_value > 0.01
    with torch.no_grad():  # One that remembers: a direction of its own for every canary's user.
        fresh.embedding.zero_()
        for user, item in pairs.t().tolist():
            fresh.embedding[user] += fresh.embedding.new_tensor([1.0] + [0.0] * 7)
            fresh.embedding[80 + item] += fresh.embedding.new_tensor([1.0] + [0.0] * 7)
    found = unlearn.canary_uniformity(fresh, data, pairs)
    assert found.p_value < 1e-6
    assert found.mean_place < 0.4
    with pytest.raises(GraphError, match='still training edges'):
        unlearn.canary_uniformity(fresh, planted_data, pairs)


def test_more_canaries_than_free_pairs_are_refused(data):
    with pytest.raises(GraphError, match='count'):
        unlearn.insert_canaries(data, 80 * 60)


def test_retrained_models_that_fail_too_put_the_test_in_doubt():
    kept = CanaryTest(1e-4, 0.3, 0.3, 120, original=1e-9, golds=(0.5, 0.2, 0.9))
    assert (kept.side, kept.in_doubt) == (1, False)
    assert CanaryTest(1e-4, 0.3, 0.7, 120).side == -1
    assert CanaryTest(0.02, 0.1, 0.4, 120).side == 0
    # Of five retrained models one is below 0.01 every twentieth time.
    assert CanaryTest(1e-4, 0.3, 0.3, 120, golds=(0.5, 0.2, 0.9, 0.4, 0.005)).side == 1
    doubtful = CanaryTest(1e-4, 0.3, 0.3, 120, golds=(0.5, 0.2, 0.9, 0.4, 0.001))
    assert (doubtful.side, doubtful.in_doubt) == (0, True)


def test_small_values_are_not_written_as_zero():
    assert p_text(1.2e-4) == '< 0.001'
    assert p_text(0.0123) == '= 0.012'
