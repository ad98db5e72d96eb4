import pytest
import torch

from graphrec.unlearn.standing import standing

SCORES = torch.tensor([[5.0, 4.0, 3.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0, 1.0]])


def stand(pairs, retained=((0,), (0,)), candidates=(1, 1, 1, 1, 1)):
    return standing(
        lambda users: SCORES[users].clone(),
        torch.tensor(pairs).t(),
        torch.tensor(retained),
        torch.tensor(candidates, dtype=torch.bool),
    )


def test_by_hand():
    # User 0 has item 0; free are 4, 3, 2, 2: mean 2.75, population variance 0.6875.
    found = stand([(0, 2), (0, 1), (0, 4)])
    assert found.raw.tolist() == [3, 4, 2]
    assert found.rank.tolist() == [2, 1, 4]  # Item 4 ties with 3 and has the higher number.
    expected = [(s - 2.75) / 0.6875**0.5 for s in (3, 4, 2)]
    assert found.z.tolist() == pytest.approx(expected)


def test_forgotten_pairs_are_ranked_among_each_other_and_retained_ones_are_masked():
    assert stand([(0, 0), (0, 1)], retained=((0, 1), (4, 4))).rank.tolist() == [1, 2]
    assert stand([(0, 1)]).rank.tolist() == [1]


def test_a_removed_item_is_put_back_among_the_candidates():
    found = stand([(0, 1)], candidates=(1, 0, 1, 1, 1))
    assert found.rank.tolist() == [1]
    free = torch.tensor([3.0, 2.0, 2.0], dtype=torch.float64)
    assert float(found.z) == pytest.approx(float((4 - free.mean()) / free.std(unbiased=False)))


def test_equal_scores_give_zero_not_nan():
    found = stand([(1, 3)])
    assert found.z.tolist() == [0.0]
    assert found.rank.tolist() == [4]
    assert found.is_finite


def test_many_pairs_in_any_order_agree_with_one_at_a_time():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(150, 30, generator=generator)
    pairs = torch.stack(
        [torch.randint(150, (700,), generator=generator), torch.randint(30, (700,))]
    )
    retained = torch.stack([torch.arange(150), torch.arange(150) % 30])
    candidates = torch.ones(30, dtype=torch.bool)
    found = standing(lambda users: scores[users].clone(), pairs, retained, candidates)
    for n in (0, 13, 699):
        one = standing(
            lambda users: scores[users].clone(), pairs[:, n : n + 1], retained, candidates
        )
        assert found.rank[n] == one.rank[0]
        assert float(found.z[n]) == pytest.approx(float(one.z[0]))


@pytest.mark.parametrize('step', [0.0, 0.25])
def test_looking_up_agrees_with_comparing(step, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(7, 40, generator=generator)
    scores = (scores / step).round() * step if step else scores  # With many ties.
    scores[6, 3] = torch.nan
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(40)).t()
    pairs = pairs[:, torch.randperm(280, generator=generator)]
    retained = torch.stack([torch.arange(7), 5 * torch.arange(7)])
    pairs = pairs[:, pairs[1] != 5 * pairs[0]]
    candidates = torch.ones(40, dtype=torch.bool)
    candidates[[2, 11]] = False  # Put back: in no list, but ranked.

    def run(many):
        monkeypatch.setattr('graphrec.unlearn.standing._MANY', many)
        return standing(lambda users: scores[users].clone(), pairs, retained, candidates)

    assert torch.equal(run(0).rank, run(1000).rank)


def test_no_pairs():
    empty = torch.zeros(2, 0, dtype=torch.long)
    found = standing(lambda users: SCORES[users], empty, empty, torch.ones(5, dtype=torch.bool))
    assert found.rank.numel() == 0
