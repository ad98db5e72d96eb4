"""The demand-intent generator of UDITSR."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.graphs.words import WordLists
from graphrec.models.intent_states import GeneratorTables, PairStates
from graphrec.models.pair_blocks import PairPlan


class IntentGenerator(torch.nn.Module):
    r"""What a user would have asked for when an item was recommended:

    .. math::
        \hat{\mathbf{q}}(u, i) = \mathrm{MLP} \big( [\mathbf{e}_u \,\|\, \mathbf{e}_i \,\|\,
        \mathbf{s}_u \,\|\, \mathbf{c}_i] \big), \qquad
        \mathbf{s}_u = \sum_{t} \mathbf{Q}_u^{(t)}, \qquad
        \mathbf{c}_i = \sum_t \alpha_t \mathbf{Q}_i^{(t)}

    .. math::
        \boldsymbol{\alpha} = \mathrm{softmax}_t \big( \mathbf{k}_u^{\top} \mathbf{W}_a
        \mathbf{Q}_i^{(t)} \big), \qquad
        \mathbf{k}_u = \mathbf{W}_K [\mathbf{e}_u \,\|\, \mathrm{vec}(\mathbf{Q}_u)] + \mathbf{b}

    with :math:`\mathbf{Q}_u`, :math:`\mathbf{Q}_i` the vectors of the top words of the user and
    the item. The MLP has two hidden layers of :math:`2d` with tanh. Empty places of the lists
    count nothing; a user without words has :math:`\mathbf{s}_u = \mathbf{0}`, an item without
    words :math:`\mathbf{c}_i = \mathbf{0}`. The order of a *user's* words matters, through
    :math:`\mathrm{vec}`; that of an item's does not. The official code also gives the attention
    a bias, which shifts all words of an item alike and so changes nothing.

    Args:
        dim: :math:`d`.
        user_length: Places in a user's list of words.
        dropout: Share of hidden numbers left out in training, before each tanh.
    """

    def __init__(self, dim: int, user_length: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim, self.user_length, self.dropout = dim, user_length, dropout
        self.key = torch.nn.Linear((1 + user_length) * dim, dim)
        self.attention = torch.nn.Linear(dim, dim, bias=False)
        self.first = torch.nn.Linear(4 * dim, 2 * dim)
        self.second = torch.nn.Linear(2 * dim, 2 * dim)
        self.last = torch.nn.Linear(2 * dim, dim)

    def tables(
        self, user: Tensor, item: Tensor, word: Tensor, user_words: WordLists
    ) -> GeneratorTables:
        r"""All that can be made once a node instead of once a pair.

        Args:
            user, item, word: Embeddings :math:`(U, d)`, :math:`(I, d)`, :math:`(W, d)`.
            user_words: The top words of all users.
        """
        padded = user_words.padded(self.user_length)
        if word.size(0):
            own = F.embedding(padded.clamp(min=0), word) * (padded >= 0).unsqueeze(2)
        else:
            own = word.new_zeros(*padded.shape, self.dim)
        by_input = self.first.weight.split(self.dim, dim=1)
        first = [
            word @ by_input[3].t(),
            user @ by_input[0].t() + own.sum(1) @ by_input[2].t() + self.first.bias,
            item @ by_input[1].t(),
        ]
        key = self.key(torch.cat([user, own.flatten(1)], dim=1))
        return GeneratorTables(torch.cat(first), key, self.attention(word))

    def forward(
        self,
        tables: GeneratorTables,
        plan: PairPlan,
        share: Tensor,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        r"""Sums of intents at nodes, and single ones.

        Args:
            tables: Of :meth:`tables`.
            plan: The pairs.
            share: Weights of the summed pairs in the sum of their user and of their item,
                :math:`(n, 2)`.
            generator: Source of the dropout.

        Returns:
            :math:`\sum c \, \hat{\mathbf{q}}` by node :math:`(U + I, d)`, users first, and the
            intents :math:`(m, d)` of the single pairs.
        """
        sums, states = PairStates.apply(
            *tables, self.second.weight, self.second.bias, plan, share, self._masks(plan, generator)
        )
        # The last layer is linear too: it follows the sum.
        total = tables.key.new_zeros(sums.size(0))
        low = 0
        for block in plan.summed:
            part = share[low : low + len(block)]
            total.index_add_(0, block.nodes.reshape(-1), part.reshape(-1))
            low += len(block)
        weight = self.last.weight.t()
        return torch.addcmul(sums @ weight, total.unsqueeze(1), self.last.bias), self.last(states)

    def _masks(
        self, plan: PairPlan, generator: torch.Generator | None
    ) -> list[tuple[Tensor, Tensor]] | None:
        if not self.training or not self.dropout:
            return None
        weight = self.second.weight

        def draw(rows: int) -> Tensor:
            shape = (rows, weight.size(0))
            drawn = torch.rand(shape, generator=generator, device=weight.device)
            return (drawn >= self.dropout).to(weight.dtype) / (1 - self.dropout)

        return [(draw(len(block)), draw(len(block))) for block in plan.blocks]
