import math

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from graphrec.errors import GraphError
from graphrec.schedules import make_schedule


def rates(schedule, epochs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = make_schedule(schedule, optimizer, epochs)
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return found


def test_cosine():
    expected = [1 + math.cos(math.pi * epoch / 5) for epoch in range(5)]
    assert rates('cosine', 5) == pytest.approx(expected)


def test_exponential():
    assert rates('exponential', 4) == pytest.approx([2, 2 * 0.98, 2 * 0.98**2, 2 * 0.98**3])


def test_a_factor():
    assert rates(0.5, 4) == pytest.approx([2, 1, 0.5, 0.25])


def test_a_schedule_of_ones_own():
    found = rates(lambda optimizer: OneCycleLR(optimizer, max_lr=3.0, total_steps=9), 8)
    assert max(found) == pytest.approx(3.0, rel=0.05)
    assert found[0] < 1


def test_none_is_none():
    assert make_schedule(None, torch.optim.SGD([torch.zeros(1)], lr=1.0), 3) is None


@pytest.mark.parametrize(
    'schedule', ['warmup', 1.5, 0.0, lambda optimizer: 'cosine', ReduceLROnPlateau]
)
def test_others_are_refused(schedule):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(GraphError, match="'schedule' must"):
        make_schedule(schedule, optimizer, 3)
