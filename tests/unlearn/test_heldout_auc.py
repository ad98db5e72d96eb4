import pytest
import torch

from graphrec.unlearn.heldout_auc import heldout_auc


def brute(forgotten, heldout, weight):
    wins = total = 0.0
    for f in forgotten.tolist():
        for h, w in zip(heldout.tolist(), weight.tolist(), strict=True):
            wins += w * ((f > h) + 0.5 * (f == h))
            total += w
    return wins / total


def test_area_equals_counting_all_pairs_with_ties():
    generator = torch.Generator().manual_seed(1)
    forgotten = torch.randint(6, (40,), generator=generator).float()
    heldout = torch.randint(6, (30,), generator=generator).float()
    weight = torch.rand(30, generator=generator).double()
    users = torch.randint(9, (70,), generator=generator)
    found = heldout_auc(forgotten, heldout, weight, users[:40], users[40:])
    assert found.auc == pytest.approx(brute(forgotten, heldout, weight))


def test_half_width_covers_a_half_for_equal_samples_and_shrinks_with_users():
    generator = torch.Generator().manual_seed(2)
    widths = []
    for n in (100, 2500):
        z = torch.randn(2 * n, generator=generator)
        users = torch.arange(n)
        found = heldout_auc(z[:n], z[n:], torch.ones(n), users, users)
        assert abs(found.auc - 0.5) < 1.6 * found.half_width
        widths.append(found.half_width)
    assert widths[1] == pytest.approx(widths[0] / 5, rel=0.35)


def test_pairs_of_one_user_are_not_independent():
    """Ten copies of every pair say no more than one."""
    generator = torch.Generator().manual_seed(3)
    z, users = torch.randn(120, generator=generator), torch.arange(60)
    once = heldout_auc(z[:60], z[60:], torch.ones(60), users, users)
    many = heldout_auc(
        z[:60].repeat(10), z[60:].repeat(10), torch.ones(600), users.repeat(10), users.repeat(10)
    )
    assert many.auc == pytest.approx(once.auc)
    assert many.half_width == pytest.approx(once.half_width, rel=1e-6)


def test_interval_is_drawn_on_demand_only():
    z, users = torch.arange(10.0), torch.arange(5)
    found = heldout_auc(z[:5], z[5:], torch.ones(5), users, users, interval=False)
    assert found.auc == 0
    assert found.half_width != found.half_width
