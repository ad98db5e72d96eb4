"""Every model names the rows of its nodes, so that a removed one leaves nothing behind."""

import pytest
import torch

from graphrec import models
from graphrec.datasets import planted
from graphrec.models import Recommender
from graphrec.models.multimodal import MultimodalLightGCN

USERS, ITEMS = 61, 43
SIZES = {'user': USERS, 'item': ITEMS}
CASES = [(name, {}) for name in models.__all__ if name != 'Recommender'] + [
    ('BM25', {'with_queries': True}),
    ('BM3', {'freeze_features': True}),
    ('BUIR', {'moves': 'batch'}),
    ('ContrastiveLightGCN', {'view': 'hypergraph', 'against': 'main', 'num_hyperedges': 7}),
    ('FREEDOM', {'freeze_features': True}),
    ('MF', {'sparse': True}),
    ('MMHCL', {'user_weight': 0.0}),
    ('MMHCL', {'backbone': 'ngcf'}),
    ('SelfCF', {'variant': 'he'}),
    ('UDITSR', {'generator': False, 'recommendations': 'all'}),
    ('UDITSR', {'searches': False}),
    ('VBPR', {'biases': True, 'freeze_features': False}),
]
IDS = [f'{name}-{"-".join(config)}' for name, config in CASES]
SMALL = {'dim': 8, 'num_prototypes': 5, 'hidden': 9, 'k': 4, 'num_hyperedges': 7}


@pytest.fixture(scope='module')
def data():
    data = planted(
        USERS, ITEMS, num_interactions=600, num_communities=3, num_queries=9, num_intents=3, seed=1
    )
    data['item'].title = [f'thing {n}' for n in range(ITEMS)]
    return data


def build(data, name, config):
    cls = getattr(models, name)
    known = cls.config_class.__dataclass_fields__
    small = {key: value for key, value in SMALL.items() if key in known}
    return cls.from_graph(data, **(small | config))


def tensors(model):
    return dict(model.named_parameters()) | dict(model.named_buffers())


@pytest.mark.parametrize(('name', 'config'), CASES, ids=IDS)
def test_every_row_of_a_node_is_declared(data, name, config):
    model = build(data, name, config)
    declared = model.node_rows()
    for key, value in tensors(model).items():
        if value.dim() and value.size(0) in (USERS, ITEMS, USERS + ITEMS):
            assert key in declared, f'{key} has {value.size(0)} rows'
    assert ('user', 'searches', 'query') in data.edge_types
    for key, words in model.word_rows().items():
        assert tensors(model)[key].size(0) == len(words)
        assert len(words) not in (USERS, ITEMS, USERS + ITEMS)
    for key, types in declared.items():
        assert tensors(model)[key].size(0) == sum(SIZES[kind] for kind in types), key
    assert set(model.feature_rows()) <= set(declared)
    assert set(model.feature_rows()) <= set(dict(model.named_parameters()))
    assert set(model.fitted_buffers()) <= set(dict(model.named_buffers()))


def test_declared_types_are_in_the_order_of_the_rows(data):
    model = models.LightGCN.from_graph(data, dim=8, num_layers=0)
    with torch.no_grad():
        model.embedding[:USERS] = 1.0
        model.embedding[USERS:] = 2.0
    z = model.forward()
    assert model.node_rows() == {'embedding': ('user', 'item')}
    assert (z['user'] == 1).all()
    assert (z['item'] == 2).all()


@pytest.mark.parametrize(('name', 'config'), CASES, ids=IDS)
def test_pair_scores_are_the_scores_that_are_served(data, name, config):
    model = build(data, name, config).eval()
    if not model.is_trainable:
        pytest.skip('scores in closed form')
    user, item = torch.tensor([0, 3, 3, 60]), torch.tensor([42, 0, 5, 5])
    scores = model.pair_scores(user, item)
    torch.testing.assert_close(scores.detach(), model.score(user, item), rtol=1e-4, atol=1e-5)
    grads = torch.autograd.grad(scores.sum(), list(model.parameters()), allow_unused=True)
    assert any(grad is not None and grad.abs().sum() > 0 for grad in grads)


def test_undeclared_by_default():
    assert Recommender.node_rows(object.__new__(Recommender)) == {}


def test_trained_features_are_those_of_the_graph_at_first(data):
    class Plain(MultimodalLightGCN):
        pass

    model = Plain.from_graph(data, dim=8)
    assert model.feature_rows() == ('x_visual', 'x_text')
    for name in model.feature_rows():
        assert torch.equal(getattr(model, name).detach(), data['item'][name])
