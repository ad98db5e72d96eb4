"""Pairs of users and items in blocks, and who reads which row of a table of nodes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.graphs.sparse import row_pointers

BLOCK_SIZE = 8192
#: Hidden states up to so many bytes are kept for the backward pass; beyond, recomputed.
KEEP_BYTES = 2**29


class Readers(NamedTuple):
    """The entries of a block sorted by the row of the table that they read.

    Attributes:
        rows: The rows that are read, ascending: words first, then users and items.
        ptr: Where the entries of each begin.
        entry: Positions in the flattened index.
        pair: The pair of every entry.
        num_words: How many of the rows are words.
    """

    rows: Tensor
    ptr: Tensor
    entry: Tensor
    pair: Tensor
    num_words: int


class PairBlock:
    r"""Pairs of users and items, and where their rows lie in the table.

    Args:
        user, item: Node numbers :math:`(n)`.
        item_words: Word numbers of all items :math:`(I, K)`, -1 for an empty place.
        num_words, num_users: :math:`W` and :math:`U`.
    """

    def __init__(
        self, user: Tensor, item: Tensor, item_words: Tensor, num_words: int, num_users: int
    ) -> None:
        slots = item_words[item]
        self.user = user
        self.present = slots >= 0
        self.slots = slots.clamp(min=0)
        self.nodes = torch.stack([user, num_users + item], dim=1)
        self.index = torch.cat([self.slots, num_words + self.nodes], dim=1)
        self.num_words = num_words

    def __len__(self) -> int:
        return self.user.numel()

    @functools.cached_property
    def readers(self) -> Readers:
        """Who reads which row of the table; only the backward pass and sums ask."""
        used = torch.cat([self.present, torch.ones_like(self.nodes, dtype=torch.bool)], dim=1)
        entry = used.reshape(-1).nonzero().squeeze(1)
        target = self.index.reshape(-1)[entry]
        order = target.argsort(stable=True)
        rows, position = torch.unique_consecutive(target[order], return_inverse=True)
        return Readers(
            rows=rows,
            ptr=row_pointers(position, rows.numel()),
            entry=entry[order],
            pair=entry[order] // self.index.size(1),
            num_words=int(torch.searchsorted(rows, self.num_words)),
        )

    def gather(self, x: Tensor, weight: Tensor, low: int = 0, high: int | None = None) -> Tensor:
        r"""Sums of rows :math:`(n, d)` of pairs by the row of the table that they read, weighted
        by entry :math:`(n, K + 2)`, for the rows from :obj:`low` to :obj:`high` of
        :attr:`readers`."""
        _, ptr, entry, pair, _ = self.readers
        ptr = ptr[low : None if high is None else high + 1]
        entries = slice(int(ptr[0]), int(ptr[-1]))
        return F.embedding_bag(
            pair[entries],
            x,
            ptr - ptr[0],
            mode='sum',
            per_sample_weights=weight.reshape(-1)[entry[entries]],
            include_last_offset=True,
        )


class PairPlan:
    r"""Pairs in blocks: first those whose states are summed at their nodes, then those whose
    states are wanted one by one.

    Args:
        summed: Blocks of the first kind.
        single: Blocks of the second.
        sizes: :math:`(W, U, I)`.
        pool: Buffers that one step leaves to the next.
    """

    def __init__(
        self,
        summed: list[PairBlock],
        single: list[PairBlock],
        sizes: tuple[int, int, int],
        pool: list[Tensor],
    ) -> None:
        self.summed, self.single, self.sizes, self.pool = summed, single, sizes, pool
        #: Bytes of hidden states that are kept for the backward pass.
        self.keep_bytes = KEEP_BYTES if torch.is_grad_enabled() else 0

    @property
    def blocks(self) -> list[PairBlock]:
        """All of them."""
        return self.summed + self.single

    def take(self, like: Tensor, width: int) -> Tensor:
        """A buffer for the states of a block."""
        while self.pool:
            buffer = self.pool.pop()
            kind = (width, like.dtype, like.device)
            if (buffer.size(1), buffer.dtype, buffer.device) == kind and not buffer.is_inference():
                return buffer
        return torch.empty(BLOCK_SIZE, width, dtype=like.dtype, device=like.device)


def make_blocks(
    user: Tensor, item: Tensor, item_words: Tensor, num_words: int, num_users: int
) -> list[PairBlock]:
    """Pairs in blocks of :data:`BLOCK_SIZE`."""
    return [
        PairBlock(u, i, item_words, num_words, num_users)
        for u, i in zip(user.split(BLOCK_SIZE), item.split(BLOCK_SIZE), strict=True)
        if u.numel()
    ]


@torch.no_grad()
def over_grid(
    rows: int, columns: int, like: Tensor, scores: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Scores of all (row, column) pairs, block by block, of the type and on the device of
    :obj:`like`."""
    out = like.new_empty(rows * columns)
    for low in range(0, out.numel(), BLOCK_SIZE):
        place = torch.arange(low, min(low + BLOCK_SIZE, out.numel()), device=out.device)
        out[place] = scores(place // columns, place % columns)
    return out.view(rows, columns)
