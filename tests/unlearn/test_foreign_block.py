import pytest
import torch

import graphrec
from graphrec.graphs.schema import INTERACTS, train_edges
from graphrec.unlearn.foreign_block import teach_block


@pytest.fixture(scope='module')
def data():
    return graphrec.datasets.planted(60, 80, num_interactions=900, num_communities=3, seed=0)


def test_the_block_is_new_and_foreign(data):
    before = train_edges(data).clone()
    taught, pairs = teach_block(data, num_users=5, items_per_user=4, seed=2)
    assert pairs.shape == (2, 20)
    assert (data['user'].community[pairs[0]] == 0).all()
    assert (data['item'].community[pairs[1]] == 1).all()
    assert torch.equal(train_edges(taught), torch.cat([before, pairs], dim=1))
    for edge_type in data.edge_types:
        index = data[edge_type].edge_index
        assert not torch.isin(pairs[0] * 80 + pairs[1], index[0] * 80 + index[1]).any()
    assert (torch.unique(pairs, dim=1)).size(1) == 20
    assert torch.equal(train_edges(data), before)
    assert list(taught[INTERACTS].keys()) == ['edge_index']
    assert torch.equal(teach_block(data, 5, 4, seed=2)[1], pairs)
    assert not torch.equal(teach_block(data, 5, 4, seed=3)[1], pairs)


def test_too_many_are_refused(data):
    with pytest.raises(graphrec.GraphError, match='items_per_user'):
        teach_block(data, 5, 80)
    with pytest.raises(graphrec.GraphError, match='num_users'):
        teach_block(data, 61, 1)
