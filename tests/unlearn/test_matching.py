import numpy as np
import pytest
import torch

from graphrec.errors import GraphError
from graphrec.unlearn.matching import match_non_members


def test_matching_prefers_the_same_user_and_the_nearest_degree():
    members = torch.tensor([[0, 1], [0, 1]])
    heldout = torch.tensor([[0, 0, 2], [2, 3, 4]])
    user_degree = torch.tensor([10, 10, 10])
    item_degree = torch.tensor([30, 30, 4, 28, 31])
    found = match_non_members(members, heldout, user_degree, item_degree)
    assert found.other.tolist() == [1, 2]  # User 1 has none: the nearest of another user.
    assert found.same_user.tolist() == [True, False]
    assert found.num_unmatched == 0


def test_members_of_a_user_have_several_matches():
    members = torch.stack([torch.zeros(40, dtype=torch.long), torch.arange(40)])
    heldout = torch.stack([torch.zeros(40, dtype=torch.long), 40 + torch.arange(40)])
    found = match_non_members(members, heldout, torch.tensor([9]), torch.full((80,), 9), seed=1)
    assert found.other.unique().numel() > 15
    again = match_non_members(members, heldout, torch.tensor([9]), torch.full((80,), 9), seed=1)
    assert torch.equal(found.other, again.other)


def test_a_member_without_a_like_is_left_out_and_counted():
    found = match_non_members(
        torch.tensor([[0], [0]]),
        torch.tensor([[0], [1]]),
        torch.tensor([5]),
        torch.tensor([900, 1]),
    )
    assert found.member.numel() == 0
    assert found.num_unmatched == 1


def test_nearest_degree_agrees_with_a_search_over_all():
    rng = np.random.default_rng(0)
    degree = torch.from_numpy(rng.integers(1, 40, 60))
    members = torch.stack([torch.from_numpy(rng.integers(0, 5, 80)), torch.arange(80) % 30])
    heldout = torch.stack([torch.from_numpy(rng.integers(0, 5, 50)), 30 + torch.arange(50) % 30])
    found = match_non_members(members, heldout, torch.full((5,), 7), degree)
    log = (1 + degree.double()).log2()
    for n, other in zip(found.member.tolist(), found.other.tolist(), strict=True):
        mine = heldout[0] == members[0, n]
        gap = (log[heldout[1]] - log[members[1, n]]).abs()
        if bool((gap[mine] <= 1).any()):
            assert gap[other] <= gap[mine].min() + 0.1
            assert heldout[0, other] == members[0, n]


def test_members_are_no_non_members():
    pairs = torch.tensor([[0], [1]])
    with pytest.raises(GraphError, match='members'):
        match_non_members(pairs, pairs, torch.tensor([1]), torch.tensor([1, 1]))
