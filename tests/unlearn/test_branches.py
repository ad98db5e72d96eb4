import pytest
import torch

import graphrec
from graphrec import models, unlearn
from graphrec.unlearn.branches import branch_factors


@pytest.fixture(scope='module')
def small():
    return graphrec.datasets.planted(41, 37, num_interactions=600, num_communities=3, seed=1)


def run(model, data, **scale):
    options = {'steps': 2, 'branch_scale': scale}
    edit = unlearn.RemoveModality('visual', items=[3, 4])
    return unlearn.forget(model, data, edit, 'finetune', options=options).model


def test_a_branch_of_factor_zero_is_held(small):
    model = models.FREEDOM.from_graph(small, dim=4, k=3)
    held = dict(run(model, small, visual=0.0).named_parameters())
    free = dict(run(model, small).named_parameters())
    start = dict(model.named_parameters())
    name = 'projection.visual.weight'
    assert torch.equal(held[name], start[name])
    assert not torch.equal(free[name], start[name])
    assert not torch.equal(held['projection.text.weight'], start['projection.text.weight'])


def test_names_and_bad_input(small):
    model = models.MGCN.from_graph(small, dim=4, k=3)
    own = {parameter: name for name, parameter in model.named_parameters()}
    names = {own[parameter] for parameter in branch_factors(model, {'text': 0.5})}
    assert names >= {'projection.text.weight', 'x_text', 'gate.text.bias'}
    assert not any('visual' in name for name in names)
    with pytest.raises(graphrec.GraphError, match='audio'):
        branch_factors(model, {'audio': 1.0})
    with pytest.raises(graphrec.GraphError, match='negative'):
        unlearn.methods.method_options('finetune', {'branch_scale': {'text': -1.0}})
