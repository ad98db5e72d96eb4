r"""Ranking of one held-out item against a few sampled ones.

Cheap and much used, but its numbers are far higher than those of full ranking and may
even order models differently (`"On Sampled Metrics for Item Recommendation"
<https://dl.acm.org/doi/10.1145/3394486.3403226>`_): they carry ``sampled`` in their name.
"""

import torch
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.models.recommender import Ranker
from graphrec.ranking import check_scores


def draw_unseen(
    known: Tensor, num_rows: int, num_columns: int, n: int, generator: torch.Generator
) -> Tensor:
    r"""Draws :obj:`n` distinct columns for every row, uniformly among those that the row
    does not know: int64 :math:`(R, n)`.

    Args:
        known: Pairs :math:`(2, E)` of a row and a column that it knows.
        num_rows: Number of rows :math:`R`.
        num_columns: Number of columns.
        n: How many to draw.
        generator: Source of randomness, on the CPU.

    Raises:
        GraphError: If a row has fewer than :obj:`n` unknown columns.
    """
    key = (known[0] * num_columns + known[1]).unique()
    row, column = key // num_columns, key % num_columns
    count = torch.bincount(row, minlength=num_rows)
    before = count.cumsum(0) - count
    free = num_columns - count
    if num_rows and int(free.min()) < n:
        raise GraphError(
            f"'num_negatives' is {n}, but a user has only {int(free.min())} items left to "
            f'draw from; choose num_negatives <= {int(free.min())}'
        )
    # Distinct numbers below `free`: what repeats an earlier one is drawn again.
    chosen = _below(free.unsqueeze(1).expand(-1, n), generator)
    while True:
        chosen = chosen.sort(dim=1).values
        again = torch.zeros_like(chosen, dtype=torch.bool)
        again[:, 1:] = chosen[:, 1:] == chosen[:, :-1]
        if not again.any():
            break
        chosen[again] = _below(free.unsqueeze(1).expand(-1, n)[again], generator)
    # The c-th unknown column is c plus the number of known columns before it; known
    # column j (the j-th of its row) lies before it where column - j <= c.
    nth = torch.arange(key.numel()) - before[row]
    stride = num_columns + 1
    gap = row * stride + column - nth
    base = torch.arange(num_rows).unsqueeze(1)
    passed = torch.searchsorted(gap, base * stride + chosen, right=True) - before.unsqueeze(1)
    return chosen + passed


def _below(limit: Tensor, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(limit.shape, generator=generator, dtype=torch.float64)
    return (uniform * limit).long().clamp(max=limit - 1)


@torch.no_grad()
def ranks_among(
    ranker: Ranker,
    users: Tensor,
    truth: Tensor,
    negatives: Tensor,
    block_size: int = 256,
) -> Tensor:
    r"""Rank (from 0) of every held-out item among the sampled items of its user: the
    number of those with a larger score, or with an equal one and a lower number.

    Args:
        ranker: From user numbers :math:`(B)` to scores :math:`(B, I)`.
        users: User numbers :math:`(n)`.
        truth: Pairs :math:`(2, T)` of a position in :obj:`users` and an item number,
            sorted by the position.
        negatives: Item numbers :math:`(n, s)`.
        block_size: Users scored at once.
    """
    ranks = []
    for begin in range(0, users.numel(), block_size):
        index = users[begin : begin + block_size]
        scores = ranker(index)
        sampled = negatives[begin : begin + block_size].to(scores.device)
        bounds = torch.tensor([begin, begin + index.numel()], device=truth.device)
        low, high = torch.searchsorted(truth[0].contiguous(), bounds).tolist()
        row = (truth[0, low:high] - begin).to(scores.device)
        item = truth[1, low:high].to(scores.device).unsqueeze(1)
        own = scores[row].gather(1, item) if row.numel() else scores.new_zeros(0, 1)
        other = scores.gather(1, sampled)[row]
        check_scores(torch.cat([own, other], dim=1), index[row.to(index.device)])
        ahead = (other > own) | ((other == own) & (sampled[row] < item))
        ranks.append(ahead.sum(dim=1).cpu())
    return torch.cat(ranks) if ranks else torch.zeros(0, dtype=torch.long)
