import pytest
import torch

import graphrec
from graphrec.unlearn.partition import interaction_partition, random_partition, user_partition


def test_the_hash_is_uniform_and_pairs_are_independent():
    key = torch.arange(20000)
    shard = random_partition(key, 5, seed=3)
    counts = torch.bincount(shard, minlength=5)
    assert ((counts - 4000).abs() < 4 * (20000 * 0.2 * 0.8) ** 0.5).all()
    # Where a pair goes does not depend on what else there is.
    assert torch.equal(shard[::7], random_partition(key[::7], 5, seed=3))
    agree = (shard == random_partition(key, 5, seed=4)).float().mean()
    assert float(agree) == pytest.approx(0.2, abs=0.02)
    neighbours = (shard[1:] == shard[:-1]).float().mean()
    assert float(neighbours) == pytest.approx(0.2, abs=0.02)


def test_users_stay_whole_and_similar_users_together():
    generator = torch.Generator().manual_seed(0)
    centre = torch.tensor([[5.0, 0.0], [-5.0, 0.0]]).repeat_interleave(30, 0)
    embedding = centre + 0.1 * torch.randn(60, 2, generator=generator)
    user = torch.arange(60).repeat_interleave(4)
    shard = user_partition(user, embedding, 2, torch.Generator().manual_seed(1))
    of_user = shard.view(60, 4)
    assert (of_user == of_user[:, :1]).all()
    assert of_user[:30, 0].unique().numel() == 1
    assert of_user[0, 0] != of_user[59, 0]


def test_no_shard_is_above_its_room():
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(50, 3, generator=generator) * 0.01 + 1
    user = torch.randint(50, (400,), generator=generator)
    for shard in (
        user_partition(user, embedding, 4, torch.Generator().manual_seed(1)),
        interaction_partition(
            user,
            torch.randint(50, (400,), generator=generator),
            (embedding, embedding),
            4,
            torch.Generator().manual_seed(1),
        ),
    ):
        counts = torch.bincount(shard, minlength=4)
        assert counts.sum() == 400
        assert counts.max() <= 120 + torch.bincount(user).max()
        assert (counts > 0).all()


def test_interactions_follow_both_ends():
    p = torch.tensor([[0.0], [0.0], [10.0], [10.0]])
    user, item = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 3])
    shard = interaction_partition(user, item, (p, p), 2, torch.Generator().manual_seed(2))
    assert torch.bincount(shard, minlength=2).max() <= 3
    assert shard.min() >= 0


def test_a_heavy_user_has_a_place():
    user = torch.cat([torch.zeros(50, dtype=torch.long), torch.arange(1, 5)])
    shard = user_partition(user, torch.randn(5, 2), 2, torch.Generator().manual_seed(0))
    assert (shard >= 0).all()


def test_too_many_shards():
    with pytest.raises(graphrec.GraphError, match='num_shards'):
        user_partition(torch.tensor([0, 1]), torch.zeros(2, 2), 3, torch.Generator())
