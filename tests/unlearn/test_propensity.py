import pytest
import torch

from graphrec.datasets import planted
from graphrec.unlearn.propensity import PairFeatures, effective_size, odds_weights


@pytest.fixture(scope='module')
def data():
    return planted(80, 60, num_interactions=1200, num_communities=4, modalities={}, seed=0)


def test_features_are_degrees_a_low_rank_picture_and_walks(data, monkeypatch):
    monkeypatch.setattr('graphrec.unlearn.propensity._BLOCK', 7)  # Several blocks of users.
    edges = data['user', 'interacts', 'item'].edge_index
    matrix = torch.zeros(80, 60, dtype=torch.float64)
    matrix[edges[0], edges[1]] = 1
    rows, cols = matrix.sum(1), matrix.sum(0)
    scaled = matrix / (rows[:, None] * cols[None]).sqrt().clamp(min=1e-9)
    u, s, vt = torch.linalg.svd(scaled)
    pairs = torch.cartesian_prod(torch.arange(80), torch.arange(60)).t()
    features = PairFeatures(data)(pairs)
    torch.testing.assert_close(features[:, 0].view(80, 60)[:, 0], rows.log1p())
    torch.testing.assert_close(features[:, 1].view(80, 60)[0], cols.log1p())
    best = (u[:, :4] * s[:4]) @ vt[:4] * (rows[:, None] * cols[None]).sqrt()
    # The leading four stand apart by the planted communities.
    found = features[:, 2].view(80, 60)
    assert (found - best).norm() < 0.1 * best.norm()
    gram, scale = scaled.t() @ scaled, (rows[:, None] * cols[None]).sqrt()
    for column, walks in ((4, scaled @ gram), (5, scaled @ gram @ gram)):
        torch.testing.assert_close(
            features[:, column].view(80, 60), walks * scale, rtol=1e-4, atol=1e-4
        )
    some = pairs[:, torch.randperm(4800)[:300]]
    torch.testing.assert_close(
        PairFeatures(data)(some), features[some[0] * 60 + some[1]], rtol=1e-4, atol=1e-4
    )


def test_weights_are_the_odds():
    generator = torch.Generator().manual_seed(0)
    forgotten = torch.randn(4000, 1, generator=generator).double() + 1
    heldout = torch.randn(4000, 1, generator=generator).double()
    weight = odds_weights(forgotten, heldout)
    assert weight.mean() == pytest.approx(1)
    # The mean of the held-out ones comes to that of the forgotten ones.
    moved = (weight * heldout[:, 0]).mean()
    assert float(moved) == pytest.approx(1, abs=0.15)
    assert effective_size(weight) < 3000


def test_a_random_request_weighs_all_alike():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3000, 3, generator=generator).double()
    weight = odds_weights(x[:1000], x[1000:])
    assert effective_size(weight) > 1900
    assert weight.max() < 3


def test_ties_and_the_order_of_rows_do_not_count():
    forgotten = torch.tensor([[0.0], [0.0], [1.0]]).double().repeat(20, 1)
    heldout = torch.tensor([[0.0], [1.0], [1.0]]).double().repeat(20, 1)
    weight = odds_weights(forgotten, heldout)
    values = weight.view(20, 3)
    assert torch.allclose(values, values[0])
    assert values[0, 0] > values[0, 1]
    assert float(values[0, 1]) == pytest.approx(float(values[0, 2]))


def test_what_has_no_match_is_told_by_the_effective_size():
    generator = torch.Generator().manual_seed(2)
    forgotten = torch.randn(300, 2, generator=generator).double() + 3
    heldout = torch.randn(300, 2, generator=generator).double()
    assert effective_size(odds_weights(forgotten, heldout)) < 60
    assert effective_size(torch.ones(7)) == 7
    assert effective_size(torch.zeros(0)) == 0
    assert odds_weights(forgotten[:0], heldout).tolist() == [1.0] * 300
