"""MMRecUn: reverse BPR on what is forgotten, forward BPR on what is retained."""

import dataclasses

from graphrec.errors import GraphError
from graphrec.unlearn.objectives import mixed, reverse_bpr
from graphrec.unlearn.repair import RepairOptions, check_counts, check_weight, repair
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class MMRecUnOptions(RepairOptions):
    r"""Options of :func:`mmrecun`. The paper gives no weights: all are reconstructed.

    Attributes:
        forget_weight: :math:`\alpha`, of the reverse term; our search is 0.005 to 0.05.
        retain_weight: Of the forward term; :math:`1 - \alpha` if omitted.
        forget_batch: Forgotten pairs a step.
    """

    forget_weight: float = 0.01
    retain_weight: float | None = None
    forget_batch: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.forget_weight <= 1:
            raise GraphError(f"'forget_weight' must lie in [0, 1] (got {self.forget_weight})")
        check_weight('retain_weight', self.retained)
        check_counts(self, 'forget_batch')

    @property
    def retained(self) -> float:
        """The weight of the forward term."""
        return 1 - self.forget_weight if self.retain_weight is None else self.retain_weight


def mmrecun(task: Task, options: MMRecUnOptions) -> Outcome:
    r"""MMRecUn of `"Multi-Modal Recommendation Unlearning for Legal, Licensing, and Modality
    Constraints" <https://arxiv.org/abs/2405.15328>`_ (Sinha et al., AAAI 2025). With
    :math:`d = s_{ui} - s_{uj}`,

    .. math::
        \mathcal{L} = \alpha \, \mathbb{E}_{(u, i) \in D_f} \mathrm{softplus}(d) +
        (1 - \alpha) L_r

    on the edited graph from the first step on; :math:`j` of the first term is neither
    retained nor forgotten. :math:`L_r` is the model's own loss. No code of the authors could
    be obtained; the weights, the schedule and the stop rule are ours (reconstructed). Its
    optimum is below what a retrained model does, so the stop rule is what keeps it from
    forgetting too much. No guarantee. The idea of a reversed ranking is RRL's
    (:func:`~graphrec.unlearn.methods.rrl.rrl`).
    """
    objective = mixed(
        task, reverse_bpr, options.forget_weight, options.retained, options.forget_batch
    )
    if objective is None:
        task.settle()
        return Outcome(task.model, 0, 'no forgotten pair is served any more')
    return repair(task, objective, options, 200 if task.served.size(1) else 50)
