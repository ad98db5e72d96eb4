import pytest
import torch
from scipy import stats

from graphrec.unlearn.attacks import auc, auc_interval, likelihood_ratio, tpr_at


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


def test_likelihood_ratio_by_hand():
    golds = [torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0])]
    variance = torch.tensor([2.0, 0.0])
    shrunk = (variance + variance.mean()) / 2
    expected = (torch.tensor([3.0, 3.0]) - 1) / shrunk.sqrt()
    assert likelihood_ratio(torch.tensor([3.0, 3.0]), golds).tolist() == pytest.approx(
        expected.tolist()
    )
