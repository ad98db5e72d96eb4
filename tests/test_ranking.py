import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrec.errors import GraphError
from graphrec.ranking import check_k, top_k


def fixed(scores):
    return lambda users: scores[users].clone()


def by_sorting(scores, k):
    """Score descending, then item ascending, row by row."""
    rows = [
        sorted((i for i in range(len(row)) if row[i] > -np.inf), key=lambda i: (-row[i], i))[:k]
        for row in scores.tolist()
    ]
    return [row + [-1] * (k - len(row)) for row in rows]


def test_top_k_by_hand():
    scores = torch.tensor([[0.1, 0.9, 0.5, 0.7], [3.0, 2.0, 1.0, 0.0]])
    best = top_k(fixed(scores), torch.tensor([1, 0]), 2)
    assert best.items.tolist() == [[0, 1], [1, 3]]
    assert torch.equal(best.scores, torch.tensor([[3.0, 2.0], [0.9, 0.7]]))


def test_masked_pairs_are_out_and_short_lists_are_padded():
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, 1.0]])
    first = torch.tensor([[0, 0], [0, 2]])
    second = torch.tensor([[0, 1, 0], [3, 0, 3]])
    best = top_k(fixed(scores), torch.tensor([0, 1, 0]), 3, masked=[first, second])
    assert best.items.tolist() == [[1, -1, -1], [1, 2, 3], [1, -1, -1]]
    assert best.scores[0].tolist() == [3.0, -torch.inf, -torch.inf]


def test_candidates_restrict_and_keep_item_numbers():
    scores = torch.tensor([[9.0, 1.0, 8.0, 2.0, 7.0]])
    masked = [torch.tensor([[0], [4]])]
    best = top_k(
        fixed(scores), torch.tensor([0]), 3, masked=masked, candidates=torch.tensor([4, 3, 1])
    )
    assert best.items.tolist() == [[3, 1, -1]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.integers(-2, 3), min_size=9, max_size=9),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 9),
    st.sampled_from([None, 1, 2, 5]),
)
def test_ties_go_to_the_lower_item(rows, k, block_size):
    scores = torch.tensor(rows, dtype=torch.float32)
    scores[scores == -2] = -torch.inf
    best = top_k(fixed(scores), torch.arange(len(rows)), k, block_size=block_size)
    assert best.items.tolist() == by_sorting(scores, k)


@pytest.mark.parametrize('levels', [3, 50, 10**7])
def test_wide_catalogue_agrees_with_sorting(levels):
    # Wide enough for the selection by groups; no multiple of a group; with and without ties.
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(levels, (5, 20_011), generator=generator).float()
    scores[3] = 1.0
    scores[4, 7:] = -torch.inf
    best = top_k(fixed(scores), torch.arange(5), 20)
    expected = np.lexsort((np.tile(np.arange(20_011), (5, 1)), -scores.numpy()))[:, :20]
    expected[4, 7:] = -1
    assert np.array_equal(best.items.numpy(), expected)
    reached = scores.gather(1, best.items.clamp(min=0))
    assert torch.equal(best.scores[:4], reached[:4])


def test_block_size_changes_nothing():
    scores = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
    masked = [torch.stack([torch.arange(40), torch.arange(40) % 30])]
    whole = top_k(fixed(scores), torch.arange(40), 5, masked=masked)
    parts = top_k(fixed(scores), torch.arange(40), 5, masked=masked, block_size=7)
    assert torch.equal(whole.items, parts.items)
    assert torch.equal(whole.scores, parts.scores)


def test_integer_scores_and_no_users():
    counts = torch.tensor([[5, 7, 6]])
    assert top_k(fixed(counts), torch.tensor([0]), 2).items.tolist() == [[1, 2]]
    assert top_k(fixed(counts), torch.zeros(0, dtype=torch.long), 2).items.shape == (0, 2)


def test_nan_names_the_user():
    scores = torch.zeros(4, 3)
    scores[2, 1] = torch.nan
    with pytest.raises(GraphError, match='user number 2'):
        top_k(fixed(scores), torch.tensor([3, 2]), 1)


@pytest.mark.parametrize('k', [0, -1, 2.5, True, '3'])
def test_k_is_a_positive_integer(k):
    with pytest.raises(GraphError, match='positive integer'):
        check_k(k, 10)


def test_k_beyond_the_catalogue():
    with pytest.raises(GraphError, match=r"'k' is 4.* 3 items"):
        top_k(fixed(torch.zeros(1, 3)), torch.tensor([0]), 4)
    with pytest.raises(GraphError, match=r"'k' is 3.* 2 candidate items"):
        top_k(fixed(torch.zeros(1, 3)), torch.tensor([0]), 3, candidates=torch.tensor([0, 2]))
    assert check_k(np.int64(3), 3) == 3


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_cuda_gives_the_same_lists():
    scores = torch.randint(9, (30, 500), generator=torch.Generator().manual_seed(0)).float()
    masked = [torch.randint(30, (2, 90), generator=torch.Generator().manual_seed(1))]
    here = top_k(fixed(scores), torch.arange(30), 10, masked=masked)
    there = top_k(fixed(scores.cuda()), torch.arange(30).cuda(), 10, masked=masked)
    assert torch.equal(here.items, there.items.cpu())
