"""Matching what is forgotten to what was never seen: our own method."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.graphs.operators import Sparse
from graphrec.graphs.schema import num_items, train_edges
from graphrec.unlearn.level import ExpectedLevel
from graphrec.unlearn.objectives import retained_loss
from graphrec.unlearn.repair import RepairOptions, check_counts, check_weight, repair
from graphrec.unlearn.standardised import user_scores
from graphrec.unlearn.task import Outcome, Task
from graphrec.unlearn.teacher import Distillation, Teacher

_BEFORE = 2  # Looks before the multiplier moves: the first gaps are those of the start.
_ENOUGH = 1e-3  # Standard deviations of a user's scores.


@dataclasses.dataclass(frozen=True)
class HeldoutMatchOptions(RepairOptions):
    r"""Options of :func:`heldout_match`.

    Attributes:
        forget_weight: :math:`\alpha`, of the matching term.
        retain_weight: :math:`\beta`, of the model's own loss.
        distillation: :math:`\gamma`, of staying at the original's scores elsewhere, in
            units of their spread.
        emphasis: :math:`\kappa`, of the pairs at the top of the original's scores in that term
            (:class:`~graphrec.unlearn.teacher.Distillation`).
        multiplier: :math:`\rho`, how fast the mean of forgotten scores is driven to that of
            their targets.
        users: Users a step whose scores are held in place.
        forget_batch: Forgotten pairs a step.
        target: What :math:`\tau` is: ``'conditional'``, the quantile among held-out pairs of
            which the retained graph says the same, or ``'marginal'``, that among all of them.
    """

    forget_weight: float = 0.5
    retain_weight: float = 0.5
    distillation: float = 4.0
    emphasis: float = 0.0
    multiplier: float = 0.0
    users: int = 128
    forget_batch: int = 1024
    target: Literal['conditional', 'marginal'] = 'conditional'

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = ('forget_weight', 'retain_weight', 'distillation', 'emphasis', 'multiplier')
        for name in weights:
            check_weight(name, getattr(self, name))
        check_counts(self, 'users', 'forget_batch')
        if self.target not in ('conditional', 'marginal'):
            raise GraphError(f"'target' must be 'conditional' or 'marginal' (got {self.target!r})")


def heldout_match(task: Task, options: HeldoutMatchOptions) -> Outcome:
    r"""Asks of forgotten pairs the scores that held-out positives have: to a model that never
    saw them they are such pairs. With :math:`z_{ui}` the score standardised over the user's
    unobserved items (no gradient through the standard deviation) and :math:`\tau_{ui}` the
    same quantile, among validation positives, as that of :math:`z_{ui}` among the forgotten
    pairs under the original parameters on the edited graph, and never above it. The level of
    held-out pairs moves with the repair, so it is measured again every ``check_every`` steps.
    Quantiles are those given what the retained graph says of a pair
    (:mod:`graphrec.unlearn.level`), since memory lifts pairs unevenly: by their rank among
    all forgotten pairs alone, ``target='marginal'``, less of the validation recall is left on each
    of five draws of lastfm-2k-mm (``docs/unlearning-choice.md``).

    .. math::
        \mathcal{L} = \alpha \, \mathbb{E}_{(u, i) \in D_f} (z_{ui} - \tau_{ui})^2 + \beta L_r
        + \gamma \, \mathbb{E}_{u, j} \big( (s_{uj} - s^0_{uj}) / \sigma^0_u \big)^2

    where the last mean is over drawn users and all items, forgotten pairs left out, and
    :math:`\sigma^0_u` is the spread of a user's scores under the original. Both
    sides of :math:`\tau` are held, so that its optimum is the level of held-out pairs, but for
    what the last term holds back. A multiplier makes up for that (the method of multipliers, for
    the mean alone): at every look after the second,
    :math:`\lambda \leftarrow \lambda + \rho \, \mathbb{E} (z_{ui} - \tau_{ui})`, and forgotten
    pairs aim at :math:`\tau_{ui} - \lambda`. The teacher :math:`s^0` was itself trained with the
    forgotten pairs: what they did to *other* pairs is preserved, not removed. No guarantee.

    Raises:
        GraphError: If forgotten pairs are still served and the graph has no validation edges.
    """
    if not task.served.size(1):
        return _without_pairs(task, options)
    teacher = Teacher.of(task)
    targets = Targets(task, teacher, options.target)
    if not (targets.are_below or options.retain_weight):
        task.settle()
        reason = 'every forgotten pair already scores like held-out pairs like it'
        return Outcome(task.model, 0, reason, needless=True)
    matching = _Matching(task, targets, options.multiplier)
    held = Distillation(task, teacher, options.users, options.emphasis)
    retained = retained_loss(task) if options.retain_weight else None
    order = _shuffled(task, options.forget_batch)

    def objective(step: int) -> Tensor:
        parts = []
        if retained is not None:
            parts.append(options.retain_weight * retained())
        training = task.model.training
        task.model.eval()
        z = task.model.forward()
        task.model.train(training)
        if step % options.check_every == 0:
            matching.look(z)
        if options.forget_weight:
            parts.append(options.forget_weight * matching(z, next(order)))
        if options.distillation:
            parts.append(options.distillation * held(z))
        return torch.stack(parts).sum()

    outcome = repair(task, objective, options, 200)
    outcome.notes.append(
        'the teacher was trained with the forgotten pairs; what they taught about other pairs '
        'is held in place, not removed'
    )
    return outcome


def _without_pairs(task: Task, options: HeldoutMatchOptions) -> Outcome:
    if not options.retain_weight:
        task.settle()
        return Outcome(task.model, 0, 'no forgotten pair is served any more')
    retained = retained_loss(task)
    return repair(task, lambda step: retained(), options, 50)


class Targets:
    r"""From the scores of held-out pairs, as they are under the model now, to :math:`\tau` of
    the served forgotten pairs :math:`(F)`, by the option of that name."""

    def __init__(self, task: Task, teacher: Teacher, kind: str = 'conditional') -> None:
        monitor = task.monitor
        if monitor.features is None:
            raise GraphError(
                "the graph has no validation edges ('user', 'holdout_valid', 'item'), whose "
                'scores forgotten pairs are to take; split some off, or use '
                "method='ascent_retain'"
            )
        self.reference = monitor.reference
        both = torch.cat([task.served, self.reference], dim=1)
        scores = user_scores(teacher.ranker(), task.data, both).z
        z, held = scores.split([task.served.size(1), self.reference.size(1)])
        self._z = z
        self._level: Callable[[Tensor], Tensor]
        if kind == 'marginal':
            self._level = lambda held: matched_quantiles(z, held, monitor.weight)
        else:
            features = monitor.features(task.served), monitor.of_reference
            self._level = ExpectedLevel(z, held, *features, monitor.weight)
        #: Whether any pair has to come down.
        self.are_below = bool((z - self(held) > _ENOUGH).any())

    def __call__(self, held: Tensor) -> Tensor:
        return torch.minimum(self._level(held), self._z)  # Forgetting never raises a pair.


def matched_quantiles(z: Tensor, reference: Tensor, weight: Tensor) -> Tensor:
    r"""The values of a weighted sample :math:`(H)` at the quantiles that each of :math:`z`
    :math:`(F)` has among them: rank :math:`r` of :math:`F` takes quantile
    :math:`(r - 1/2) / F`."""
    values, order = reference.sort()
    share = weight[order].double()
    middle = (share.cumsum(0) - share / 2) / share.sum()
    rank = torch.empty_like(z, dtype=torch.float64)
    rank[z.argsort(stable=True)] = torch.arange(z.numel(), dtype=torch.float64, device=z.device)
    wanted = (rank + 0.5) / z.numel()
    high = torch.searchsorted(middle, wanted).clamp(max=values.numel() - 1)
    low = (high - 1).clamp(min=0)
    gap = (middle[high] - middle[low]).clamp(min=1e-12)
    part = ((wanted - middle[low]) / gap).clamp(0, 1).to(values)
    return values[low] + part * (values[high] - values[low])


class _Matching:
    """The matching term, with each user's mean as a product of vectors, so that no row of
    scores is formed where a gradient is wanted."""

    def __init__(self, task: Task, targets: Targets, multiplier: float = 0.0) -> None:
        self.task, self._targets, self._multiplier = task, targets, multiplier
        self._looks, self._shift = 0, 0.0
        self.target = torch.zeros(task.served.size(1), device=task.device)
        self.users, self.row = torch.unique(task.served[0], return_inverse=True)
        place = torch.full((task.model.num_users,), -1, device=task.device)
        place[self.users] = torch.arange(self.users.numel(), device=task.device)
        edges = train_edges(task.data)
        inside = (place[edges[0]] >= 0) & task.candidates[edges[1]]
        seen = torch.stack([place[edges[0][inside]], edges[1][inside]])
        shape = (self.users.numel(), num_items(task.data))
        self._seen = Sparse.from_edges(seen, shape=shape)
        self._free = task.candidates.float().unsqueeze(1)
        count = task.candidates.sum() - self._seen.rowptr.diff()
        self._count = count.clamp(min=1).float().unsqueeze(1)
        self._std = torch.ones(self.users.numel(), device=task.device)

    def look(self, z: dict[str, Tensor]) -> None:
        """Takes the spread of each user's scores, and the level of held-out pairs, as they
        are now."""
        user, item_t = z['user'].detach(), z['item'].detach().t()
        one = torch.stack([self.users, self.task.served[1].new_zeros(self.users.numel())])
        pairs = torch.cat([one, self._targets.reference], dim=1)
        found = user_scores(lambda index: user[index] @ item_t, self.task.data, pairs)
        own = self.users.numel()
        self._std = found.std[found.row[:own]]
        self.target = self._targets(found.z[own:])
        self._looks += 1
        if self._multiplier:
            gap = self._scores({name: each.detach() for name, each in z.items()}) - self.target
            if self._looks > _BEFORE:
                self._shift += self._multiplier * float(gap.mean())
            self.target = self.target - self._shift

    def __call__(self, z: dict[str, Tensor], index: Tensor) -> Tensor:
        return (self._scores(z, index) - self.target[index]).square().mean()

    def _scores(self, z: dict[str, Tensor], index: Tensor | slice = slice(None)) -> Tensor:
        row, item = self.row[index], self.task.served[1][index]
        total = (z['item'] * self._free).sum(0)
        centre = (total - self._seen @ z['item']) / self._count
        user = z['user'][self.users[row]]
        return (user * (z['item'][item] - centre[row])).sum(1) / self._std[row]


def _shuffled(task: Task, size: int):  # type: ignore[no-untyped-def]
    generator = task.generator('match')
    count = task.served.size(1)
    while True:
        yield from torch.randperm(count, generator=generator, device=task.device).split(size)
