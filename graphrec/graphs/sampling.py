r"""Whole-epoch sampling of BPR triples (user, interacted item, other item)."""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, num_items, num_users, remaining, train_edges

_MAX_ROUNDS = 64


class BPRBatch(NamedTuple):
    """Triples of node numbers: ``user`` and ``pos`` :math:`(B)`, ``neg`` :math:`(B)` or
    :math:`(B, n)` for :math:`n` negatives."""

    user: Tensor
    pos: Tensor
    neg: Tensor


class BPRSampler:
    r"""Draws the triples of an epoch in one vectorised pass over training edges.

    With ``uniform='edges'`` an epoch is every training edge once, shuffled (Rendle et
    al., 2009; LightGCN). With ``uniform='users'`` each batch is drawn from the users,
    distinct as long as there are enough of them, and one of their items each
    (NGCF, MMHCL). Negatives are rejected exactly against the known positives: the
    draws that hit one are redrawn, and the few that still do after 64 rounds are drawn
    from the user's complement. Users who have every item have no negative: their edges
    are left out with a warning and counted in :attr:`num_saturated_users`.

    Args:
        data: The graph; only training edges are read.
        batch_size: Triples a batch.
        num_negatives: :math:`n`; 1 gives ``neg`` of shape :math:`(B)`.
        uniform: ``'edges'`` or ``'users'``.
        negatives: ``'uniform'`` over items or ``'popularity'`` (:math:`\propto
            d_i^{0.75}`, word2vec's exponent).
        items: Items :math:`(m)` that may be negatives; all if omitted. Items that were
            removed from the graph never are.

    Raises:
        GraphError: If an argument is out of range or no user has a negative.
    """

    def __init__(
        self,
        data: HeteroData,
        batch_size: int = 2048,
        *,
        num_negatives: int = 1,
        uniform: str = 'edges',
        negatives: str = 'uniform',
        items: Tensor | None = None,
    ) -> None:
        if batch_size < 1:
            raise GraphError(f"'batch_size' must be at least 1 (got {batch_size})")
        if num_negatives < 1:
            raise GraphError(f"'num_negatives' must be at least 1 (got {num_negatives})")
        if uniform not in ('edges', 'users'):
            raise GraphError(f"'uniform' must be 'edges' or 'users' (got {uniform!r})")
        if negatives not in ('uniform', 'popularity'):
            raise GraphError(f"'negatives' must be 'uniform' or 'popularity' (got {negatives!r})")
        self.batch_size, self.num_negatives, self.uniform = batch_size, num_negatives, uniform
        self.num_users, self.num_items = num_users(data), num_items(data)
        edge_index = train_edges(data)
        if edge_index.size(1) == 0:
            raise GraphError('there are no training edges to sample from')
        device = edge_index.device
        there = remaining(data, ITEM)
        if there is not None:
            there = there.to(device)
            items = there if items is None else items[torch.isin(items, there)]
        self.candidates = items
        self._keys = (edge_index[0] * self.num_items + edge_index[1]).sort().values
        degree = torch.bincount(edge_index[0], minlength=self.num_users)
        eligible = torch.ones(self.num_items, dtype=torch.bool, device=device)
        if items is not None:
            eligible = torch.zeros_like(eligible).index_fill_(0, items, True)
        taken = torch.bincount(edge_index[0][eligible[edge_index[1]]], minlength=self.num_users)
        saturated = (taken >= int(eligible.sum())) & (degree > 0)
        #: Which users :math:`(U)` have every item that could be a negative.
        self.saturated = saturated
        #: How many these are; they are left out.
        self.num_saturated_users = int(saturated.sum())
        self._keys_trained = self._keys
        if self.num_saturated_users:
            self._keys_trained = self._keys[~saturated[self._keys // self.num_items]]
            if self._keys_trained.numel() == 0:
                raise GraphError('every user has every item; there is no negative to draw')
            warnings.warn(
                f'{self.num_saturated_users} users have every item that could be a negative '
                'and are left out of training',
                stacklevel=2,
            )
        self._eligible = eligible
        self._weights: Tensor | None = None
        if negatives == 'popularity':
            popularity = torch.bincount(edge_index[1], minlength=self.num_items).double() ** 0.75
            self._weights = torch.where(eligible, popularity, 0.0).cumsum(0)
            if float(self._weights[-1]) <= 0:
                raise GraphError("'items' holds no item with training edges to weight")
        trained = self._keys_trained // self.num_items
        count = torch.bincount(trained, minlength=self.num_users)
        self._users = count.nonzero().squeeze(1)
        self._start = (count.cumsum(0) - count)[self._users]
        self._count = count[self._users]

    def __len__(self) -> int:
        """Batches an epoch: every training edge is drawn once (or, with users uniform,
        as many triples)."""
        return -(-self._keys_trained.numel() // self.batch_size)

    def epoch(self, generator: torch.Generator, start: int = 0) -> Iterator[BPRBatch]:
        """Yields the batches of one epoch; the same generator state gives the same
        batches. The first :obj:`start` are skipped (a resumed run)."""
        if self.uniform == 'edges':
            order = self._randperm(self._keys_trained.numel(), generator)
            key = self._keys_trained[order]
        else:
            key = self._draw_users(generator)
        user, pos = key // self.num_items, key % self.num_items
        neg = self.draw_negatives(user, generator)
        if self.num_negatives == 1:
            neg = neg.squeeze(1)
        for low in range(start * self.batch_size, user.numel(), self.batch_size):
            high = low + self.batch_size
            yield BPRBatch(user[low:high], pos[low:high], neg[low:high])

    def _draw_users(self, generator: torch.Generator) -> Tensor:
        total, width = self._keys_trained.numel(), self._users.numel()
        size = min(self.batch_size, width)
        rounds = -(-self.batch_size // size)
        picks = [
            self._randperm(width, generator)[: min(size, self.batch_size)]
            for _ in range(len(self) * rounds)
        ]
        pick = torch.cat(picks)[:total]
        offset = torch.rand(pick.numel(), generator=generator, device=self._keys.device)
        count = self._count[pick]
        step = (offset.double() * count).long().clamp(max=count - 1)
        return self._keys_trained[self._start[pick] + step]

    def draw_negatives(self, user: Tensor, generator: torch.Generator) -> Tensor:
        r"""Items :math:`(B, n)` that the users :math:`(B)`, none of them in
        :attr:`saturated`, do not have."""
        base = (user * self.num_items).repeat_interleave(self.num_negatives)
        neg = self._draw_items(base.numel(), generator)
        todo = self._known(base + neg).nonzero().squeeze(1)
        for _ in range(_MAX_ROUNDS):
            if todo.numel() == 0:
                break
            neg[todo] = self._draw_items(todo.numel(), generator)
            todo = todo[self._known(base[todo] + neg[todo])]
        for entry in todo.tolist():  # A user with nearly every item.
            neg[entry] = self._draw_complement(int(base[entry]), generator)
        return neg.view(-1, self.num_negatives)

    def _draw_items(self, size: int, generator: torch.Generator) -> Tensor:
        device = self._keys.device
        if self._weights is not None:
            point = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
            drawn = torch.searchsorted(self._weights, point * self._weights[-1], right=True)
            return drawn.clamp_(max=self.num_items - 1)
        high = self.num_items if self.candidates is None else self.candidates.numel()
        drawn = torch.randint(high, (size,), generator=generator, device=device)
        return drawn if self.candidates is None else self.candidates[drawn]

    def _draw_complement(self, base: int, generator: torch.Generator) -> Tensor:
        free = self._eligible.clone()
        low, high = torch.searchsorted(
            self._keys, torch.tensor([base, base + self.num_items], device=self._keys.device)
        ).tolist()
        free[self._keys[low:high] - base] = False
        free = free.nonzero().squeeze(1)
        pick = torch.randint(free.numel(), (1,), generator=generator, device=self._keys.device)
        return free[pick[0]]

    def _known(self, key: Tensor) -> Tensor:
        place = torch.searchsorted(self._keys, key).clamp_(max=self._keys.numel() - 1)
        return self._keys[place] == key

    def _randperm(self, size: int, generator: torch.Generator) -> Tensor:
        return torch.randperm(size, generator=generator, device=self._keys.device)
