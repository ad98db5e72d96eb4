import copy

import pytest
import torch
from torch.nn import functional as F

import graphrec
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import LIRDRec
from graphrec.models.item_features import cosine_transform

USERS, ITEMS = 6, 7
ALL = torch.arange(USERS)
SMALL = {'dim': 4, 'hidden': 6, 'k': 3, 'attention_hidden': 5}


@pytest.fixture
def data(make_graph):
    return make_graph(
        USERS, ITEMS, 0.4, lone_user=5, lone_item=6, features={'visual': 5, 'text': 3}
    )


@pytest.fixture
def batch():
    return BPRBatch(*torch.tensor([[0, 1, 1, 5], [0, 2, 2, 4], [1, 4, 3, 0]]))


def build(data, **config):
    return LIRDRec.from_graph(data, **{**SMALL, **config})


def epoch(model, number):
    model.begin_epoch(torch.Generator().manual_seed(number))


def dense_adjacency(edge_index):
    adjacency = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    adjacency[edge_index[0], USERS + edge_index[1]] = 1
    adjacency = adjacency + adjacency.t()
    scale = adjacency.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * adjacency * scale[None]


def dense_item_graph(data, k=3, visual_weight=0.1):
    total = 0
    for name, weight in (('x_visual', visual_weight), ('x_text', 1 - visual_weight)):
        x = F.normalize(data['item'][name].double(), dim=1)
        nearest = (x @ x.t()).topk(k, dim=1).indices
        total = total + weight * torch.zeros(ITEMS, ITEMS).double().scatter_(1, nearest, 1 / k)
    return total


def dct_matrix(n):
    """Orthonormal DCT-II, by its definition."""
    matrix = torch.stack(
        [
            torch.cos(torch.pi * (torch.arange(n).double() + 0.5) * f / n) * (2 / n) ** 0.5
            for f in range(n)
        ]
    )
    matrix[0] /= 2**0.5
    return matrix


def by_hand(model, data, edge_index=None, weights=None):
    """Users' and items' final rows in dense float64 algebra."""
    if edge_index is None:
        edge_index = data['user', 'interacts', 'item'].edge_index
    text, visual = data['item'].x_text.double(), data['item'].x_visual.double()
    both = torch.cat([text @ dct_matrix(3).t(), visual @ dct_matrix(5).t()], 1)
    blocks = []
    for number, x in enumerate((text, visual, both)):
        first, _, second = model.encoders[number]
        f = F.leaky_relu(x @ first.weight.double().t() + first.bias.double(), 0.01)
        p = model.user[:, 4 * number : 4 * number + 4].double()
        rows = torch.cat([p, f @ second.weight.double().t()])
        blocks.append(rows / rows.square().sum(1, keepdim=True).sqrt())
    x0, adjacency = torch.cat(blocks, 1), dense_adjacency(edge_index)
    h = sum(
        torch.linalg.matrix_power(adjacency, power) @ x0
        for power in range(model.config.num_layers + 1)
    )
    user, item = h[:USERS], h[USERS:]
    graph = torch.linalg.matrix_power(dense_item_graph(data), model.config.item_layers)
    if weights is None:
        logits = []
        for number, mlp in enumerate(model.weights.attention):
            r = user[:, 4 * number : 4 * number + 4]
            hidden = F.leaky_relu(r @ mlp[0].weight.double().t() + mlp[0].bias.double(), 0.01)
            logits.append(hidden @ mlp[2].weight.double().t() + mlp[2].bias.double())
        share = model.weights.attention_share
        logit = share * torch.cat(logits, 1) + (1 - share) * model.weights.theta.double()
        weights = torch.softmax(logit, 1)
    user = torch.cat([user[:, 4 * m : 4 * m + 4] * weights[:, m : m + 1] for m in range(3)], 1)
    return user, item + graph @ item


@pytest.mark.parametrize(('layers', 'item_layers'), [(0, 1), (1, 0), (2, 1), (4, 2)])
def test_forward_equals_dense_algebra(data, layers, item_layers):
    model = build(data, num_layers=layers, item_layers=item_layers)
    with torch.no_grad():
        model.weights.theta.normal_(generator=torch.Generator().manual_seed(0))
    user, item = by_hand(model, data)
    z = model()
    torch.testing.assert_close(z['user'].double(), user, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(z['item'].double(), item, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('num_negatives', [1, 3])
def test_loss_and_gradients_equal_the_equation(data, num_negatives):
    model = build(data, reg=0.3).double()
    user, pos = torch.tensor([0, 1, 1, 5]), torch.tensor([0, 2, 2, 4])
    neg = torch.tensor([[1, 0, 2], [4, 4, 0], [3, 5, 1], [0, 1, 2]])[:, :num_negatives]
    loss = model.loss(BPRBatch(user, pos, neg.squeeze(1) if num_negatives == 1 else neg))
    names = [name for name, _ in model.named_parameters()]
    grads = torch.autograd.grad(loss, list(model.parameters()))
    z_user, z_item = by_hand(model, data)
    score, expected = z_user @ z_item.t(), 0.0
    for b in range(4):
        for n in neg[b]:
            margin = score[user[b], pos[b]] - score[user[b], n]
            expected = expected - F.logsigmoid(margin) / (4 * num_negatives)
    expected = expected + 0.3 * (z_user.square().mean() + z_item.square().mean())
    others = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
    for name, grad, other in zip(names, grads, others, strict=True):
        torch.testing.assert_close(grad, other, atol=1e-6, rtol=1e-5, msg=name)


def test_gradcheck(data, batch, gradcheck):
    model = build(data, dim=2, hidden=3, num_layers=1, reg=0.1).double().eval()
    assert gradcheck(model, batch)


def test_one_dimensional_transform_is_a_rotation():
    x = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    out = cosine_transform(x, '1d')
    torch.testing.assert_close(out.double(), x.double() @ dct_matrix(9).t(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.norm(dim=1), x.norm(dim=1))
    torch.testing.assert_close(out @ out.t(), x @ x.t(), atol=1e-5, rtol=1e-5)
    # A linear layer absorbs it: no capacity is added.
    weight = torch.randn(4, 9, generator=torch.Generator().manual_seed(1))
    rotated = weight @ dct_matrix(9).float()
    torch.testing.assert_close(out @ weight.t(), x @ rotated.t(), atol=1e-5, rtol=1e-5)
    assert cosine_transform(x, 'none') is x


def test_only_the_two_dimensional_transform_depends_on_the_order_of_items():
    x = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    torch.testing.assert_close(cosine_transform(x[order], '1d'), cosine_transform(x, '1d')[order])
    both = cosine_transform(x, '2d')
    torch.testing.assert_close(
        both.double(), dct_matrix(6) @ x.double() @ dct_matrix(9).t(), atol=1e-5, rtol=1e-5
    )
    assert not torch.allclose(cosine_transform(x[order], '2d'), both[order], atol=0.1)


def test_item_graph(data):
    graph = build(data).item_graph
    dense = graph.to_dense()
    torch.testing.assert_close(dense, dense_item_graph(data), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(dense.sum(1), torch.ones(ITEMS).double())
    assert (dense.diagonal() > 0.33).all()
    assert graph.nnz <= 2 * 3 * ITEMS
    allowed = torch.tensor([0.1, 0.9, 1.0]) / 3
    assert torch.isclose(graph.weight[:, None], allowed, atol=1e-6).any(1).all()
    assert not torch.equal(dense, dense.t())


def test_rows_that_enter_have_three_unit_blocks(data):
    data['item'].x_text[2] = data['item'].x_visual[2] = 0
    model = build(data)
    rows = model.encode()
    torch.testing.assert_close(rows.norm(dim=1), torch.full((USERS + ITEMS,), 3**0.5))
    torch.testing.assert_close(rows.view(-1, 3, 4).norm(dim=2), torch.ones(USERS + ITEMS, 3))
    with torch.no_grad():
        model.user[0] = 0
    assert not model.encode()[0].any()
    assert model.score(ALL).isfinite().all()


@pytest.mark.parametrize('first', [0.9, 0.99])
def test_attention_share_follows_the_recursion(data, first):
    model = build(data, attention_weight=first)
    expected, shares = first, []
    for number in range(1, 16):
        epoch(model, number)
        expected = expected * 0.9**number / (expected * 0.9**number + 1 - expected)
        shares.append(model.weights.attention_share)
        assert shares[-1] == pytest.approx(expected, rel=1e-9)
    published = {0.9: [0.890, 0.649, 0.027], 0.99: [0.989, 0.953, 0.232]}[first]
    assert [shares[0], shares[4], shares[9]] == pytest.approx(published, abs=6e-4)


def sharpened(data, how):
    """A model whose attention tells the views apart, after 25 epochs."""
    model = build(data, copy=how)
    with torch.no_grad():
        for mlp, bias in zip(model.weights.attention, (2.0, -1.0, 0.0), strict=True):
            mlp[2].bias.fill_(bias)
    start = weights_of(model)
    for number in range(1, 26):
        epoch(model, number)
        model.loss(BPRBatch(*torch.tensor([[0, 1], [0, 2], [4, 4]])))
    return start, weights_of(model)


def weights_of(model):
    h, _ = model.embed()
    return torch.softmax(model.weights.logits(h, model.weights.theta), 1).detach()


def test_the_official_copy_ends_uniform_and_the_logit_copy_does_not(data):
    start, end = sharpened(data, 'softmax')
    torch.testing.assert_close(start.sum(1), torch.ones(USERS))
    assert (start - 1 / 3).abs().max() > 0.3
    assert (end - 1 / 3).abs().max() < 0.05
    _, kept = sharpened(data, 'logit')
    assert (kept[:, 0] > 0.6).all()


def test_plain_and_uniform_weights(data):
    start, end = sharpened(data, 'none')
    torch.testing.assert_close(start, end)
    model = build(data, copy='uniform')
    assert len(model.weights.attention) == 0
    user, _ = by_hand(model, data, weights=torch.full((USERS, 3), 1 / 3).double())
    torch.testing.assert_close(model()['user'].double(), user, atol=1e-5, rtol=1e-5)


def test_state_takes_over_the_weights_of_the_last_batch(data, batch):
    model = build(data)
    epoch(model, 1)
    assert not model.weights.theta.any()
    model.loss(batch).backward()
    last = weights_of(model)
    with torch.no_grad():
        for mlp, bias in zip(model.weights.attention, (2.0, -1.0, 0.0), strict=True):
            mlp[2].bias.fill_(bias)
    model.eval()
    model.loss(batch)  # An evaluation is not copied.
    model.train()
    epoch(model, 2)
    torch.testing.assert_close(model.weights.theta, last)
    assert not model.weights.theta.requires_grad
    assert 'weights.theta' not in dict(model.named_parameters())


def test_a_resumed_epoch_does_not_hand_over_twice(data, batch):
    model = build(data)
    for number in (1, 2):
        epoch(model, number)
        model.loss(batch)
    killed = build(data)
    killed.load_state_dict(model.state_dict())
    epoch(killed, 2)
    assert torch.equal(killed.weights.theta, model.weights.theta)
    assert killed.weights.attention_share == model.weights.attention_share
    for other in (model, killed):
        other.loss(batch)
        epoch(other, 3)
    assert torch.equal(killed.weights.theta, model.weights.theta)
    assert killed.weights.attention_share == model.weights.attention_share


def test_serving_reads_the_parameters_as_they_are(data, batch):
    model = build(data, edge_dropout=0.5)
    epoch(model, 1)
    model.loss(batch).backward()
    before = model.score(ALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * (0 if parameter.grad is None else parameter.grad)
    after = model.score(ALL)
    assert not torch.equal(before, after)
    assert torch.equal(after, model.score(ALL))


def test_pruning_keeps_its_share_and_serving_the_full_graph(data):
    model = build(data, edge_dropout=0.5)
    full = model.score(ALL)
    size = data['user', 'interacts', 'item'].edge_index.size(1)
    seen = []
    for seed in (0, 1, 0):
        epoch(model, seed)
        assert model._thinned.op.nnz == 2 * (size // 2)
        seen.append(model.embed()[1].detach())
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    fresh = build(data)
    assert torch.equal(model.eval().embed()[1], fresh.embed()[1])
    assert torch.equal(full, fresh.score(ALL))


def test_an_item_that_nobody_has(data):
    model = build(data)
    z = model()['item'].detach()
    assert z[6].isfinite().all()
    assert z[6].any()
    x0 = model.encode().detach()
    # No message changes its row, and its neighbours' come on top.
    graph = dense_item_graph(data)
    h = torch.linalg.solve(torch.eye(ITEMS).double() + graph, z.double())
    torch.testing.assert_close(h[6].float(), x0[USERS + 6], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(z[6].double(), h[6] + graph[6] @ h, atol=1e-5, rtol=1e-5)


def test_a_new_item_changes_others_through_the_item_graph_only(data):
    model = build(data)
    larger = copy.deepcopy(data)
    larger['item'].num_nodes = ITEMS + 1
    for name in ('x_visual', 'x_text'):
        x = data['item'][name]
        larger['item'][name] = torch.cat([x, x[:1] + 0.1])
    other = build(larger)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.encode()[:-1], model.encode())
    torch.testing.assert_close(other.embed()[0], model.embed()[0])
    unmoved = (other.item_graph.to_dense()[:-1, -1] == 0).nonzero().squeeze(1)
    same = torch.isclose(other()['item'][:-1], model()['item'], atol=1e-6).all(1)
    assert 0 < len(unmoved) < ITEMS
    assert same[unmoved].all()
    assert not same.all()


def test_negatives_are_items_of_the_training_edges(data):
    sampler = build(data).make_sampler(data, 4)
    seen = set()
    for seed in range(30):
        for drawn in sampler.epoch(torch.Generator().manual_seed(seed)):
            seen |= set(drawn.neg.tolist())
    assert seen == set(data['user', 'interacts', 'item'].edge_index[1].tolist())


def test_held_out_edges_change_nothing(data, batch):
    before = build(data)
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor([[5], [6]])
    after = build(data)
    assert torch.equal(before.loss(batch), after.loss(batch))
    first = next(iter(before.make_sampler(data, 99).epoch(torch.Generator().manual_seed(0))))
    del data['user', 'holdout_test', 'item']
    other = next(iter(after.make_sampler(data, 99).epoch(torch.Generator().manual_seed(0))))
    assert all(map(torch.equal, first, other))


def test_scores_follow_permutations(data):
    item_of = torch.tensor([3, 0, 5, 1, 6, 2, 4])  # New number of every item.
    user_of = torch.tensor([2, 5, 0, 1, 4, 3])
    moved = copy.deepcopy(data)
    user, item = data['user', 'interacts', 'item'].edge_index
    moved['user', 'interacts', 'item'].edge_index = torch.stack([user_of[user], item_of[item]])
    for name in ('x_visual', 'x_text'):
        moved['item'][name][item_of] = data['item'][name]
    model, other = build(data), build(moved)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        other.user[user_of] = model.user
    expected = model.score(ALL)
    torch.testing.assert_close(other.score(user_of)[:, item_of], expected, atol=1e-5, rtol=1e-5)


def test_one_modality_and_three(data, batch):
    one = build(data, modalities=['text'])
    assert one().get('item').shape == (ITEMS, 2 * 4)
    torch.testing.assert_close(one.item_graph.weight, torch.full((3 * ITEMS,), 1 / 3))
    assert one.loss(batch).isfinite()
    data['item'].x_acoustic = data['item'].x_text.flip(0)
    three = build(data)
    assert three()['item'].shape == (ITEMS, 4 * 4)
    assert three.loss(batch).isfinite()


def test_a_frozen_graph_takes_the_place_of_the_search(data):
    features = build(data)
    index = torch.tensor([[(i + step) % ITEMS for step in range(3)] for i in range(ITEMS)])
    data['item'].knn_image_index = index
    data['item'].knn_image_similarity = torch.tensor([1.0, 0.8, 0.6]).expand(ITEMS, 3).clone()
    data['item'].x_image_spectral = data['item'].x_visual
    del data['item'].x_visual
    frozen = build(data)
    assert not torch.equal(frozen.item_graph.to_dense(), features.item_graph.to_dense())
    image = torch.zeros(ITEMS, ITEMS).scatter_(1, index, 1 / 3)
    text = build(data, modalities=['text']).item_graph.to_dense()
    torch.testing.assert_close(
        frozen.item_graph.to_dense(), 0.1 * image.double() + 0.9 * text, atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize('how', ['softmax', 'logit', 'none', 'uniform'])
def test_zero_features_and_isolated_nodes_train_finitely(data, how):
    data['item'].x_text[4] = data['item'].x_visual[4] = 0
    model = build(data, copy=how)
    torch.testing.assert_close(model.item_graph.to_dense()[4], torch.eye(ITEMS)[4].double())
    history = graphrec.fit(model, data, epochs=6, batch_size=4, lr=0.01, progress=False)
    assert history['loss'].isna().sum() == 0
    assert all(p.isfinite().all() for p in model.parameters())
    assert model.score(ALL).isfinite().all()
    assert history['loss'].iloc[-1] < history['loss'].iloc[0]


def test_refresh_follows_an_edit(data):
    model = build(data)
    edited = copy.deepcopy(data)
    edge_index = data['user', 'interacts', 'item'].edge_index
    edited['user', 'interacts', 'item'].edge_index = edge_index[:, 3:]
    edited['item'].x_visual[1] = edited['item'].x_visual[3]
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.refresh(edited)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name])
    fresh = build(edited)
    assert torch.equal(model.item_graph.to_dense(), fresh.item_graph.to_dense())
    assert torch.equal(model.score(ALL), fresh.score(ALL))


def test_unknown_users_are_a_node_more(data):
    model = build(data, num_layers=2)
    epoch(model, 1)
    model.weights.theta.normal_(generator=torch.Generator().manual_seed(0))
    degree = torch.bincount(data['user', 'interacts', 'item'].edge_index[1], minlength=ITEMS)
    x0 = model.encode().detach()
    layers = [x0, model._propagation.op @ x0]
    vector = torch.zeros(12)
    for h in layers:
        for item in (1, 3):
            vector += h[USERS + item] / (2 * degree[item].clamp(min=1)) ** 0.5
    share = model.weights.attention_share
    parts = vector.split(4)
    a = torch.cat([mlp(part) for mlp, part in zip(model.weights.attention, parts, strict=True)])
    w = torch.softmax(share * a + (1 - share) * model.weights.theta.mean(0), 0)
    user = torch.cat([part * w[m] for m, part in enumerate(parts)])
    expected = model()['item'] @ user
    scores = model.rank_history([torch.tensor([1, 3]), torch.tensor([6])])
    torch.testing.assert_close(scores[0], expected.detach(), atol=1e-5, rtol=1e-5)
    assert scores.shape == (2, ITEMS)
    assert scores.isfinite().all()
    assert not scores.requires_grad


def test_state_dict_round_trip_and_seed(data, batch):
    first, second = build(data, seed=1), build(data, seed=1)
    for number in (1, 2):
        epoch(first, number), epoch(second, number)
        first.loss(batch), second.loss(batch)
    assert torch.equal(first.score(ALL), second.score(ALL))
    other = build(data, seed=2)
    assert not torch.equal(first.score(ALL), other.score(ALL))
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.score(ALL), other.score(ALL))
    assert 'features' not in first.state_dict()


@pytest.mark.parametrize(
    'config',
    [
        {'dim': 0},
        {'hidden': 0},
        {'num_layers': -1},
        {'item_layers': -1},
        {'k': 0},
        {'k': ITEMS + 1},
        {'visual_weight': 1.5},
        {'reg': -1.0},
        {'copy': 'weights'},
        {'attention_weight': 1.0},
        {'decay': 0.0},
        {'dct': '3d'},
        {'edge_dropout': 1.0},
        {'modalities': 'text'},
        {'modalities': ['smell']},
    ],
)
def test_bad_config_names_the_field(data, config):
    with pytest.raises(GraphError, match=list(config)[-1]):
        build(data, **config)
