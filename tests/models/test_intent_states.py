import pytest
import torch

from graphrec.models.intent_states import GeneratorTables, PairStates, attend, row_products
from graphrec.models.pair_blocks import PairPlan, make_blocks, over_grid

WORDS, USERS, ITEMS, DIM, WIDTH = 4, 3, 3, 2, 3
# Item 1 has one word, item 2 none.
ITEM_WORDS = torch.tensor([[3, 0], [2, -1], [-1, -1]])
USER, ITEM = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 2, 0])


@pytest.fixture
def inputs():
    shapes = [
        (WORDS + USERS + ITEMS, WIDTH), (USERS, DIM), (WORDS, DIM), (WIDTH, WIDTH), (WIDTH,)
    ]  # fmt: skip
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def blocks(user, item, words=ITEM_WORDS):
    return make_blocks(user, item, words, WORDS, USERS)


def written_out(first, key, word_key, weight, bias, user, item, words=ITEM_WORDS):
    """The last states, pair by pair."""
    states = []
    for u, i in zip(user.tolist(), item.tolist(), strict=True):
        own = [w for w in words[i].tolist() if w >= 0]
        x = first[WORDS + u] + first[WORDS + USERS + i]
        if own:
            x = x + torch.softmax(word_key[own] @ key[u], 0) @ first[own]
        states.append(torch.tanh(weight @ torch.tanh(x) + bias))
    return torch.stack(states)


@pytest.mark.parametrize('words', [ITEM_WORDS, ITEM_WORDS[:, :0]])
@pytest.mark.parametrize('size', [2, 8192])
def test_sums_and_single_states_equal_the_formula(inputs, size, words, monkeypatch):
    monkeypatch.setattr('graphrec.models.pair_blocks.BLOCK_SIZE', size)
    share = torch.rand(4, 2, dtype=torch.float64)
    single = USER.flip(0), ITEM
    plan = PairPlan(blocks(USER, ITEM, words), blocks(*single, words), (WORDS, USERS, ITEMS), [])
    sums, states = PairStates.apply(*inputs, plan, share, None)
    expected = written_out(*inputs, *single, words)
    torch.testing.assert_close(states, expected)
    each = written_out(*inputs, USER, ITEM, words)
    total = torch.zeros(USERS + ITEMS, WIDTH, dtype=torch.float64)
    for n in range(4):
        total[USER[n]] = total[USER[n]] + share[n, 0] * each[n]
        total[USERS + ITEM[n]] = total[USERS + ITEM[n]] + share[n, 1] * each[n]
    torch.testing.assert_close(sums, total)


@pytest.mark.parametrize('masked', [False, True])
def test_gradcheck(inputs, masked):
    share = torch.rand(4, 2, dtype=torch.float64)
    summed, single = blocks(USER, ITEM), blocks(USER[1:], ITEM[:3])
    masks = None
    if masked:
        masks = [
            tuple(torch.rand(len(b), WIDTH, dtype=torch.float64) for _ in range(2))
            for b in summed + single
        ]

    def states(*tensors):
        plan = PairPlan(summed, single, (WORDS, USERS, ITEMS), [])
        return PairStates.apply(*tensors, plan, share, masks)

    assert torch.autograd.gradcheck(states, inputs)


def test_attention_is_a_softmax_over_the_words_that_are_there(inputs):
    (block,) = blocks(USER, ITEM)
    alpha = attend(block, GeneratorTables(*inputs[:3])).detach()
    torch.testing.assert_close(alpha.sum(1), torch.tensor([1.0, 1, 0, 1], dtype=torch.float64))
    assert alpha[1].tolist() == [1, 0]
    assert alpha[2].tolist() == [0, 0]


def test_row_products_and_grids():
    x, table = torch.randn(3, 2), torch.randn(5, 2)
    index = torch.tensor([[0, 4], [1, 1], [3, 2]])
    expected = (table[index] * x.unsqueeze(1)).sum(2)
    torch.testing.assert_close(row_products(x, table, index), expected)
    grid = over_grid(2, 3, x, lambda row, column: 10.0 * row + column)
    assert grid.tolist() == [[0, 1, 2], [10, 11, 12]]
