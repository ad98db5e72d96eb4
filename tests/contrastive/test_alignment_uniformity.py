import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from graphrec.contrastive import alignment, alignment_uniformity, uniformity
from graphrec.errors import GraphError


def table(n, dim=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator, dtype=torch.float64).requires_grad_()


def pairwise(z, scale=2.0):
    z = F.normalize(z, dim=1)
    terms = [
        torch.exp(-scale * (z[a] - z[b]).square().sum())
        for a, b in itertools.combinations(range(z.size(0)), 2)
    ]
    return torch.stack(terms).mean().log()


def test_alignment_is_two_minus_two_cosines():
    z1, z2 = table(5), table(5, seed=1)
    expected = (2 - 2 * F.cosine_similarity(z1, z2)).mean()
    torch.testing.assert_close(alignment(z1, z2), expected)
    torch.testing.assert_close(alignment(z1, 3 * z1), torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize('scale', [2.0, 0.5])
def test_uniformity_is_the_mean_over_pairs(scale):
    z = table(8)
    ours, expected = uniformity(z, scale=scale), pairwise(z, scale)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, z)[0] for loss in (ours, expected)))
    assert torch.autograd.gradcheck(uniformity, z)


def test_uniformity_is_zero_for_equal_rows_and_least_for_spread_ones():
    assert float(uniformity(torch.ones(9, 3))) == pytest.approx(0, abs=1e-6)
    angle = torch.arange(6) * 2 * math.pi / 6
    spread = torch.stack([angle.cos(), angle.sin()], 1)
    best = uniformity(spread)
    for seed in range(20):
        noise = 0.3 * torch.randn(6, 2, generator=torch.Generator().manual_seed(seed))
        assert best < uniformity(spread + noise) < 0
    assert uniformity(torch.ones(1, 3)) == 0


def test_repeated_nodes_count_once():
    z = table(6)
    ids = torch.tensor([4, 1, 4, 3])
    torch.testing.assert_close(uniformity(z, ids), pairwise(z[[1, 3, 4]]))
    users, items = torch.tensor([0, 1, 0, 2]), torch.tensor([5, 3, 4, 3])
    other = table(6, seed=1)
    rows1, rows2 = z[users], other[items]
    loss = alignment_uniformity(rows1, rows2, users, items, gamma=3.0)
    expected = alignment(rows1, rows2) + 1.5 * (pairwise(z[[0, 1, 2]]) + pairwise(other[[3, 4, 5]]))
    torch.testing.assert_close(loss, expected)
    plain = alignment_uniformity(rows1, rows2, gamma=3.0)
    expected = alignment(rows1, rows2) + 1.5 * (pairwise(rows1) + pairwise(rows2))
    torch.testing.assert_close(plain, expected)
    assert plain > loss


def test_errors():
    with pytest.raises(GraphError, match='gamma'):
        alignment_uniformity(table(3), table(3), gamma=-1.0)
    with pytest.raises(GraphError, match='same shape'):
        alignment(table(3), table(2))
