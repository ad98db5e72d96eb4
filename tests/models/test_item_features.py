import pytest
import torch

from graphrec.errors import GraphError
from graphrec.models.item_features import feature_name, item_features, visual_weights


def test_features_that_are_marked_absent_are_zero(featured):
    featured['item'].has_text = torch.tensor([True, True, False, True, True, True])
    x = item_features(featured)
    assert list(x) == ['text', 'visual']
    assert not x['text'][2].any()
    torch.testing.assert_close(x['text'][:2], featured['item'].x_text[:2])
    assert torch.equal(x['visual'], featured['item'].x_visual)


def test_derived_features_stand_for_a_frozen_graph(featured):
    featured['item'].x_image_spectral = torch.ones(6, 2)
    assert feature_name(featured, 'image') == 'image_spectral'
    assert feature_name(featured, 'visual') == 'visual'
    assert feature_name(featured, 'acoustic') is None
    assert torch.equal(item_features(featured, ['image'])['image'], torch.ones(6, 2))
    with pytest.raises(GraphError, match="names 'acoustic'"):
        item_features(featured, ['acoustic'])


def test_visual_weights():
    assert visual_weights(['visual', 'text'], 0.1) == [0.1, 0.9]
    assert visual_weights(['text', 'image', 'acoustic'], 0.2) == [0.4, 0.2, 0.4]
    assert visual_weights(['text'], 0.1) == [1.0]
    assert visual_weights(['visual'], 0.1) == [1.0]
    assert visual_weights(['text', 'acoustic'], 0.1) == [0.5, 0.5]
