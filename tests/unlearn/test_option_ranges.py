"""Options and training settings out of range are refused before anything is done."""

import math

import pytest

from graphrec.errors import GraphError
from graphrec.unlearn.methods import METHODS, method_options
from graphrec.unlearn.task import fit_settings

NAN, INF = math.nan, math.inf
BATCHES = ('grad_ascent', 'ascent_retain', 'mmrecun', 'rrl', 'distil', 'heldout_match')


@pytest.mark.parametrize(
    ('method', 'name', 'value'),
    [
        ('influence', 'tolerance', NAN),
        ('influence', 'tolerance', 1.0),
        ('influence', 'tolerance', -1e-3),
        ('influence', 'scale', INF),
        ('influence', 'scale', NAN),
        ('influence', 'scale', 0.0),
        ('influence', 'damping', INF),
        ('influence', 'damping', NAN),
        ('ifru', 'hops', -1),
        ('ifru', 'spillover', -2),
        ('ifru', 'keep', NAN),
        ('ifru', 'tolerance', NAN),
        ('heldout_match', 'users', 0),
        ('heldout_match', 'distillation', INF),
        ('heldout_match', 'multiplier', NAN),
        ('mmrecun', 'retain_weight', NAN),
        ('mmrecun', 'retain_weight', -0.5),
        ('rrl', 'epsilon', INF),
        ('rrl', 'fisher_batches', 0),
        ('distil', 'forget_weight', NAN),
        ('sisa', 'num_shards', 1),
        ('sisa', 'partition', 'halves'),
        *((method, 'forget_batch', 0) for method in BATCHES),
    ],
)
def test_options_out_of_range(method, name, value):
    with pytest.raises(GraphError) as caught:
        method_options(method, {name: value})
    assert f"'{name}'" in str(caught.value)
    assert f'got {value!r}' in str(caught.value)


def test_defaults_and_limits_are_in_range():
    for name in METHODS:
        method_options(name, None)
    for method in BATCHES:
        method_options(method, {'forget_batch': 1})
    method_options('influence', {'tolerance': 0.0, 'damping': 0.0})
    method_options('ifru', {'hops': 0, 'spillover': 0, 'keep': 1.0})
    method_options('heldout_match', {'users': 1, 'distillation': 0.0})


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('epochs', 0),
        ('epochs', -1),
        ('epochs', 2.5),
        ('batch_size', 0),
        ('eval_every', 0),
        ('patience', 0),
        ('lr', 0.0),
        ('lr', NAN),
        ('lr', INF),
        ('weight_decay', NAN),
        ('weight_decay', -1.0),
    ],
)
def test_training_settings_out_of_range(name, value):
    with pytest.raises(GraphError) as caught:
        fit_settings({name: value})
    assert f"'{name}'" in str(caught.value)
    assert f'got {value!r}' in str(caught.value)


def test_training_settings_in_range():
    assert fit_settings(None)['epochs'] == 100
    assert fit_settings({'epochs': 1, 'patience': None, 'lr': 1e-6})['patience'] is None
