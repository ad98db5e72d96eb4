"""Learning-rate schedules by name, stepped once an epoch."""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LRScheduler,
    ReduceLROnPlateau,
)

from graphrec.errors import GraphError

Schedule = str | float | Callable[[Optimizer], LRScheduler] | None

EXPONENTIAL_FACTOR = 0.98


def make_schedule(schedule: Schedule, optimizer: Optimizer, epochs: int) -> LRScheduler | None:
    r"""Builds a schedule of the learning rate :math:`\eta_e` for epochs
    :math:`e = 0, \dots, T - 1`.

    - :obj:`None`: constant;
    - ``'cosine'``: :math:`\eta_0 (1 + \cos(\pi e / T)) / 2` (`"SGDR"
      <https://arxiv.org/abs/1608.03983>`_, Eq. 5, without restarts);
    - ``'exponential'``: :math:`\eta_0 \, 0.98^e`;
    - a number :math:`\gamma \in (0, 1]`: :math:`\eta_0 \, \gamma^e`;
    - a function from the optimiser to a :class:`torch.optim.lr_scheduler.LRScheduler`.

    Raises:
        GraphError: If the name is unknown, the number out of range, or the function gives
            something else.
    """
    if schedule is None:
        return None
    if schedule == 'cosine':
        return CosineAnnealingLR(optimizer, T_max=epochs)
    if schedule == 'exponential':
        return ExponentialLR(optimizer, gamma=EXPONENTIAL_FACTOR)
    if isinstance(schedule, float | int) and 0 < schedule <= 1:
        return ExponentialLR(optimizer, gamma=float(schedule))
    if not callable(schedule):
        raise GraphError(
            "'schedule' must be None, 'cosine', 'exponential', a factor in (0, 1] or a function "
            f'from the optimiser to a torch scheduler (got {schedule!r})'
        )
    made = schedule(optimizer)
    if not isinstance(made, LRScheduler) or isinstance(made, ReduceLROnPlateau):
        raise GraphError(
            "'schedule' must return a torch LRScheduler that is stepped once an epoch without "
            f'a metric (got {type(made).__name__})'
        )
    return made
