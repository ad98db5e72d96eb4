"""Distillation in turns: close to the original on what is retained, away on the rest."""

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.unlearn.objectives import ForgetSampler, margins
from graphrec.unlearn.repair import RepairOptions, check_counts, check_weight, repair
from graphrec.unlearn.task import Outcome, Task
from graphrec.unlearn.teacher import Teacher


@dataclasses.dataclass(frozen=True)
class DistilOptions(RepairOptions):
    r"""Options of :func:`distil`; all are reconstructed.

    Attributes:
        forget_weight: :math:`\gamma`, of the turns that move away.
        last: Share of the steps at the end that are all on what is retained.
        forget_batch: Forgotten pairs a step.
    """

    check_every: int = 10
    forget_weight: float = 1.0
    last: float = 0.2
    forget_batch: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.forget_weight >= 0:
            raise GraphError(f"'forget_weight' must not be negative (got {self.forget_weight})")
        if not 0 < self.last <= 1:
            raise GraphError(f"'last' must lie in (0, 1] (got {self.last})")
        check_weight('forget_weight', self.forget_weight)
        check_counts(self, 'forget_batch')


def distil(task: Task, options: DistilOptions) -> Outcome:
    r"""In the style of SCRUB (Kurmanji et al., `"Towards Unbounded Machine Unlearning"
    <https://arxiv.org/abs/2302.09880>`_, NeurIPS 2023). A student starts from its teacher, the
    original on the edited graph, and takes turns: on retained triples it minimises its own
    loss and the divergence of the teacher's preference :math:`p = \sigma(d^0)` from its
    own, :math:`q = \sigma(d)`; on forgotten ones it maximises the same divergence,

    .. math::
        \min_\theta \; L_r + \mathrm{KL}_{D_r}(p \,\|\, q), \qquad
        \max_\theta \; \gamma \, \mathrm{KL}_{D_f}(p \,\|\, q)

    and ends on retained turns. Student and teacher agree at first, so the retained turns give
    the first push; away from the teacher may be up as well as down. No guarantee.
    """
    teacher = Teacher.of(task)
    retained = task.retain_batches()
    sampler = ForgetSampler(task, options.forget_batch)
    forgotten = sampler.batches(task.generator('forget'))
    default = 200 if task.served.size(1) else 50
    turns = round((1 - options.last) * task.step_limit(options.steps, default))

    def objective(step: int) -> Tensor:
        if step % 2 and step < turns and sampler.size:
            batch = next(forgotten)
            return -options.forget_weight * divergence(task, teacher, batch)
        batch = next(retained)
        one = BPRBatch(batch.user, batch.pos, batch.neg.reshape(batch.user.numel(), -1)[:, 0])
        return task.model.loss(batch) + divergence(task, teacher, one)

    return repair(task, objective, options, default)


def divergence(task: Task, teacher: Teacher, batch: BPRBatch) -> Tensor:
    r"""The mean of :math:`\mathrm{KL}(p \,\|\, q)` of two coins :math:`\sigma(d^0)` and
    :math:`\sigma(d)` over triples."""
    d = margins(task.model, batch)
    with torch.no_grad():
        user, items = teacher.user[batch.user], teacher.item
        d0 = (user * (items[batch.pos] - items[batch.neg])).sum(1)
        p = d0.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(d0, p, reduction='none')
    return (F.binary_cross_entropy_with_logits(d, p, reduction='none') - entropy).mean()
