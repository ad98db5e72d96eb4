import torch

from graphrec.unlearn.level import ExpectedLevel


def _pairs(size, seed, memory=0.0):
    """Scores that a feature decides, and the share of it that pairs were seen in training."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(size, 2, generator=draw, dtype=torch.float64)
    noise = 0.3 * torch.randn(size, generator=draw, dtype=torch.float64)
    unseen = x[:, 0] + noise
    return x, unseen, unseen + memory * (2.0 - x[:, 1])


def test_memory_is_taken_off_where_it_is():
    x_f, truth, seen = _pairs(2000, 0, memory=0.5)
    x_h, held, _ = _pairs(2000, 1)
    target = ExpectedLevel(seen, held, x_f, x_h, torch.ones(2000))(held)
    # The regression is on normal scores of both groups together: not exactly linear.
    assert float((target - truth).abs().mean()) < 0.15
    assert float((seen - truth).abs().mean()) > 0.9
    slope = ((target - truth) * x_f[:, 1]).mean() / x_f[:, 1].square().mean()
    assert abs(float(slope)) < 0.1  # It was -0.5.


def test_alike_samples_keep_their_scores():
    x_f, _, z = _pairs(3000, 2)
    x_h, held, _ = _pairs(3000, 3)
    target = ExpectedLevel(z, held, x_f, x_h, torch.ones(3000))(held)
    assert float((target - z).abs().mean()) < 0.05


def test_one_pair_takes_the_level_of_pairs_like_it():
    x_h, held, _ = _pairs(3000, 4)
    x_f = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    target = ExpectedLevel(torch.tensor([9.0]), held, x_f, x_h, torch.ones(3000))(held)
    near = held[(x_h[:, 0] - 1).abs() < 0.1].mean()
    assert abs(float(target) - float(near)) < 0.2


def test_weights_say_which_held_out_pairs_count():
    x_f, _, z = _pairs(500, 5)
    x_h, held, _ = _pairs(1000, 6)
    both = torch.cat([held, held + 3.0])
    weight = torch.cat([torch.ones(1000), torch.zeros(1000)])
    target = ExpectedLevel(z, both, x_f, torch.cat([x_h, x_h]), weight)(both)
    assert float((target - z).abs().mean()) < 0.1
