import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.contrastive import ModalityDrop, draw_modalities
from graphrec.errors import GraphError
from graphrec.graphs.schema import validate


@pytest.fixture
def data():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 2, 50
    data['user', 'interacts', 'item'].edge_index = torch.tensor([[0], [0]])
    data['item'].x_text, data['item'].x_visual = torch.ones(50, 3), torch.ones(50, 2)
    data['item'].has_text = torch.arange(50) > 0
    return data


def drop(data, p, seed=0, **options):
    return ModalityDrop(p, generator=torch.Generator().manual_seed(seed), **options)(data)


def test_zero_leaves_the_data_as_they_are(data):
    out = drop(data, 0.0)
    assert torch.equal(out['item'].x_text, data['item'].x_text)
    assert 'has_visual' not in out['item']


def test_items_draw_for_themselves_and_keep_one(data):
    out = drop(data, 0.9, per_item=True)
    validate(out)
    text, visual = (out['item'][f'x_{name}'].any(1) for name in ('text', 'visual'))
    assert bool((text | visual).all())
    assert 0 < int((text & ~visual).sum()) < 50
    assert torch.equal(out['item'].has_visual, visual)
    assert torch.equal(out['item'].has_text, text & (torch.arange(50) > 0))
    assert bool((data['item'].x_text == 1).all())


def test_one_draw_for_all_items(data):
    seen = set()
    for seed in range(20):
        out = drop(data, 0.5, seed)
        states = [
            tuple(out['item'][f'x_{name}'][:, 0].unique().tolist()) for name in ('text', 'visual')
        ]
        assert all(len(state) == 1 for state in states)
        seen.add(tuple(state[0] for state in states))
        again = drop(data, 0.5, seed)
        assert torch.equal(again['item'].x_text, out['item'].x_text)
    assert seen == {(1, 1), (0, 1), (1, 0)}


def test_frequencies():
    keep = draw_modalities(3, 20_000, 0.3, torch.Generator().manual_seed(0))
    expected = 0.7 + 0.3**3 / 3  # Where all would go, one of three stays.
    assert float((keep.float().mean(0) - expected).abs().max()) < 0.015


def test_no_modalities_and_range():
    data = HeteroData()
    data['item'].num_nodes = 3
    assert drop(data, 0.5)['item'].num_nodes == 3
    with pytest.raises(GraphError, match="'p'"):
        ModalityDrop(1.0)
