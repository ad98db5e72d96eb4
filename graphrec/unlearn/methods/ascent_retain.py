"""Gradient ascent on what is forgotten, training on what is retained."""

import dataclasses

from graphrec.unlearn.methods.mmrecun import MMRecUnOptions
from graphrec.unlearn.objectives import ascent, mixed
from graphrec.unlearn.repair import repair
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class AscentRetainOptions(MMRecUnOptions):
    r"""Options of :func:`ascent_retain`, as those of
    :class:`~graphrec.unlearn.methods.mmrecun.MMRecUnOptions`; our search for
    :attr:`forget_weight` is 0.2 to 0.7."""

    check_every: int = 10
    forget_weight: float = 0.5


def ascent_retain(task: Task, options: AscentRetainOptions) -> Outcome:
    r"""In the style of NegGrad+ (Kurmanji et al., NeurIPS 2023),

    .. math::
        \mathcal{L} = -\alpha \, \mathbb{E}_{(u, i) \in D_f} \mathrm{softplus}(-d) +
        (1 - \alpha) L_r

    starts slowly on the best remembered pairs and diverges once past the held-out level; the
    stop rule ends it there. No guarantee.
    """
    objective = mixed(task, ascent, options.forget_weight, options.retained, options.forget_batch)
    if objective is None:
        task.settle()
        return Outcome(task.model, 0, 'no forgotten pair is served any more')
    return repair(task, objective, options, 200 if task.served.size(1) else 50)
