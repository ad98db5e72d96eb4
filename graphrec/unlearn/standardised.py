"""Scores in units of their user's spread, comparable between users and models."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.operators import Sparse, interaction_operator
from graphrec.graphs.schema import ITEM, num_items, train_edges
from graphrec.models.recommender import Ranker

_BLOCK_BYTES = 32 * 2**20
_BLOCK_USERS = 16  # At least so many at once.


@dataclass(frozen=True)
class UserScores:
    r"""Scores of pairs and the spread of each user's scores.

    Attributes:
        users: Distinct users :math:`(n)`, ascending.
        row: Place of each pair's user among them :math:`(P)`.
        raw: Scores of the pairs :math:`(P)`.
        mean: Of the scores of a user over the items that are candidates and not among the
            training items, :math:`(n)`.
        std: Their standard deviation :math:`(n)`, at least a tiny number.
    """

    users: Tensor
    row: Tensor
    raw: Tensor
    mean: Tensor
    std: Tensor

    @property
    def z(self) -> Tensor:
        r""":math:`(s_{ui} - \mu_u) / \sigma_u` :math:`(P)`."""
        return (self.raw - self.mean[self.row]) / self.std[self.row]


def candidate_items(data: HeteroData) -> Tensor:
    """Which items may be recommended, bool :math:`(I)`: those not removed."""
    removed = data[ITEM].get('is_removed')
    if removed is None:
        return torch.ones(num_items(data), dtype=torch.bool, device=train_edges(data).device)
    return ~removed.to(train_edges(data).device)


@dataclass(frozen=True)
class UserBlock:
    r"""Some users, all their scores, and their pairs.

    Attributes:
        chosen: Numbers of the pairs of these users :math:`(p)`.
        row: Place of each pair's user in the block :math:`(p)`.
        scores: :math:`(b, I)`.
        free: Bool :math:`(b, I)`, the candidates that the user has no retained interaction
            with.
        mean: Of the scores over those :math:`(b)`.
        std: Their standard deviation :math:`(b)`.
    """

    chosen: Tensor
    row: Tensor
    scores: Tensor
    free: Tensor
    mean: Tensor
    std: Tensor


@torch.no_grad()
def user_blocks(
    ranker: Ranker,
    row: Tensor,
    users: Tensor,
    retained: Sparse,
    candidates: Tensor,
    dtype: torch.dtype,
) -> Iterator[UserBlock]:
    r"""The users of pairs, block by block, with the moments of their scores over
    :math:`C_u = \{j \in C : (u, j) \notin D_r\}`.

    Args:
        ranker: Of the model.
        row: Place of each pair's user among :obj:`users` :math:`(P)`.
        users: Distinct users :math:`(n)`.
        retained: Training interactions, users by items.
        candidates: :math:`C`, bool :math:`(I)`.
        dtype: Of the scores and moments.
    """
    size = max(_BLOCK_USERS, _BLOCK_BYTES // (4 * max(candidates.numel(), 1)))
    order = torch.argsort(row, stable=True)
    ends = torch.bincount(row, minlength=users.numel()).cumsum(0)
    done = 0
    for low in range(0, users.numel(), size):
        index = users[low : low + size]
        scores = ranker(index).to(device=row.device, dtype=dtype)
        seen = retained.select_rows(index)
        free = candidates.expand(index.numel(), -1).clone()
        free[seen.row, seen.col.long()] = False
        count = free.sum(1).clamp(min=1)
        mean = scores.masked_fill(~free, 0.0).sum(1) / count
        spread = (scores - mean.unsqueeze(1)).masked_fill_(~free, 0.0).square_().sum(1) / count
        end = int(ends[low + index.numel() - 1])
        chosen = order[done:end]
        yield UserBlock(chosen, row[chosen] - low, scores, free, mean, spread.sqrt())
        done = end


@torch.no_grad()
def user_scores(ranker: Ranker, data: HeteroData, pairs: Tensor) -> UserScores:
    r"""Scores of pairs :math:`(2, P)` under a model, with the moments of each user's scores
    over the unobserved candidates of :obj:`data`.

    Args:
        ranker: Of the model.
        data: Says which items a user has, and which items are candidates.
        pairs: User and item numbers.
    """
    users, row = torch.unique(pairs[0], return_inverse=True)
    raw = torch.zeros(pairs.size(1), device=pairs.device)
    means, stds = [raw[:0]], [raw[:0]]
    history, candidates = interaction_operator(data), candidate_items(data)
    for block in user_blocks(ranker, row, users, history, candidates, torch.float32):
        raw[block.chosen] = block.scores[block.row, pairs[1][block.chosen]]
        means.append(block.mean)
        stds.append(block.std.clamp(min=1e-6))
    return UserScores(users, row, raw, torch.cat(means), torch.cat(stds))
