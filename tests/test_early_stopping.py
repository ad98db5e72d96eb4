import math

import torch

from graphrec.early_stopping import EarlyStopping


def counter():
    model = torch.nn.Linear(1, 1)
    set_to(model, 0.0)
    return model


def set_to(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def test_the_best_state_is_a_copy_of_its_moment():
    model = counter()
    stopping = EarlyStopping(model, patience=2)
    for epoch, value in [(1, 0.2), (2, 0.5), (3, 0.5), (4, math.nan)]:
        set_to(model, float(epoch))
        assert not stopping.should_stop
        assert stopping.update(epoch, value) == (epoch < 3)
    assert stopping.should_stop
    assert (stopping.best_epoch, stopping.best_value, stopping.misses) == (2, 0.5, 2)
    stopping.restore()
    assert model.weight.item() == model.bias.item() == 2.0


def test_before_the_first_value_the_best_state_is_the_start():
    model = counter()
    stopping = EarlyStopping(model)
    set_to(model, 3.0)
    stopping.restore()
    assert model.weight.item() == 0.0
    assert stopping.best_epoch is None


def test_without_patience_it_never_stops():
    stopping = EarlyStopping(counter(), patience=None)
    for epoch in range(50):
        stopping.update(epoch, -epoch)
    assert not stopping.should_stop


def test_its_state_moves_to_another_one():
    model = counter()
    stopping = EarlyStopping(model, patience=3)
    set_to(model, 1.0)
    stopping.update(1, 0.7)
    stopping.update(2, 0.6)
    other = EarlyStopping(counter(), patience=3)
    other.load_state_dict(stopping.state_dict())
    assert (other.best_epoch, other.best_value, other.misses) == (1, 0.7, 1)
    other.restore()
    assert other.model.weight.item() == 1.0
    set_to(model, 5.0)
    stopping.update(3, 0.9)
    other.restore()
    assert other.model.weight.item() == 1.0
