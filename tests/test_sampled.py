import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrec.errors import GraphError
from graphrec.sampled import draw_unseen, ranks_among


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 9))
def test_draws_are_distinct_and_unknown(seed, num_rows, num_columns):
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(num_rows, num_columns, generator=generator) < 0.5
    known[:, 0] = False
    n = int((~known).sum(1).min())
    drawn = draw_unseen(known.nonzero().t(), num_rows, num_columns, n, generator)
    assert drawn.shape == (num_rows, n)
    assert not known.gather(1, drawn).any()
    assert all(len(set(row)) == n for row in drawn.tolist())


def test_draws_are_uniform():
    known = torch.tensor([[0, 1], [0, 1], [1, 3]]).t()[:, :0]
    known = torch.cat([known, torch.stack([torch.arange(4000), torch.arange(4000) % 5])], dim=1)
    drawn = draw_unseen(known, 4000, 5, 2, torch.Generator().manual_seed(0))
    count = torch.bincount(drawn.flatten(), minlength=5)  # 1600 expected, deviation 28.
    assert (count - 1600).abs().max() < 150


def test_too_many_wanted():
    with pytest.raises(GraphError, match=r"'num_negatives' is 3.* only 2 items"):
        draw_unseen(torch.tensor([[0], [1]]), 1, 3, 3, torch.Generator())


@pytest.mark.parametrize('block_size', [1, 2, 10])
def test_ranks_by_hand(block_size):
    scores = torch.tensor([[5.0, 4.0, 4.0, 1.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    truth = torch.tensor([[0, 0, 2], [1, 2, 3]])
    negatives = torch.tensor([[0, 3], [0, 1], [0, 1]])
    ranks = ranks_among(lambda users: scores[users], torch.arange(3), truth, negatives, block_size)
    assert ranks.tolist() == [1, 1, 2]  # Equal scores: the lower item is ahead.
