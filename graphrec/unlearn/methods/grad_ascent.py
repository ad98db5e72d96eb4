"""Gradient ascent on what is forgotten."""

import dataclasses

from graphrec.unlearn.objectives import ascent, mixed
from graphrec.unlearn.repair import RepairOptions, check_counts, repair
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class GradAscentOptions(RepairOptions):
    """Options of :func:`grad_ascent`.

    Attributes:
        forget_batch: Forgotten pairs a step.
    """

    check_every: int = 10
    forget_batch: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, 'forget_batch')


def grad_ascent(task: Task, options: GradAscentOptions) -> Outcome:
    r"""Steps up the ranking loss of the forgotten pairs,

    .. math::
        \min_\theta \; -\mathbb{E}_{(u, i) \in D_f} \mathrm{softplus}(-d)

    which has no minimum: without the stop rule it diverges. Nothing holds the rest in place.
    No guarantee.
    """
    objective = mixed(task, ascent, 1.0, 0.0, options.forget_batch)
    if objective is None:
        task.settle()
        return Outcome(task.model, 0, 'no forgotten pair is served any more')
    return repair(task, objective, options, 100)
