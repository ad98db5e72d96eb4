import numpy as np
import pytest
import torch
from scipy import stats

from graphrec.errors import GraphError
from graphrec.unlearn.membership import (
    Attacked,
    auc,
    auc_interval,
    likelihood_ratio,
    match_non_members,
    membership,
    tpr_at,
)
from graphrec.unlearn.standing import Standing


def test_auc_by_hand_and_by_scipy():
    assert float(auc(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0]))) == (1 + 1 + 0 + 0.5) / 4
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(9, (n,), generator=generator).double() for n in (40, 60))
    expected = stats.mannwhitneyu(a.numpy(), b.numpy()).statistic / (40 * 60)
    assert float(auc(a, b)) == pytest.approx(expected)


def test_weights_count_a_score_as_often():
    a, b = torch.tensor([3.0, 1.0]), torch.tensor([2.0, 0.0])
    weight = torch.tensor([[2, 1, 1, 3]])
    repeated = auc(torch.tensor([3.0, 3.0, 1.0]), torch.tensor([2.0, 0.0, 0.0, 0.0]))
    assert auc(a, b, weight).tolist() == pytest.approx([float(repeated)])


def test_interval_resamples_users_not_pairs():
    generator = torch.Generator().manual_seed(0)
    member = torch.randn(400, generator=generator) + 1
    other = torch.randn(400, generator=generator)
    many, few = torch.arange(400), torch.arange(400) // 100
    narrow = auc_interval(member, other, many, many)
    assert narrow[0] < float(auc(member, other)) < narrow[1]
    shift = torch.tensor([3.0, -3.0, 3.0, -3.0])[few]  # Users differ, pairs of one do not.
    wide = auc_interval(member + shift, other, few, few)
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])
    assert auc_interval(member, other, few * 0, few * 0) is None
    assert narrow == auc_interval(member, other, many, many)


def test_tpr_by_hand():
    other = torch.arange(100.0)
    member = torch.tensor([99.5, 98.5, 50.0, 0.0])
    assert tpr_at(member, other, 0.01) == 0.5  # One non-member may be above the threshold 98.
    assert tpr_at(member, other, 0.001) is None  # Needs a thousand non-members.
    assert tpr_at(member + 0.35, torch.arange(1000.0) / 10, 0.001) == 0.25  # Above 99.8.


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


def test_likelihood_ratio_by_hand():
    golds = [torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0])]
    variance = torch.tensor([2.0, 0.0])
    shrunk = (variance + variance.mean()) / 2
    expected = (torch.tensor([3.0, 3.0]) - 1) / shrunk.sqrt()
    assert likelihood_ratio(torch.tensor([3.0, 3.0]), golds).tolist() == pytest.approx(
        expected.tolist()
    )


def attacked(forgotten, heldout, random):
    def stand(z):
        return Standing(z, z, torch.ones(z.numel(), dtype=torch.long))

    return Attacked(stand(forgotten), stand(heldout), stand(random))


@pytest.fixture
def world():
    """300 pairs: the original remembers, golds do not, all generalise."""
    generator = torch.Generator().manual_seed(0)
    taste = torch.randn(300, generator=generator, dtype=torch.float64) + 2

    def model(memory):
        noise = torch.randn(3, 300, generator=generator, dtype=torch.float64) * 0.2
        return attacked(taste + memory + noise[0], taste.roll(1) + noise[1], noise[2])

    members = torch.stack([torch.arange(300) // 3, torch.arange(300) % 20])
    heldout = torch.stack([torch.arange(300) // 3, 20 + torch.arange(300) % 20])
    matches = match_non_members(members, heldout, torch.full((100,), 9), torch.full((40,), 9))
    return members, heldout, matches, model


def test_attacks_find_what_is_remembered_and_what_is_pushed_away(world):
    members, heldout, matches, model = world
    golds = [model(0.0) for _ in range(5)]
    found = {
        name: membership(members, heldout, matches, model(1.0), model(memory), golds)
        for name, memory in (('gold', 0.0), ('kept', 1.0), ('pushed', -1.0))
    }
    assert found['gold'].auc.inside
    assert abs(found['gold'].likelihood.unlearned - 0.5) < 0.1
    assert (found['kept'].auc.side, found['pushed'].auc.side) == (1, -1)
    assert found['kept'].likelihood.unlearned > 0.95
    assert found['pushed'].likelihood.unlearned < 0.05
    assert found['pushed'].advantage > 0.15  # Below 0.5 is no success.
    assert found['kept'].two_models.side == 1
    assert found['gold'].two_models.inside
    assert found['kept'].interval[0] > 0.5


def test_random_pairs_are_labelled_generalisation_and_no_attack(world):
    members, heldout, matches, model = world
    found = membership(members, heldout, matches, model(1.0), model(0.0), [model(0.0)] * 2)
    assert found.generalisation.unlearned > 0.9  # Of a model that never saw them.
    document = found.to_dict()
    assert 'not membership' in document['generalisation']['what'].replace('\n', ' ')
    assert set(document['auc']) == {'score_threshold', 'likelihood_ratio', 'two_models'}
    assert document['auc']['likelihood_ratio'] is None  # Two golds leave no spread.


def test_strata(world):
    members, heldout, matches, model = world
    groups = {'tail items': torch.arange(300) < 30, 'nobody': torch.zeros(300, dtype=torch.bool)}
    found = membership(members, heldout, matches, model(1.0), model(0.0), [], groups)
    assert set(found.strata) == {'tail items'}
    assert found.strata['tail items'].original > 0.5
