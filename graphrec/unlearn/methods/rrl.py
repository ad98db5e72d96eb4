"""RRL: reversed ranking, slowed down where retained interactions care."""

import dataclasses
import math

import torch

from graphrec.errors import GraphError
from graphrec.unlearn.objectives import mixed, retained_loss, reverse_bpr
from graphrec.unlearn.repair import RepairOptions, check_counts, repair
from graphrec.unlearn.second_order import flat_gradient
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class RRLOptions(RepairOptions):
    r"""Options of :func:`rrl`; all are reconstructed.

    Attributes:
        fisher_batches: Retained batches that the Fisher information is estimated from.
        epsilon: :math:`\epsilon`, in units of the mean of the Fisher information.
        forget_batch: Forgotten pairs a step.
    """

    check_every: int = 5
    fisher_batches: int = 8
    epsilon: float = 0.1
    forget_batch: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, 'fisher_batches', 'forget_batch')
        if not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise GraphError(f"'epsilon' must be above 0 and finite (got {self.epsilon})")


def rrl(task: Task, options: RRLOptions) -> Outcome:
    r"""After RRL (You et al., "RRL: Recommendation Reverse Learning", AAAI 2024): reverse BPR
    on the forgotten pairs with gradients :math:`\mathbf{g}` preconditioned by the diagonal
    Fisher information of what is retained,

    .. math::
        \theta \leftarrow \theta - \eta \, \frac{\tilde{\mathbf{g}}}{\mathrm{rms}
        (\tilde{\mathbf{g}})}, \qquad \tilde{\mathbf{g}} = \frac{\mathbf{g}}{\mathbf{F} /
        \bar{F} + \epsilon}, \qquad \mathbf{F} = \mathrm{mean} \, (\nabla L_r)^2

    the mean of squares over retained batches, :math:`\mathrm{rms}` over the numbers that
    have a gradient, so that :math:`\eta` means what it means for Adam (reconstructed). No
    guarantee.
    """
    objective = mixed(task, reverse_bpr, 1.0, 0.0, options.forget_batch)
    if objective is None:
        task.settle()
        return Outcome(task.model, 0, 'no forgotten pair is served any more')
    parameters = [p for p in task.model.parameters() if p.requires_grad]
    fisher = diagonal_fisher(task, options.fisher_batches)
    damped = fisher / fisher.mean().clamp(min=1e-30) + options.epsilon
    scales = [
        part.view_as(p)
        for part, p in zip(damped.split([p.numel() for p in parameters]), parameters, strict=True)
    ]
    task.model.eval()

    def reshape() -> None:
        square = total = 0.0
        for parameter, scale in zip(parameters, scales, strict=True):
            if parameter.grad is not None:
                parameter.grad /= scale
                square += float(parameter.grad.square().sum())
                total += float(parameter.grad.count_nonzero())
        for parameter in parameters:
            if parameter.grad is not None and square > 0:
                parameter.grad *= (total / square) ** 0.5

    lr = task.fit['lr'] if options.lr is None else options.lr
    optimizer = torch.optim.SGD(parameters, lr=lr)
    outcome = repair(task, objective, options, 100, optimizer=optimizer, reshape=reshape)
    outcome.steps += options.fisher_batches
    return outcome


def diagonal_fisher(task: Task, batches: int) -> torch.Tensor:
    r""":math:`\mathbf{F}` :math:`(n)`: the mean over batches of the squared gradient of the
    model's own loss on retained interactions."""
    retained = retained_loss(task)
    parameters = [p for p in task.model.parameters() if p.requires_grad]
    total = torch.zeros(sum(p.numel() for p in parameters), device=task.device)
    for _ in range(batches):
        total += flat_gradient(retained(), parameters).square()
    return total / batches
