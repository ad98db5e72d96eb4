r"""Where given user-item pairs stand in the ranking of a model."""

from dataclasses import dataclass

import torch
from torch import Tensor

from graphrec.models.recommender import Ranker

# Pairs compared with the whole catalogue at once, and users scored at once.
_PAIRS = 256
_USERS = 64


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
    by_user = pairs[0].argsort(stable=True)
    users, count = pairs[0][by_user].unique_consecutive(return_counts=True)
    ends = count.cumsum(0)
    edges = retained[:, torch.isin(retained[0], users)]
    row_of = torch.full((int(pairs[0].max()) + 1 if pairs.numel() else 0,), -1)
    row_of[users] = torch.arange(users.numel())
    edge_row = row_of[edges[0]]
    for low in range(0, users.numel(), _USERS):
        high = min(low + _USERS, users.numel())
        scores = ranker(users[low:high]).cpu().double()
        free = candidates.cpu().expand(high - low, -1).clone()
        inside = (edge_row >= low) & (edge_row < high)
        free[edge_row[inside] - low, edges[1][inside]] = False
        mean, std = _moments(scores, free)
        chosen = by_user[int(ends[low] - count[low]) : int(ends[high - 1])]
        for part in chosen.split(_PAIRS):
            row, item = row_of[pairs[0][part]] - low, pairs[1][part]
            value = scores[row, item]
            raw[part] = value
            z[part] = torch.where(std[row] > 0, (value - mean[row]) / std[row], 0.0)
            rank[part] = _rank(scores[row], free[row], item, value)
    return Standing(raw, z, rank)


def _moments(scores: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    count = free.sum(1).clamp(min=1)
    mean = torch.where(free, scores, 0.0).sum(1) / count
    square = torch.where(free, (scores - mean.unsqueeze(1)).square(), 0.0)
    std = (square.sum(1) / count).sqrt()
    tiny = 1e-12 * scores.abs().amax(1)
    return mean, torch.where(std > tiny, std, 0.0)


def _rank(scores: Tensor, free: Tensor, item: Tensor, value: Tensor) -> Tensor:
    column, value = torch.arange(scores.size(1)), value.unsqueeze(1)
    ahead = (scores > value) | ((scores == value) & (column < item.unsqueeze(1)))
    return 1 + (ahead & free).sum(1)
