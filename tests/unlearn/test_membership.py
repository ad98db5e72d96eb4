import pytest
import torch

from graphrec.unlearn.matching import match_non_members
from graphrec.unlearn.membership import (
    Attacked,
    membership,
)
from graphrec.unlearn.standing import Standing


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
