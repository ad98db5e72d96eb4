r"""The hidden states of the demand-intent generator over many pairs, exactly and in blocks.

The generator's first layer is linear in its four inputs, so their products with its weight are
made once a node; a pair gathers and adds three rows of one table. A block of pairs is small, its
buffers are used again by the next, and its backward pass is written out, so that no tensor of
autograd grows with the number of pairs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from graphrec.models.pair_blocks import PairBlock, PairPlan


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
        singles: list[Tensor] = []
        states: list[tuple[Tensor, Tensor | None, Tensor | None]] = []
        kept = low = 0
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
