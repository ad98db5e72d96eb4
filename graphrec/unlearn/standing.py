r"""Where given user-item pairs stand in the ranking of a model."""

from dataclasses import dataclass

import torch
from torch import Tensor

from graphrec.graphs.operators import Sparse
from graphrec.models.recommender import Ranker
from graphrec.unlearn.standardised import UserBlock, user_blocks

# Pairs compared with the whole catalogue at once.
_PAIRS = 256
# Pairs a user from which it pays to sort his scores.
_MANY = 8


@dataclass(frozen=True)
class Standing:
    r"""Of pairs :math:`(P)`, in their order.

    Attributes:
        raw: Scores, float64.
        z: Scores standardised over the user's unobserved candidates, float64; 0 where those
            are all alike.
        rank: From 1, among the user's unobserved candidates and the item itself, equal scores
            by item number; int64.
    """

    raw: Tensor
    z: Tensor
    rank: Tensor

    def take(self, index: Tensor) -> 'Standing':
        """Those of some pairs."""
        return Standing(self.raw[index], self.z[index], self.rank[index])

    @property
    def is_finite(self) -> bool:
        """Whether no score is NaN or infinite."""
        return bool(torch.isfinite(self.raw).all() and torch.isfinite(self.z).all())


@torch.no_grad()
def standing(ranker: Ranker, pairs: Tensor, retained: Tensor, candidates: Tensor) -> Standing:
    r"""Scores and ranks of :obj:`pairs`, against the items that their user has no retained
    interaction with. Forgotten pairs are not masked: after the edit they are unobserved.

    .. math::
        z_{ui} = \frac{s_{ui} - \mathrm{mean}_{j \in C_u} s_{uj}}
        {\mathrm{std}_{j \in C_u} s_{uj}}, \qquad
        C_u = \{j \in C : (u, j) \notin D_r\}

    Args:
        ranker: Of the model, see :meth:`graphrec.models.Recommender.ranker`.
        pairs: User and item numbers :math:`(2, P)`; the item may be no candidate (a removed
            one that is put back), the pair may not be retained.
        retained: Retained training edges :math:`(2, E)`.
        candidates: Bool :math:`(I)`, the items of the catalogue.
    """
    pairs, retained = pairs.cpu(), retained.cpu()
    raw = torch.zeros(pairs.size(1), dtype=torch.float64)
    z, rank = torch.zeros_like(raw), torch.zeros(pairs.size(1), dtype=torch.long)
    users, row_of = pairs[0].unique(return_inverse=True)
    both = torch.cat([pairs[0], retained[0]])
    shape = (int(both.max()) + 1 if both.numel() else 0, candidates.numel())
    history = Sparse.from_edges(retained, shape=shape)
    for block in user_blocks(ranker, row_of, users, history, candidates.cpu(), torch.float64):
        tiny = 1e-12 * block.scores.abs().amax(1)  # Rounding is no spread.
        row, item = block.row, pairs[1][block.chosen]
        value, std = block.scores[row, item], block.std[row]
        raw[block.chosen] = value
        z[block.chosen] = torch.where(std > tiny[row], (value - block.mean[row]) / std, 0.0)
        rank[block.chosen] = _ranks(block, item, value)
    return Standing(raw, z, rank)


def _ranks(block: UserBlock, item: Tensor, value: Tensor) -> Tensor:
    """The ranks of the pairs of a block. Many pairs of a user are looked up in his sorted
    scores; few, and those whose score is not the only one of its kind, are compared with all."""
    rank = torch.zeros_like(item)
    unsure = torch.ones_like(item, dtype=torch.bool)
    if item.numel() > _MANY * block.scores.size(0):
        ahead, equal = _looked_up(block, value)
        rank, unsure = 1 + ahead, equal > block.free[block.row, item].long()
        unsure |= ~block.scores.isfinite().all(1)[block.row]
    for part in unsure.nonzero().squeeze(1).split(_PAIRS):
        row = block.row[part]
        rank[part] = _compared(block.scores[row], block.free[row], item[part], value[part])
    return rank


def _looked_up(block: UserBlock, value: Tensor) -> tuple[Tensor, Tensor]:
    """How many free items of the user have more than each value, and how many have as much."""
    ordered = block.scores.masked_fill(~block.free, -torch.inf).sort(1).values
    count = torch.bincount(block.row, minlength=len(ordered))
    place = torch.arange(len(value)) - (count.cumsum(0) - count)[block.row]
    table = value.new_zeros(len(ordered), int(count.max()))
    table[block.row, place] = value
    low, high = (
        torch.searchsorted(ordered, table, right=right)[block.row, place] for right in (False, True)
    )
    return ordered.size(1) - high, high - low


def _compared(scores: Tensor, free: Tensor, item: Tensor, value: Tensor) -> Tensor:
    column, value = torch.arange(scores.size(1)), value.unsqueeze(1)
    ahead = (scores > value) | ((scores == value) & (column < item.unsqueeze(1)))
    return 1 + (ahead & free).sum(1)
