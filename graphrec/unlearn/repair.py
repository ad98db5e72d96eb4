"""The loop of every repair: fresh optimiser, few checks, closest state kept."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from graphrec.errors import GraphError, TrainingError
from graphrec.graphs.schema import train_edges
from graphrec.unlearn.branches import branch_factors
from graphrec.unlearn.task import Outcome, Task

Objective = Callable[[int], Tensor]


@dataclasses.dataclass(frozen=True)
class RepairOptions:
    """Options of a repair by gradient steps. All are reconstructed.

    Attributes:
        steps: Gradient steps at most; by default those of the method, but no more than a
            tenth of a full training.
        lr: Learning rate; by default that of training times :attr:`lr_scale`. An optimiser of
            the caller's own keeps its rate unless this is given.
        lr_scale: See :attr:`lr`.
        lr_relative: In place of :attr:`lr_scale`, the learning rate as a share of the root mean
            square of the model's rows of nodes, features left out: Adam moves every number by
            about its rate, and the rate of training was chosen for batches of another size.
        shared_scale: Factor of the rate of parameters that have no rows of nodes (projections,
            attention): each of them moves every score. No use with an optimiser of the caller's.
        decay: Whether the rate falls to 0 over all steps, as half a cosine: what a constant
            rate leaves of the draws' noise is then gone.
        check_every: Steps between two checks of the stop rule.
        stop: Whether to stop once the forgotten pairs score as held-out ones do, or as under
            the retrained models that :func:`graphrec.unlearn.forget` was given.
        trainable: ``'all'``, or ``'touched'``: the rows of nodes within :attr:`hops` of the
            edit, and whatever has no rows of nodes.
        hops: Steps from the edit that count as touched.
        branch_scale: Factor of the gradients of a modality's own parameters, by modality; 0
            holds them.
    """

    steps: int | None = None
    lr: float | None = None
    lr_scale: float = 1.0
    lr_relative: float | None = None
    shared_scale: float = 1.0
    decay: bool = False
    check_every: int = 25
    stop: bool = True
    trainable: str = 'all'
    hops: int = 1
    branch_scale: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 0:
            raise GraphError(f"'steps' must not be negative (got {self.steps})")
        if self.hops < 0:
            raise GraphError(f"'hops' must not be negative (got {self.hops})")
        if self.check_every < 1:
            raise GraphError(f"'check_every' must be at least 1 (got {self.check_every})")
        for name in ('lr', 'lr_scale', 'lr_relative'):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise GraphError(f'{name!r} must be above 0 and finite (got {value})')
        if not (math.isfinite(self.shared_scale) and self.shared_scale >= 0):
            raise GraphError(f"'shared_scale' must not be negative (got {self.shared_scale})")
        if self.trainable not in ('all', 'touched'):
            raise GraphError(f"'trainable' must be 'all' or 'touched' (got {self.trainable!r})")
        for name, factor in self.branch_scale.items():
            if not (math.isfinite(factor) and factor >= 0):
                raise GraphError(f"'branch_scale' of {name!r} must not be negative (got {factor})")


def check_counts(options: Any, *names: str) -> None:
    """Raises :class:`GraphError` unless these options are at least 1."""
    for name in names:
        if getattr(options, name) < 1:
            raise GraphError(f'{name!r} must be at least 1 (got {getattr(options, name)})')


def check_weight(name: str, value: float) -> None:
    """Raises :class:`GraphError` unless the weight of a loss is finite and not negative."""
    if not (math.isfinite(value) and value >= 0):
        raise GraphError(f'{name!r} must be finite and not negative (got {value})')


def repair(
    task: Task,
    objective: Objective,
    options: RepairOptions,
    default_steps: int,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    reshape: Callable[[], None] | None = None,
) -> Outcome:
    r"""Steps down :obj:`objective` from the task's model, with a new optimiser, and leaves
    the state whose forgotten pairs are closest to held-out ones.

    Args:
        task: What to repair.
        objective: The loss of a step, from its number.
        options: See :class:`RepairOptions`.
        default_steps: Steps at most where the options say nothing.
        optimizer: In place of Adam; a fresh one.
        reshape: Changes the gradients of the parameters before a step.

    Raises:
        TrainingError: At a loss that is not finite.
    """
    model, monitor = task.model, task.monitor
    steps = task.step_limit(options.steps, default_steps)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if optimizer is None:
        optimizer = _optimizer(task, parameters, options)
    rates = [group['lr'] for group in optimizer.param_groups]
    masks = touched_masks(task, options.hops) if options.trainable == 'touched' else {}
    factors = branch_factors(model, options.branch_scale)
    checked = options.stop and monitor.measures_forgetting
    best: dict[str, Tensor] | None = None
    closest, reason, done = math.inf, 'all steps were taken', 0
    for step in range(steps):
        if options.decay:
            share = (1 + math.cos(math.pi * step / steps)) / 2
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group['lr'] = rate * share
        loss = objective(step)
        if not math.isfinite(float(loss.detach())):
            raise TrainingError(f'the loss is {float(loss.detach())} at step {step + 1}')
        loss.backward()
        for parameter in parameters:
            _prepare_gradient(parameter, masks)
            if parameter in factors and parameter.grad is not None:
                parameter.grad.mul_(factors[parameter])
        if reshape is not None:
            reshape()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = step + 1
        if not checked or (done % options.check_every and done < steps):
            continue
        auc = monitor.auc(model)
        if math.isnan(auc):
            raise TrainingError(f'a score is not finite after step {done}')
        if abs(auc - monitor.target) < closest:
            closest = abs(auc - monitor.target)
            best = {key: value.clone() for key, value in model.state_dict().items()}
        if monitor.side(auc) == 0:
            reason = f'forgotten pairs score as {monitor.level} do'
            break
        if auc < monitor.target:
            reason = f'forgotten pairs fell below {monitor.level}; the closest state is kept'
            break
    if best is not None:
        model.load_state_dict(best)
    task.settle()
    return Outcome(model, done, reason)


def touched_masks(task: Task, hops: int) -> dict[Tensor, Tensor]:
    """For parameters with rows of nodes, which rows (bool) are within :obj:`hops` steps of
    the edit over retained edges: its pairs' ends, the items that lost a modality, and
    their neighbours."""
    reached = touched_nodes(task, hops)
    own = dict(task.model.named_parameters())
    return {
        own[name]: torch.cat([reached[kind] for kind in types])
        for name, types in task.model.node_rows().items()
        if name in own
    }


def touched_nodes(task: Task, hops: int) -> dict[str, Tensor]:
    """Users and items near the edit, those of its searches included, bool by node type."""
    model, device = task.model, task.device
    user = torch.zeros(model.num_users, dtype=torch.bool, device=device)
    item = torch.zeros(model.num_items, dtype=torch.bool, device=device)
    user[task.forget.pairs[0].to(device)] = True
    item[task.forget.pairs[1].to(device)] = True
    user[task.forget.events[0].to(device)] = True
    item[task.forget.events[2].to(device)] = True
    for cells in task.forget.modality_cells.values():
        item[cells.to(device)] = True
    edges = train_edges(task.data)
    for _ in range(hops):
        near_user, near_item = edges[0][item[edges[1]]], edges[1][user[edges[0]]]
        user[near_user] = True
        item[near_item] = True
    return {'user': user, 'item': item}


def _prepare_gradient(parameter: torch.nn.Parameter, masks: dict[Tensor, Tensor]) -> None:
    if parameter.grad is None:
        return
    if parameter.grad.is_sparse:  # A dense term and a sparse one share the optimiser.
        parameter.grad = parameter.grad.to_dense()
    if parameter in masks:
        parameter.grad[~masks[parameter]] = 0.0


def _rate(task: Task, options: RepairOptions) -> float:
    if options.lr is not None:
        return options.lr
    own, features = dict(task.model.named_parameters()), set(task.model.feature_rows())
    names = [name for name in task.model.node_rows() if name in own and name not in features]
    rows = [own[name].detach() for name in names if own[name].numel()]
    if options.lr_relative is None or not rows:
        return float(task.fit['lr'] * options.lr_scale)
    square = sum(float(each.double().square().sum()) for each in rows)
    return options.lr_relative * math.sqrt(square / sum(each.numel() for each in rows))


def _optimizer(
    task: Task, parameters: list[torch.nn.Parameter], options: RepairOptions
) -> torch.optim.Optimizer:
    settings: dict[str, Any] = task.fit
    if settings['optimizer'] is not None:
        made = settings['optimizer'](parameters)
        if options.lr is not None:
            for group in made.param_groups:
                group['lr'] = options.lr
        return made
    lr = _rate(task, options)
    names = set(task.model.node_rows())
    rows = {p for name, p in task.model.named_parameters() if name in names}
    groups = [
        {'params': [p for p in parameters if (p in rows) == with_rows], 'lr': rate}
        for with_rows, rate in ((True, lr), (False, lr * options.shared_scale))
    ]
    return torch.optim.Adam(groups, lr=lr, weight_decay=settings['weight_decay'], fused=True)
