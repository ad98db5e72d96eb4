r"""Terms that unlearning minimises, each with its sign written out.

With :math:`d = s(u, i) - s(u, j)` for a forgotten pair and an item that the user never had:

- forward BPR, :math:`\mathrm{softplus}(-d)`, gradient :math:`-\sigma(-d)`: learns the pair;
- reverse BPR, :math:`\mathrm{softplus}(d)`, gradient :math:`\sigma(d)`: pushes hardest where
  the pair is best remembered and less and less afterwards;
- ascent, :math:`-\mathrm{softplus}(-d)`, gradient :math:`\sigma(-d)`: hardly moves what is best
  remembered, and never stops.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import num_items, train_edges
from graphrec.models.recommender import Recommender
from graphrec.unlearn.task import Task

_MAX_ROUNDS = 64


def forward_bpr(margin: Tensor) -> Tensor:
    r"""Mean :math:`\mathrm{softplus}(-d)`: descending raises :math:`d`."""
    return F.softplus(-margin).mean()


def reverse_bpr(margin: Tensor) -> Tensor:
    r"""Mean :math:`\mathrm{softplus}(d)`: descending lowers :math:`d`."""
    return F.softplus(margin).mean()


def ascent(margin: Tensor) -> Tensor:
    r"""Mean :math:`-\mathrm{softplus}(-d)`: descending lowers :math:`d`, without end."""
    return -F.softplus(-margin).mean()


def margins(model: Recommender, batch: BPRBatch) -> Tensor:
    r""":math:`d` :math:`(B)` of a batch under the scores that are served, with gradient."""
    training = model.training
    model.eval()
    user = torch.cat([batch.user, batch.user])
    positive, negative = model.pair_scores(user, torch.cat([batch.pos, batch.neg])).chunk(2)
    model.train(training)
    return positive - negative


def retained_loss(task: Task) -> Callable[[], Tensor]:
    """The model's own loss on one batch of retained interactions after the other."""
    batches = task.retain_batches()
    return lambda: task.model.loss(next(batches))


def mixed(
    task: Task,
    term: Callable[[Tensor], Tensor],
    forget_weight: float,
    retain_weight: float,
    size: int,
) -> Callable[[int], Tensor] | None:
    r"""The objective of a step, :math:`\alpha \, t(d) + \beta L_r`: a term of the margins of a
    batch of forgotten pairs, and the model's own loss on a batch of retained ones. A term of
    weight 0 draws nothing. :obj:`None` where neither is left.

    Args:
        task: The request.
        term: :math:`t`, such as :func:`reverse_bpr`.
        forget_weight: :math:`\alpha`.
        retain_weight: :math:`\beta`.
        size: Forgotten pairs a step.
    """
    forget = ForgetSampler(task, size)
    pushes = forget_weight != 0 and forget.size > 0
    if not pushes and retain_weight == 0:
        return None
    forgotten = forget.batches(task.generator('forget'))
    retained = retained_loss(task)

    def objective(step: int) -> Tensor:
        parts = []
        if retain_weight:
            parts.append(retain_weight * retained())
        if pushes:
            parts.append(forget_weight * term(margins(task.model, next(forgotten))))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    return objective


class ForgetSampler:
    r"""Draws forgotten pairs, each pass in a new order, and for each an item that its user
    has neither among the retained nor among the forgotten ones: pushing a pair down must
    not push another one up as its "negative".

    Args:
        task: Its served pairs are drawn; pairs whose user has every item are left out.
        size: Pairs a batch, at most all of them.
        pairs: Pairs to draw in place of the served ones.
    """

    def __init__(self, task: Task, size: int = 1024, pairs: Tensor | None = None) -> None:
        self.num_items = num_items(task.data)
        known = torch.cat([train_edges(task.data), task.forget.pairs.to(task.device)], dim=1)
        self._keys = (known[0] * self.num_items + known[1]).unique()
        self._free = task.candidates.nonzero().squeeze(1)
        among = self._keys[task.candidates[self._keys % self.num_items]]
        count = torch.bincount(among // self.num_items, minlength=task.model.num_users)
        full = count >= self._free.numel()
        pairs = task.served if pairs is None else pairs
        self.pairs = pairs[:, ~full[pairs[0]]]
        self.size = min(size, self.pairs.size(1))

    def batches(self, generator: torch.Generator) -> Iterator[BPRBatch]:
        """Batches without end; none if there is no pair."""
        while self.size:
            yield from self.one_pass(generator)

    def one_pass(self, generator: torch.Generator) -> list[BPRBatch]:
        """Batches that hold every pair once."""
        order = torch.randperm(self.pairs.size(1), generator=generator, device=self.pairs.device)
        return [
            BPRBatch(user, pos, self._negatives(user, generator))
            for user, pos in (self.pairs[:, part] for part in order.split(max(self.size, 1)))
        ]

    def _negatives(self, user: Tensor, generator: torch.Generator) -> Tensor:
        negative = self._draw(user.numel(), generator)
        todo = self._known(user, negative).nonzero().squeeze(1)
        for _ in range(_MAX_ROUNDS):
            if not todo.numel():
                return negative
            negative[todo] = self._draw(todo.numel(), generator)
            todo = todo[self._known(user[todo], negative[todo])]
        for place in todo.tolist():  # A user with nearly every item.
            free = self._free[~self._known(user[place].expand_as(self._free), self._free)]
            pick = torch.randint(free.numel(), (1,), generator=generator, device=free.device)
            negative[place] = free[pick[0]]
        return negative

    def _draw(self, size: int, generator: torch.Generator) -> Tensor:
        high = self._free.numel()
        pick = torch.randint(high, (size,), generator=generator, device=self._free.device)
        return self._free[pick]

    def _known(self, user: Tensor, item: Tensor) -> Tensor:
        key = user * self.num_items + item
        place = torch.searchsorted(self._keys, key).clamp_(max=self._keys.numel() - 1)
        return self._keys[place] == key
