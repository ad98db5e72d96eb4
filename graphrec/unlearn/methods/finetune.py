"""Fine-tuning on what is retained: the weakest repair, and the yardstick of the others."""

from graphrec.unlearn.objectives import retained_loss
from graphrec.unlearn.repair import RepairOptions, repair
from graphrec.unlearn.task import Outcome, Task


def finetune(task: Task, options: RepairOptions) -> Outcome:
    r"""Steps down the model's own loss on retained interactions of the edited graph,

    .. math::
        \min_\theta L_r(\theta; G')

    from the original's parameters. Nothing pushes the forgotten pairs down but what the
    loss does to any unobserved pair. No guarantee.
    """
    retained = retained_loss(task)
    return repair(task, lambda step: retained(), options, 200 if task.served.size(1) else 50)
