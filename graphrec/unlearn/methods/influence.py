"""Influence functions: one Newton step away from what is forgotten."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.event_pairs import TrainingEvents
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import train_edges
from graphrec.graphs.search_sampling import SearchBatch
from graphrec.models.query_recommender import QueryRecommender
from graphrec.models.recommender import Recommender
from graphrec.unlearn.event_losses import carried, event_batches, event_change
from graphrec.unlearn.fresh_rows import copy_on
from graphrec.unlearn.objectives import ForgetSampler
from graphrec.unlearn.second_order import (
    Solution,
    add_flat,
    conjugate_gradients,
    difference_product,
    flat_gradient,
)
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class InfluenceOptions:
    r"""Options of :func:`influence`.

    Attributes:
        damping: :math:`\lambda`, added to the Hessian of the sum of the losses.
        iterations: Of conjugate gradients, at most.
        tolerance: Of its relative residual, below 1: that of no step at all.
        batches: Retained batches that stand for all retained interactions in the Hessian.
        scale: Factor of the step.
    """

    damping: float = 1.0
    iterations: int = 10
    tolerance: float = 1e-3
    batches: int = 4
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping >= 0):
            raise GraphError(f"'damping' must be finite and not negative (got {self.damping})")
        if not 0 <= self.tolerance < 1:
            raise GraphError(f"'tolerance' must lie in [0, 1) (got {self.tolerance})")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise GraphError(f"'scale' must be above 0 and finite (got {self.scale})")
        for name in ('iterations', 'batches'):
            if getattr(self, name) < 1:
                raise GraphError(f'{name!r} must be at least 1 (got {getattr(self, name)})')


def influence(task: Task, options: InfluenceOptions) -> Outcome:
    r"""The step of `influence functions <https://arxiv.org/abs/1703.04730>`_ (Koh and Liang,
    ICML 2017),

    .. math::
        \theta_u = \theta_0 + (\mathbf{H} + \lambda \mathbf{I})^{-1} \sum_{z \in D_f}
        \nabla \ell(z; \theta_0, G)

    with :math:`\mathbf{H}` the Hessian of the sum of retained losses on the edited graph, by
    conjugate gradients on differences of gradients. The gradient of the forgotten pairs is
    taken where they were learned: on the graph before, with the rows of removed nodes as
    they were. Noise of a model (dropout, views) is the same in every evaluation. Bounded
    only for convex losses; none for graph models, whose retained losses change with the edit
    too (see :func:`~graphrec.unlearn.methods.ifru.ifru`). No guarantee.

    For a model that learns from searches with their words, :math:`z` are its training events. A
    pair that stays without its search becomes a recommendation, whose gradient is taken off.
    ``UnionLightGCN`` learns from the pairs of searches, without their words; only pairs that were
    interactions are stepped for it.
    """
    before, _ = copy_on(task.original, task.original_data)
    right = forgotten_gradient(task, before)
    solution, steps = newton_step(task, right, None, options)
    return apply_step(task, solution, steps, options.scale)


def forgotten_gradient(task: Task, model: Recommender) -> Tensor:
    r""":math:`\sum_{z \in D_f} \nabla \ell(z)` :math:`(n)` of a model on the graph before."""
    if isinstance(model, QueryRecommender):
        after: Any = original_on(task, task.data)
        change = event_change(model, after)
        gone = summed_gradient(task, model, change.gone, 'forgotten')
        return gone - summed_gradient(task, after, change.new, 'forgotten')
    return summed_gradient(task, model, task.forget.pairs.to(task.device), 'forgotten')


def summed_gradient(
    task: Task, model: Recommender, those: Tensor | TrainingEvents, purpose: str
) -> Tensor:
    """The gradient of the sum of a model's losses over pairs :math:`(2, P)` or over events, with
    negatives drawn from a generator of :obj:`purpose`; a number for every parameter of the task's
    model."""
    batches: Sequence[BPRBatch | SearchBatch]
    if isinstance(those, TrainingEvents):
        batches = event_batches(task, those, purpose)
    else:
        sampler = ForgetSampler(task, task.fit['batch_size'], those)
        batches = sampler.one_pass(task.generator(purpose)) if sampler.size else []
    if not batches:
        return torch.zeros(sum(p.numel() for p in trained(task.model)), device=task.device)
    count = float(sum(batch.user.numel() for batch in batches))
    return carried(gradient_of(task, model, batches)() * count, model, task.model)


def newton_step(
    task: Task, right: Tensor, mask: Tensor | None, options: InfluenceOptions
) -> tuple[Solution, int]:
    r"""Solves for the step on the edited graph, and counts the gradients that it took.

    Args:
        task: The request.
        right: The sum of gradients :math:`(n)`.
        mask: Which numbers may change :math:`(n)`; all if omitted.
        options: See :class:`InfluenceOptions`.
    """
    retained = task.retain_batches()
    batches = [next(retained) for _ in range(options.batches)]
    task.model.eval()
    parameters = trained(task.model)
    gradient = gradient_of(task, task.model, batches)
    count = float(_retained(task))

    def product(vector: Tensor) -> Tensor:
        moved = vector if mask is None else vector * mask
        out = difference_product(gradient, parameters, moved)
        return out if mask is None else out * mask

    # Everything over the number of retained interactions: a mean loss and a mean damping.
    solution = conjugate_gradients(
        product,
        (right if mask is None else right * mask) / count,
        damping=options.damping / count,
        iterations=options.iterations,
        tolerance=options.tolerance,
    )
    return solution, 2 * solution.iterations * options.batches


def _retained(task: Task) -> int:
    """How many retained losses there are."""
    if isinstance(task.model, QueryRecommender):
        return task.model.events.user.numel()
    return train_edges(task.data).size(1)


def apply_step(task: Task, solution: Solution, steps: int, scale: float) -> Outcome:
    """Moves the task's model by a solution."""
    add_flat(trained(task.model), scale * solution.x)
    task.settle()
    notes = []
    if solution.curved:
        notes.append('the loss curves downwards here: conjugate gradients stopped early')
    reason = f'{solution.iterations} products, relative residual {solution.residual:.2g}'
    return Outcome(task.model, steps, reason, notes)


def gradient_of(
    task: Task, model: Recommender, batches: Sequence[BPRBatch | SearchBatch]
) -> Callable[[], Tensor]:
    """The gradient of a model's mean loss over fixed batches as a function of its parameters
    alone: what it draws is drawn again, what it keeps is put back."""

    def gradient() -> Tensor:
        model.eval()
        held = {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.begin_epoch(task.generator('second order'))
        parameters, size = trained(model), sum(batch.user.numel() for batch in batches)
        total = torch.zeros(sum(p.numel() for p in parameters), device=task.device)
        for batch in batches:
            share = batch.user.numel() / size
            total += share * flat_gradient(model.loss(batch), parameters)
        own = dict(model.named_buffers())
        for name, value in held.items():
            own[name].copy_(value)
        return total

    return gradient


def trained(model: Recommender) -> list[torch.nn.Parameter]:
    """The parameters that gradient steps move."""
    return [p for p in model.parameters() if p.requires_grad]


def original_on(task: Task, data: HeteroData) -> Recommender:
    """The original's parameters, no row reset, on a graph."""
    return copy_on(task.original, data)[0]
