import torch
from torch_geometric.data import HeteroData

from graphrec.contrastive import FeatureMask, mask_features


def test_masks_the_share_of_columns_in_all_rows():
    x = torch.ones(5, 10)
    out = mask_features(x, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(out, out[:1].expand(5, 10))
    assert int(out[0].sum()) == 7


def test_transform_draws_for_each_modality_and_leaves_the_input():
    data = HeteroData()
    data['item'].num_nodes = 4
    data['item'].x_text, data['item'].x_visual = torch.ones(4, 30), torch.ones(4, 30)
    masked = FeatureMask(0.5, generator=torch.Generator().manual_seed(0))(data)
    assert int(masked['item'].x_text[0].sum()) == int(masked['item'].x_visual[0].sum()) == 15
    assert not torch.equal(masked['item'].x_text, masked['item'].x_visual)
    assert bool((data['item'].x_text == 1).all())
    one = FeatureMask(0.5, 'text')(data)
    assert bool((one['item'].x_visual == 1).all())
    assert bool((one['item'].x_text == 0).any())
