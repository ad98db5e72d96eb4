r"""The hidden states of the demand-intent generator over many pairs, exactly and in blocks.

The generator's first layer is linear in its four inputs, so their products with its weight are
made once a node; a pair gathers and adds three rows of one table. A block of pairs is small, its
buffers are used again by the next, and its backward pass is written out, so that no tensor of
autograd grows with the number of pairs.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from graphrec.graphs.sparse import row_pointers

BLOCK_SIZE = 8192
#: Hidden states up to so many bytes are kept for the backward pass; beyond, recomputed.
KEEP_BYTES = 2**29


class GeneratorTables(NamedTuple):
    r"""Products made once a node.

    Attributes:
        first: First layer's parts of words, users and items, in this order,
            :math:`(W + U + I, h)`.
        key: Attention keys of users :math:`(U, d)`.
        word_key: Words as the attention sees them :math:`(W, d)`.
    """

    first: Tensor
    key: Tensor
    word_key: Tensor


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
        keep_bytes: Hidden states up to so many bytes are kept for the backward pass.
    """

    def __init__(
        self,
        summed: list[PairBlock],
        single: list[PairBlock],
        sizes: tuple[int, int, int],
        pool: list[Tensor],
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        self.summed, self.single, self.sizes, self.pool = summed, single, sizes, pool
        self.keep_bytes = keep_bytes if torch.is_grad_enabled() else 0

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


def attend(block: PairBlock, tables: GeneratorTables) -> Tensor:
    r"""Attention :math:`\boldsymbol{\alpha}` of users over the words of items, :math:`(n, K)`,
    0 for an empty place."""
    if not block.slots.size(1):
        return tables.key.new_zeros(len(block), 0)
    score = row_products(tables.key[block.user], tables.word_key, block.slots)
    score = score.masked_fill_(~block.present, torch.finfo(score.dtype).min)
    return score.softmax(dim=1).mul_(block.present)


def row_products(x: Tensor, table: Tensor, index: Tensor) -> Tensor:
    r""":math:`\langle \mathbf{x}_r, \mathbf{t}_{index(r, k)} \rangle`, shape :math:`(n, K)`,
    without the :math:`(n, K, d)` rows: it is the derivative of a weighted sum of rows by its
    weights."""
    with torch.enable_grad():
        weight = x.new_zeros(index.shape, requires_grad=True)
        out = F.embedding_bag(index, table.detach(), mode='sum', per_sample_weights=weight)
    (grad,) = torch.autograd.grad(out, weight, x.contiguous())
    return grad


class PairStates(torch.autograd.Function):
    r"""Sums of last hidden states at nodes, and single ones:

    .. math::
        \mathbf{t}_{ui} = \tanh \Big( \mathbf{W}_2 \tanh \big( \mathbf{f}_u + \mathbf{f}_i +
        \sum_w \alpha_{uiw} \mathbf{f}_w \big) + \mathbf{b}_2 \Big), \qquad
        \mathbf{s}_v = \sum_{(u, i) \ni v} c^v_{ui} \mathbf{t}_{ui}

    Inputs: first, key, word_key of :class:`GeneratorTables`; :math:`\mathbf{W}_2`
    :math:`(h, h)`, :math:`\mathbf{b}_2`; the plan; :math:`c` of the summed pairs :math:`(n, 2)`,
    user and item; dropout masks, a pair of tensors a block, or None.
    Outputs: :math:`(U + I, h)` and :math:`(m, h)`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        first: Tensor,
        key: Tensor,
        word_key: Tensor,
        weight: Tensor,
        bias: Tensor,
        plan: PairPlan,
        share: Tensor,
        masks: list[tuple[Tensor, Tensor]] | None,
    ) -> tuple[Tensor, Tensor]:
        tables = GeneratorTables(first, key, word_key)
        width, sizes = first.size(1), plan.sizes
        sums = first.new_zeros(sizes[1] + sizes[2], width)
        singles, states, kept, low = [], [], 0, 0
        for number, block in enumerate(plan.blocks):
            alpha = attend(block, tables)
            ours = (plan.take(first, width), plan.take(first, width))
            _, t2 = _activate(block, tables, weight, bias, alpha, _nth(masks, number), ours)
            if number < len(plan.summed):
                part = _node_shares(block, share[low : low + len(block)])
                words = block.readers.num_words
                total = block.gather(t2, part, words)
                sums.index_add_(0, block.readers.rows[words:] - sizes[0], total)
                low += len(block)
            else:
                singles.append(t2.clone())
            kept += 2 * ours[0].nbytes
            if kept <= plan.keep_bytes:
                states.append((alpha, *ours))
            else:
                states.append((alpha, None, None))
                plan.pool += ours
        ctx.save_for_backward(first, key, word_key, weight, bias, share)
        ctx.plan, ctx.masks, ctx.states = plan, masks, states
        return sums, torch.cat(singles) if singles else first.new_zeros(0, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_sums: Tensor, grad_singles: Tensor) -> tuple[Tensor | None, ...]:
        first, key, word_key, weight, bias, share = ctx.saved_tensors
        tables, plan, width = GeneratorTables(first, key, word_key), ctx.plan, first.size(1)
        grads = [torch.zeros_like(t) for t in (first, key, word_key, weight, bias)]
        low = single = 0
        for number, block in enumerate(plan.blocks):
            alpha, *ours = ctx.states[number]
            mask = _nth(ctx.masks, number)
            if ours[0] is None:
                ours = [plan.take(first, width), plan.take(first, width)]
                _activate(block, tables, weight, bias, alpha, mask, ours)
            ctx.states[number] = (alpha, None, None)  # The buffers are written over.
            if number < len(plan.summed):
                part = share[low : low + len(block)]
                grad = F.embedding_bag(block.nodes, grad_sums, mode='sum', per_sample_weights=part)
                low += len(block)
            else:
                grad = grad_singles[single : single + len(block)].clone()
                single += len(block)
            _add_gradients(block, tables, weight, alpha, mask, ours, grad, grads)
            plan.pool += ours
        return (*grads, None, None, None)


def _activate(
    block: PairBlock,
    tables: GeneratorTables,
    weight: Tensor,
    bias: Tensor,
    alpha: Tensor,
    mask: tuple[Tensor, Tensor] | None,
    buffers: Any,
) -> tuple[Tensor, Tensor]:
    """Both hidden states of a block, written into its buffers."""
    t1, t2 = (buffer[: len(block)] for buffer in buffers)
    t1.copy_(
        F.embedding_bag(
            block.index, tables.first, mode='sum', per_sample_weights=_with_nodes(alpha)
        )
    )
    if mask is not None:
        t1.mul_(mask[0])
    t1.tanh_()
    torch.addmm(bias, t1, weight.t(), out=t2)
    if mask is not None:
        t2.mul_(mask[1])
    t2.tanh_()
    return t1, t2


def _add_gradients(
    block: PairBlock,
    tables: GeneratorTables,
    weight: Tensor,
    alpha: Tensor,
    mask: tuple[Tensor, Tensor] | None,
    buffers: list[Tensor],
    grad: Tensor,
    grads: list[Tensor],
) -> None:
    """Adds what a block gives to the gradients of the five inputs; takes the gradient of its
    last states :obj:`grad`, which is written over like the buffers."""
    t1, t2 = (buffer[: len(block)] for buffer in buffers)
    first, key, word_key, grad_weight, grad_bias = grads
    grad.addcmul_(grad, t2.square_(), value=-1)
    if mask is not None:
        grad.mul_(mask[1])
    grad_weight.addmm_(grad.t(), t1)
    grad_bias.add_(grad.sum(0))
    inner = torch.mm(grad, weight, out=t2)
    inner.addcmul_(inner, t1.square_(), value=-1)
    if mask is not None:
        inner.mul_(mask[0])
    rows, words = block.readers.rows, block.readers.num_words
    first.index_add_(0, rows, block.gather(inner, _with_nodes(alpha)))
    if not block.slots.size(1):
        return
    grad_alpha = row_products(inner, tables.first, block.slots)
    score = alpha * (grad_alpha - (alpha * grad_alpha).sum(1, keepdim=True))
    summed = F.embedding_bag(block.slots, tables.word_key, mode='sum', per_sample_weights=score)
    key.index_add_(0, block.user, summed)
    read = block.gather(tables.key[block.user], _with_nodes(score), high=words)
    word_key.index_add_(0, rows[:words], read)


def _with_nodes(alpha: Tensor) -> Tensor:
    """Weights of all entries of a pair: its words', and 1 for its user and its item."""
    return torch.cat([alpha, alpha.new_ones(alpha.size(0), 2)], dim=1)


def _node_shares(block: PairBlock, share: Tensor) -> Tensor:
    return torch.cat([share.new_zeros(len(block), block.slots.size(1)), share], dim=1)


def _nth(masks: list[tuple[Tensor, Tensor]] | None, n: int) -> tuple[Tensor, Tensor] | None:
    return None if masks is None else masks[n]
