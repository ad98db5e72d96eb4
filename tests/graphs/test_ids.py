"""Ids from text are what stands there, or refused."""

import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import parse_ids


@pytest.fixture
def data():
    data = HeteroData()
    data['user'].id = torch.tensor([3, 17, -4, 2**62]).numpy()
    data['user'].num_nodes = 4
    return data


def test_integers_as_they_are_written(data):
    assert parse_ids(data, 'user', ['17', '-4', str(2**62), '0']) == [17, -4, 2**62, 0]


@pytest.mark.parametrize(
    'text', ['03', '٣', '１', '²', '+3', '-0', '1_0', '3.0', '', 'u3', '9' * 5000]
)
def test_what_may_mean_another_is_refused(data, text):
    with pytest.raises(GraphError, match='user ids are integers in this graph, written as 17'):
        parse_ids(data, 'user', [text])


def test_text_stays_text(data):
    data['user'].id = data['user'].id.astype(str)
    assert parse_ids(data, 'user', ['03', '٣']) == ['03', '٣']
