import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrec.conv import TranslationConv
from graphrec.conv.translation import translation_layers
from graphrec.errors import GraphError
from graphrec.graphs.sparse import Sparse

USERS, ITEMS = 4, 3


def mean_operator(edge_index: Tensor, shape: tuple[int, int]) -> Sparse:
    """Row-normalised, targets in rows; an edge that is stored twice counts twice."""
    degree = torch.bincount(edge_index[1], minlength=shape[0])
    return Sparse.from_edges(edge_index.flip(0), 1 / degree[edge_index[1]].float(), shape=shape)


def mean_intent(edge_index: Tensor, intent: Tensor, num_targets: int) -> Tensor:
    degree = torch.bincount(edge_index[1], minlength=num_targets).clamp(min=1)
    total = intent.new_zeros(num_targets, intent.size(1)).index_add_(0, edge_index[1], intent)
    return total / degree.unsqueeze(1)


def propagate(user: Tensor, item: Tensor, edges: Tensor, intent: Tensor, layers: int):
    """All layers on plain edges, the sums with their weights 1 / (l + 1) too."""
    to_item, to_user = TranslationConv(1), TranslationConv(-1)
    h = [(user, item)]
    for _ in range(layers):
        u, i = h[-1]
        h.append(
            (
                to_user(i, edges.flip(0), intent, size=(ITEMS, USERS)),
                to_item(u, edges, intent, size=(USERS, ITEMS)),
            )
        )
    total = [sum(pair[side] / (n + 1) for n, pair in enumerate(h)) for side in (0, 1)]
    return h, total


def test_by_hand():
    x = torch.tensor([[1.0], [5.0], [9.0]])
    edges = torch.tensor([[0, 1, 1], [0, 0, 0]])  # Item 1 is isolated; a repeated edge counts.
    intent = torch.tensor([[1.0], [2.0], [6.0]])
    out = TranslationConv(1)(x, edges, intent, size=(3, 2))
    assert out.flatten().tolist() == pytest.approx([(2 + 7 + 11) / 3, 0])
    out = TranslationConv(-1)(x, edges, intent, size=(3, 2))
    assert out.flatten().tolist() == pytest.approx([(0 + 3 - 1) / 3, 0.0])
    assert TranslationConv()(x, edges, size=(3, 2)).flatten().tolist() == pytest.approx([11 / 3, 0])


def test_isolated_nodes_keep_their_embedding():
    user, item = torch.randn(USERS, 2), torch.randn(ITEMS, 2)
    edges = torch.tensor([[0], [0]])
    _, (final_user, final_item) = propagate(user, item, edges, torch.randn(1, 2), 3)
    assert torch.equal(final_user[1:], user[1:])
    assert torch.equal(final_item[1:], item[1:])


def test_one_edge_without_intent():
    user, item = torch.randn(USERS, 2), torch.randn(ITEMS, 2)
    edges = torch.tensor([[2], [1]])
    _, (final_user, final_item) = propagate(user, item, edges, torch.zeros(1, 2), 1)
    torch.testing.assert_close(final_item[1], item[1] + user[2] / 2)
    torch.testing.assert_close(final_user[2], user[2] + item[1] / 2)


def test_perfect_translation_is_a_fixed_point():
    # Every node has an edge, and e_item = e_user + q_e on all of them.
    edges = torch.tensor([[0, 1, 2, 3, 0, 1], [0, 1, 2, 0, 1, 0]])
    user, item = torch.randn(USERS, 3), torch.randn(ITEMS, 3)
    intent = item[edges[1]] - user[edges[0]]
    h, (final_user, final_item) = propagate(user, item, edges, intent, 2)
    for h_user, h_item in h:
        torch.testing.assert_close(h_user, user)
        torch.testing.assert_close(h_item, item)
    torch.testing.assert_close(final_user, user * 11 / 6)
    # The sum of layers scales the nodes but not the intents: they disagree by 5/6 of q.
    gap = final_user[edges[0]] + intent - final_item[edges[1]]
    torch.testing.assert_close(gap, -5 / 6 * intent)
    gap = final_user[edges[0]] * 6 / 11 + intent - final_item[edges[1]] * 6 / 11
    torch.testing.assert_close(gap, torch.zeros_like(gap), atol=1e-5, rtol=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12), st.sampled_from([1, -1]), st.integers(0, 99))
def test_operator_and_edges_agree(num_edges, sign, seed):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.stack(
        [torch.randint(n, (num_edges,), generator=generator) for n in (USERS, ITEMS)]
    )
    x = torch.randn(USERS, 5, generator=generator)
    intent = torch.randn(num_edges, 5, generator=generator)
    conv = TranslationConv(sign)
    out = conv(x, edges, intent, size=(USERS, ITEMS))
    linear = conv(x, mean_operator(edges, (ITEMS, USERS)), mean_intent(edges, intent, ITEMS))
    torch.testing.assert_close(out, linear, atol=1e-6, rtol=1e-6)
    order = torch.randperm(num_edges, generator=generator)
    torch.testing.assert_close(conv(x, edges[:, order], intent[order], size=(USERS, ITEMS)), out)
    twice = conv(x, edges.repeat(1, 2), intent.repeat(2, 1), size=(USERS, ITEMS))
    torch.testing.assert_close(twice, out)


@pytest.mark.parametrize('normalise', [False, True])
def test_layers_equal_those_on_plain_edges(normalise):
    edges = torch.tensor([[0, 1, 2, 0, 1], [0, 1, 2, 0, 0]])
    user, item, intent = torch.randn(USERS, 3), torch.randn(ITEMS, 3), torch.randn(5, 3)
    _, expected = propagate(user, item, edges, intent, 3)
    found = translation_layers(
        user,
        item,
        mean_operator(edges.flip(0), (USERS, ITEMS)),
        mean_operator(edges, (ITEMS, USERS)),
        (mean_intent(edges.flip(0), intent, USERS), mean_intent(edges, intent, ITEMS)),
        num_layers=3,
        normalise=normalise,
    )
    scale = 1 + 1 / 2 + 1 / 3 + 1 / 4 if normalise else 1
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours * scale, theirs)


def test_gradients_reach_features_and_intents():
    edges = torch.tensor([[0, 1, 1], [0, 0, 2]])
    x = torch.randn(USERS, 2, dtype=torch.float64, requires_grad=True)
    intent = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    conv = TranslationConv(-1)
    assert torch.autograd.gradcheck(lambda a, b: conv(a, edges, b, size=(4, 3)), (x, intent))


def test_words():
    assert str(TranslationConv(-1)) == 'TranslationConv(sign=-1)'
    with pytest.raises(GraphError, match="'sign' must be 1 or -1"):
        TranslationConv(0)
