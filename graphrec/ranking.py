r"""The best items of every user, exactly, block by block: what evaluation and
serving share."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import num_items, num_users
from graphrec.models.recommender import Ranker

# Small enough to stay in the last-level cache between product and selection, large enough
# that waiting threads cost little.
_BLOCK_BYTES = 32 * 2**20
# Selection looks at the maxima of so many columns first, where there are enough of them.
_GROUP = 16
_MIN_GROUPS = 1024


class TopK(NamedTuple):
    """Items and their scores, both :math:`(n, k)`, the best first; where fewer than
    :math:`k` items remain, item -1 with score :math:`-\\infty`."""

    items: Tensor
    scores: Tensor


@torch.no_grad()
def top_k(
    ranker: Ranker,
    users: Tensor,
    k: int,
    *,
    masked: Sequence[Tensor] = (),
    block_size: int | None = None,
    candidates: Tensor | None = None,
) -> TopK:
    r"""The :obj:`k` best items of every user, by score, equal scores by item number
    (the lower one first), so that the answer depends on the scores alone and neither
    on the block size nor on the device. An item whose score is :math:`-\infty` is out.

    Args:
        ranker: From user numbers :math:`(B)` to fresh scores :math:`(B, I)`, which are
            written into (see :meth:`Recommender.ranker`).
        users: User numbers :math:`(n)`; a user may come twice.
        k: How many, at most the number of candidates.
        masked: Edge lists :math:`(2, E)` of pairs to leave out.
        block_size: Users scored at once; by default as many as fill 32 MB of scores,
            which stay in the cache between the product and the selection.
        candidates: Item numbers :math:`(C)` to choose among; all by default.

    Raises:
        GraphError: If :obj:`k` is larger than the number of candidates, or a score is
            NaN (names the user).
    """
    pairs = masked_pairs(masked, users) if users.numel() else None
    if candidates is not None:
        candidates = candidates.unique()
    blocks: list[TopK] = []
    begin, size = 0, block_size or 32
    while begin < users.numel():
        index = users[begin : begin + size]
        scores = ranker(index)
        if not scores.is_floating_point():
            scores = scores.double()
        if pairs is not None:
            hide_pairs(scores, pairs, begin)
        if candidates is not None:
            scores = scores[:, candidates.to(scores.device)]
        check_k(k, scores.size(1), 'candidate items' if candidates is not None else 'items')
        blocks.append(_select(scores, k, index))
        begin += size
        size = block_size or max(16, _BLOCK_BYTES // (scores.element_size() * scores.size(1)))
    if not blocks:
        empty = torch.zeros(0, k, device=users.device)
        return TopK(empty.long(), empty)
    items = torch.cat([block.items for block in blocks])
    values = torch.cat([block.scores for block in blocks])
    if candidates is not None:
        items = candidates.to(items.device)[items]
    return TopK(items.masked_fill(values == -torch.inf, -1), values)


def masked_pairs(masked: Sequence[Tensor], users: Tensor) -> tuple[Tensor, Tensor] | None:
    """For every position in :obj:`users` its masked items: row pointers :math:`(n + 1)`
    and item numbers, so that a block of users is a slice."""
    edges = torch.cat(list(masked), dim=1) if masked else users.new_zeros(2, 0)
    if not edges.numel():
        return None
    row, item = edges
    if (row[1:] < row[:-1]).any():
        row, order = row.sort()
        item = item[order]
    users = users.to(row.device)
    start = torch.searchsorted(row.contiguous(), torch.stack([users, users + 1]))
    count = start[1] - start[0]
    end = count.cumsum(0)
    shift = (start[0] - (end - count)).repeat_interleave(count)
    item = item[shift + torch.arange(shift.numel(), device=shift.device)]
    return torch.cat([end.new_zeros(1), end]), item


def hide_pairs(scores: Tensor, pairs: tuple[Tensor, Tensor], begin: int) -> None:
    """Sets the scores of what :func:`masked_pairs` found to minus infinity, in place; row 0
    of :obj:`scores` belongs to position :obj:`begin`."""
    bounds, item = pairs
    bounds = bounds[begin : begin + scores.size(0) + 1]
    low, high = bounds[[0, -1]].tolist()
    row = torch.arange(scores.size(0), device=bounds.device)
    row = row.repeat_interleave(bounds.diff(), output_size=high - low)
    scores[row.to(scores.device), item[low:high].to(scores.device)] = -torch.inf


def _select(scores: Tensor, k: int, users: Tensor) -> TopK:
    # One more than asked: it shows whether a tie runs across the end of the list,
    # where topk may keep either item.
    values, items = _largest(scores, min(k + 1, scores.size(1)))
    check_scores(values, users)
    if values.size(1) > k:
        split = (values[:, k - 1] == values[:, k]) & (values[:, k] > -torch.inf)
        values, items = values[:, :k], items[:, :k]
        if split.any():
            rows = split.nonzero().squeeze(1)
            items[rows] = _keep_lowest(scores[rows], values[rows], items[rows])
    tied = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf)
    rows = tied.any(dim=1).nonzero().squeeze(1)
    if rows.numel():
        by_number, order = items[rows].sort(dim=1)
        ranked, position = values[rows].gather(1, order).sort(dim=1, descending=True, stable=True)
        values[rows], items[rows] = ranked, by_number.gather(1, position)
    return TopK(items, values)


def _largest(scores: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The ``n`` largest values of every row, descending, and their columns. With many
    columns, the ``n`` groups of columns with the largest maxima hold them all: a fast
    reduction and two small selections replace one large selection."""
    rows, width = scores.size()
    num_groups = width // _GROUP
    if scores.is_cuda or num_groups < max(_MIN_GROUPS, 4 * n) or not scores.is_contiguous():
        values, columns = scores.topk(n, dim=1)
        return values, columns
    grouped = num_groups * _GROUP  # Group g holds the columns g, g + num_groups, ...
    maxima = scores[:, :grouped].view(rows, _GROUP, num_groups).amax(dim=1)
    group = maxima.topk(n, dim=1, sorted=False).indices
    step = torch.arange(0, grouped, num_groups)
    column = (group.unsqueeze(2) + step).flatten(1)
    rest = torch.arange(grouped, width).expand(rows, -1)
    column = torch.cat([column, rest], dim=1)
    values, position = scores.gather(1, column).topk(n, dim=1)
    return values, column.gather(1, position)


def _keep_lowest(scores: Tensor, values: Tensor, items: Tensor) -> Tensor:
    """Replaces the items whose score equals the last one's by the lowest-numbered items
    with that score."""
    num_columns, k = scores.size(1), values.size(1)
    threshold = values[:, -1:]
    dtype = torch.float32 if num_columns < 2**24 else torch.float64
    lowness = torch.arange(num_columns, 0, -1, dtype=dtype, device=scores.device)
    _, lowest = _largest(torch.where(scores == threshold, lowness, 0.0), k)
    num_above = (values > threshold).sum(dim=1, keepdim=True)
    slot = (torch.arange(k, device=scores.device) - num_above).clamp(min=0)
    return torch.where(values == threshold, lowest.gather(1, slot), items)


def check_k(k: Any, available: int, what: str = 'items') -> int:
    """Returns ``k``; raises :class:`GraphError` unless ``1 <= k <= available``."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise GraphError(f"'k' needs to be a positive integer (got {k!r})")
    if k > available:
        raise GraphError(
            f"'k' is {k}, but the catalogue to rank has {available} {what}; choose k <= {available}"
        )
    return int(k)


def check_scores(scores: Tensor, users: Tensor) -> None:
    """Raises :class:`GraphError` naming the first user with a NaN score."""
    bad = scores.isnan().any(dim=1)
    if bad.any():
        user = int(users[int(bad.nonzero()[0])])
        raise GraphError(
            f'the scores of {int(bad.sum())} users are NaN (first one: user number {user}); '
            'the model diverged: train again with a smaller learning rate'
        )


def check_graph(model: Any, data: HeteroData) -> None:
    """Raises :class:`GraphError` if the model was built for a graph of other size."""
    for name, count in (('num_users', num_users(data)), ('num_items', num_items(data))):
        built = getattr(model, name, count)
        if built != count:
            raise GraphError(
                f'the model was built for {name}={built}, but the graph has {count}; '
                "build it with 'from_graph(data)' for this graph"
            )
