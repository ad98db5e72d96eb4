"""What holds for every model there is."""

import copy

import pytest
import torch

from graphrec import models, runs
from graphrec.errors import GraphError

USERS, ITEMS = 7, 6
ALL = torch.arange(USERS)
EDGE = ('user', 'interacts', 'item')
# These need words or search batches; their own tests say the same of them. UnionLightGCN, which
# reads pairs alone, is one of the models here.
SEARCHING = {'BM25', 'HyperSaR', 'QueryBilinear', 'UDITSR'}
NAMES = [kind.__name__ for kind in runs.MODELS.values() if kind.__name__ not in SEARCHING]
SMALL = {'dim': 4, 'k': 3, 'collaborative_k': 5, 'hidden': 8, 'num_hyperedges': 3, 'rank': 3}


def build(name, data):
    kind = getattr(models, name)
    fields = kind.config_class.__dataclass_fields__
    config = {key: value for key, value in SMALL.items() if key in fields}
    if name == 'ItemKNN':
        config['k'] = ITEMS - 1  # All, as equal scores are chosen by number.
    return kind.from_graph(data, **config)


def begin(model):
    model.train().begin_epoch(torch.Generator().manual_seed(0))


@pytest.mark.parametrize('name', NAMES)
def test_held_out_edges_change_nothing(featured, triples, name):
    before = build(name, featured)
    featured['user', 'holdout_test', 'item'].edge_index = torch.tensor([[6, 0], [5, 5]])
    featured['user', 'holdout_valid', 'item'].edge_index = torch.tensor([[5], [5]])
    after = build(name, featured)
    assert torch.equal(before.score(ALL), after.score(ALL))
    if before.is_trainable:
        begin(before)
        begin(after)
        assert torch.equal(before.loss(triples), after.loss(triples))


@pytest.mark.parametrize('name', NAMES)
def test_scores_follow_a_permutation_of_nodes(featured, name):
    user_to = torch.tensor([2, 6, 0, 1, 5, 4, 3])  # New number of every node.
    item_to = torch.tensor([3, 0, 5, 1, 2, 4])
    moved = copy.copy(featured)
    user, item = featured[EDGE].edge_index
    moved[EDGE].edge_index = torch.stack([user_to[user], item_to[item]])
    for key in ('x_visual', 'x_text'):
        moved['item'][key] = torch.empty_like(featured['item'][key])
        moved['item'][key][item_to] = featured['item'][key]
    order = {USERS: user_to, ITEMS: item_to, USERS + ITEMS: torch.cat([user_to, USERS + item_to])}
    model, other = build(name, featured), build(name, moved)
    state = other.state_dict()
    for key, value in model.state_dict().items():  # A table has a row a node.
        where = order.get(value.size(0)) if value.dim() else None
        if where is None:
            state[key].copy_(value)
        else:
            state[key][where] = value
    scores = other.score(ALL)[user_to][:, item_to]
    torch.testing.assert_close(scores, model.score(ALL), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('name', NAMES)
def test_steps_are_finite_with_isolated_and_featureless_nodes(featured, triples, name):
    model = build(name, featured)
    optimizer = torch.optim.Adam([{'params': list(model.parameters())}], lr=0.01)
    for epoch in range(2 if model.is_trainable else 0):
        model.train().begin_epoch(torch.Generator().manual_seed(epoch))
        loss = model.loss(triples)
        optimizer.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            if parameter.grad is not None:
                assert bool(parameter.grad.to_dense().isfinite().all())
        optimizer.step()
        assert bool(loss.isfinite())
    assert bool(model.score(ALL).isfinite().all())


@pytest.mark.parametrize('name', NAMES)
def test_state_dict_round_trip(featured, triples, name):
    model, other = build(name, featured), build(name, featured)
    if model.is_trainable:
        begin(model)
        model.loss(triples).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.5 * parameter.grad.to_dense()
        assert not torch.equal(other.score(ALL), model.score(ALL))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.score(ALL), model.score(ALL))


@pytest.mark.parametrize('name', NAMES)
def test_everything_derived_is_rebuilt_by_refresh(featured, triples, name):
    model = build(name, featured)
    if model.is_trainable:
        begin(model)  # Views of an epoch are derived too.
        model.loss(triples)
    edited = copy.copy(featured)
    edited[EDGE].edge_index = featured[EDGE].edge_index[:, 3:]
    edited['item'].x_visual = featured['item'].x_visual.flip(0)
    edited['item'].x_text = featured['item'].x_text.flip(0)
    fresh = build(name, edited)
    fresh.load_state_dict(model.state_dict())
    model.refresh(edited)
    assert torch.equal(model.score(ALL), fresh.score(ALL))
    if model.is_trainable:
        for one in (model, fresh):
            one.train().begin_epoch(torch.Generator().manual_seed(1))
        assert torch.equal(model.loss(triples), fresh.loss(triples))


@pytest.mark.parametrize('name', NAMES)
def test_a_setting_that_is_none_is_named(featured, name):
    with pytest.raises(GraphError, match=f"{name} has no setting 'dmi'"):
        getattr(models, name).from_graph(featured, dmi=4)
