"""IFRU: influence with the spillover of the edit, on the rows that it touches."""

import dataclasses

import torch
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.graphs.event_pairs import TrainingEvents
from graphrec.graphs.schema import train_edges
from graphrec.models.query_recommender import QueryRecommender
from graphrec.models.recommender import Recommender
from graphrec.unlearn.event_losses import event_change
from graphrec.unlearn.methods.influence import (
    InfluenceOptions,
    apply_step,
    forgotten_gradient,
    newton_step,
    original_on,
    summed_gradient,
)
from graphrec.unlearn.repair import touched_masks, touched_nodes
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class IFRUOptions(InfluenceOptions):
    """Options of :func:`ifru`.

    Attributes:
        hops: Rows of nodes within so many steps of the edit may change.
        keep: Share of these rows that do: those with the largest gradients.
        spillover: Most retained interactions near the edit whose change of loss counts.
    """

    hops: int = 1
    keep: float = 1.0
    spillover: int = 20000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep <= 1:
            raise GraphError(f"'keep' must lie in (0, 1] (got {self.keep})")
        for name in ('hops', 'spillover'):
            if getattr(self, name) < 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')


def ifru(task: Task, options: IFRUOptions) -> Outcome:
    r"""IFRU of `"Recommendation Unlearning via Influence Function"
    <https://arxiv.org/abs/2307.02147>`_ (Zhang et al., TORS 2024). An edit of the graph also
    changes the losses of interactions that stay, so the right side is

    .. math::
        \sum_{z \in D_f} \nabla \ell(z; G) + \sum_{z \in D_r \text{ near}} \big[ \nabla
        \ell(z; G) - \nabla \ell(z; G') \big]

    and only rows of nodes near the edit change, pruned to those with the largest gradients.
    The Hessian is that of the propagated loss on the edited graph; the published code takes
    it of the loss without propagation. How near, and the damping, are reconstructed. Models of
    searches are stepped by their events, as by
    :func:`~graphrec.unlearn.methods.influence.influence`; embeddings of words stay. No guarantee.
    """
    before = original_on(task, task.original_data)
    after = original_on(task, task.data)
    right = forgotten_gradient(task, before)
    near = _near(task, before, after, options)
    for model, sign in ((before, 1.0), (after, -1.0)):
        right = right + sign * summed_gradient(task, model, near, 'spillover')
    mask = row_mask(task, right, options)
    solution, steps = newton_step(task, right, mask, options)
    outcome = apply_step(task, solution, steps, options.scale)
    outcome.notes.append(f'{int(mask.sum()):,} of {mask.numel():,} numbers could change')
    return outcome


def _near(
    task: Task, before: Recommender, after: Recommender, options: IFRUOptions
) -> Tensor | TrainingEvents:
    """Retained interactions or events with an end that the edit touched, drawn where there are
    more than asked for."""
    kept, searched = train_edges(task.data), False
    if isinstance(before, QueryRecommender) and isinstance(after, QueryRecommender):
        kept, searched = torch.stack(event_change(before, after).kept), True
    reached = touched_nodes(task, 0)
    near = kept[:, reached['user'][kept[0]] | reached['item'][kept[1]]]
    order = torch.randperm(near.size(1), generator=task.generator('near'), device=near.device)
    near = near[:, order[: options.spillover]]
    return TrainingEvents(*near) if searched else near


def row_mask(task: Task, right: Tensor, options: IFRUOptions) -> Tensor:
    """Which numbers may change, as zeros and ones :math:`(n)`: rows of touched nodes."""
    rows = touched_masks(task, options.hops)
    parts, start = [], 0
    for parameter in (p for p in task.model.parameters() if p.requires_grad):
        own = right[start : start + parameter.numel()].view_as(parameter)
        start += parameter.numel()
        if parameter not in rows:
            parts.append(torch.zeros_like(own).reshape(-1))
            continue
        kept = rows[parameter].clone()
        size = own.flatten(1).norm(dim=1) if own.dim() > 1 else own.abs()
        count = int(options.keep * int(kept.sum()))
        chosen = size.masked_fill(~kept, -1.0).topk(count).indices
        kept = torch.zeros_like(kept).index_fill_(0, chosen, True)
        shape = (-1, *[1] * (own.dim() - 1))
        parts.append(kept.view(shape).expand_as(own).to(own).reshape(-1))
    return torch.cat(parts)
