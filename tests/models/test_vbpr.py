import copy

import pytest
import torch
from torch.nn import functional as F

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import MF, VBPR

USERS, ITEMS = 6, 7
ALL = torch.arange(USERS)


@pytest.fixture
def data(more_items):
    return more_items


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 5], [0, 2, 2, 4], [6, 4, 3, 0]]))


def drawn(data, **config):
    """A model whose biases are not zero either."""
    model = VBPR.from_graph(data, dim=4, **config)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize('freeze_features', [True, False])
@pytest.mark.parametrize('biases', [False, True])
@pytest.mark.parametrize('num_negatives', [1, 3])
def test_loss_and_gradients_equal_the_equation(data, biases, num_negatives, freeze_features):
    config = {'biases': biases, 'freeze_features': freeze_features, 'reg': 0.3}
    model = drawn(data, **config).double()
    neg = torch.tensor([[6, 0, 1], [4, 4, 0], [3, 5, 6], [0, 1, 2]])[:, :num_negatives]
    user, pos = torch.tensor([0, 1, 1, 5]), torch.tensor([0, 2, 2, 4])
    loss = model.loss(BPRBatch(user, pos, neg.squeeze(1) if num_negatives == 1 else neg))
    grads = torch.autograd.grad(loss, list(model.parameters()))

    x = torch.cat([data['item'].x_text, data['item'].x_visual], 1).double()
    x = x if freeze_features else model.features
    projected = x @ model.projection.weight.t()
    projected = projected if biases else projected + model.projection.bias
    rows = torch.cat([model.item, projected], 1)
    score = model.user @ rows.t()
    if biases:
        bias = model.item_bias + x @ model.feature_bias
        score, rows = score + bias, torch.cat([rows, bias[:, None]], 1)
    expected = 0.0
    for b in range(4):
        for n in neg[b]:
            margin = score[user[b], pos[b]] - score[user[b], n]
            expected = expected - F.logsigmoid(margin) / (4 * num_negatives)
    norms = model.user[user].square().sum().sqrt() + rows[pos].square().sum().sqrt()
    norms = norms + (rows[neg].square().sum() / num_negatives).sqrt()
    expected = expected + 0.3 * norms / 4
    expected_grads = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grads, expected_grads)
    torch.testing.assert_close(model.score(ALL), score.detach())


def test_without_what_features_say_it_ranks_like_mf(data):
    model, mf = VBPR.from_graph(data, dim=4), MF.from_graph(data, dim=4)
    with torch.no_grad():
        model.projection.weight.zero_()
        mf.embedding.copy_(torch.cat([model.user[:, :4], model.item]))
    torch.testing.assert_close(model.score(ALL), mf.score(ALL))


@pytest.mark.parametrize('biases', [False, True])
def test_features_rank_an_item_nobody_has(data, biases):
    model = drawn(data, biases=biases)
    before = model.score(ALL)
    changed = copy.deepcopy(data)
    changed['item'].x_visual[6] += 1
    model.refresh(changed)
    after = model.score(ALL)
    assert torch.equal(after[:, :6], before[:, :6])
    assert not torch.isclose(after[:, 6], before[:, 6]).any()


def test_trained_features_are_kept_by_refresh_and_saved(data, batch):
    model = VBPR.from_graph(data, dim=4, freeze_features=False)
    assert 'features' in model.state_dict()
    before = model.features.detach().clone()
    model.loss(batch).backward()
    assert model.features.grad[[0, 2, 3, 6]].abs().sum(1).min() > 0
    changed = copy.deepcopy(data)
    changed['item'].x_visual += 1
    model.refresh(changed)
    assert torch.equal(model.features, before)
    assert torch.equal(data['item'].x_text, before[:, :3])  # The graph's own stay as they are.
    frozen = VBPR.from_graph(data, dim=4)
    assert 'features' not in frozen.state_dict()


def test_frozen_features_follow_an_edit(data):
    model = VBPR.from_graph(data, dim=4)
    changed = copy.deepcopy(data)
    changed['item'].x_visual += 1
    model.refresh(changed)
    assert torch.equal(model.score(ALL), VBPR.from_graph(changed, dim=4).score(ALL))


@pytest.mark.parametrize('biases', [False, True])
def test_zero_rows_train_finitely(data, batch, biases):
    data['item'].x_visual[:] = 0
    model = VBPR.from_graph(data, dim=4, biases=biases, reg=1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()
    assert all(p.isfinite().all() for p in model.parameters())
    assert model.score(ALL).isfinite().all()


def test_absent_modalities_count_as_zero(data):
    data['item'].has_visual = torch.arange(ITEMS) != 2
    model = VBPR.from_graph(data, dim=4)
    assert not model.features[2, 3:].any()
    assert model.features[2, :3].all()


def test_held_out_edges_change_nothing(data, batch):
    before = VBPR.from_graph(data)
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor([[5], [6]])
    after = VBPR.from_graph(data)
    assert torch.equal(before.loss(batch), after.loss(batch))
    assert torch.equal(before.score(ALL), after.score(ALL))


def test_scores_follow_permutations(data):
    item_of = torch.tensor([3, 0, 5, 1, 6, 2, 4])  # New number of every item.
    user_of = torch.tensor([2, 5, 0, 1, 4, 3])
    moved = copy.deepcopy(data)
    user, item = data['user', 'interacts', 'item'].edge_index
    moved['user', 'interacts', 'item'].edge_index = torch.stack([user_of[user], item_of[item]])
    for name in ('x_visual', 'x_text'):
        moved['item'][name][item_of] = data['item'][name]
    model, other = VBPR.from_graph(data, biases=True), VBPR.from_graph(moved, biases=True)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        other.user[user_of] = model.user
        other.item[item_of] = model.item
    torch.testing.assert_close(other.score(user_of)[:, item_of], model.score(ALL))


@pytest.mark.parametrize('biases', [False, True])
def test_unknown_users_are_the_mean_of_their_items(data, biases):
    model = drawn(data, biases=biases)
    item = model()['item'].detach()
    user = item[[1, 3, 6]].mean(0)
    if biases:
        user[-1] = 1
    nobody = item[:, -1] if biases else torch.zeros(ITEMS)
    scores = model.rank_history([torch.tensor([1, 3, 6]), torch.tensor([], dtype=torch.long)])
    torch.testing.assert_close(scores, torch.stack([item @ user, nobody]))
    assert not scores.requires_grad
    assert model.rank_history([]).shape == (0, ITEMS)


def test_state_dict_round_trip_and_seed(data):
    first, second = VBPR.from_graph(data, seed=1), VBPR.from_graph(data, seed=1)
    assert torch.equal(first.score(ALL), second.score(ALL))
    other = VBPR.from_graph(data, seed=2)
    assert not torch.equal(first.score(ALL), other.score(ALL))
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.score(ALL), other.score(ALL))


def test_chosen_modalities(data):
    data['item'].x_text[0] += 1
    one = VBPR.from_graph(data, modalities=['visual'])
    assert torch.equal(one.features, data['item'].x_visual)
    assert one.config.modalities == ('visual',)
    both = VBPR.from_graph(data)
    assert both.features.shape == (ITEMS, 8)


@pytest.mark.parametrize(
    'config',
    [
        {'dim': 0},
        {'reg': -1.0},
        {'reg': float('nan')},
        {'modalities': []},
        {'modalities': ['text', 'text']},
        {'modalities': ['smell']},
    ],
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=list(config)[-1]):
        VBPR.from_graph(data, **config)


def test_without_features_the_error_says_what_to_give(data):
    del data['item'].x_visual, data['item'].x_text
    with pytest.raises(GraphError, match='x_<modality>'):
        VBPR.from_graph(data)
