"""Nearest neighbours by cosine: exact in blocks, or through faiss."""

import torch
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.graphs.duplicates import row_groups
from graphrec.graphs.neighbours import NeighbourGraph, best_of_rows

BACKENDS = ('exact', 'faiss')
_BLOCK = 4096  # Rows and columns of similarities at once: 64 MB.
_BLOCK_NUMBERS = 2**23  # Numbers of the rows of a block: 32 MB.
_CHUNK = 256  # Rows whose candidates are sifted at once, within the cache.
_GROUP = 32  # Neighbouring columns that are first judged by their largest.
_LOW = 0xFFFFFFFF


def nearest_neighbours(
    x: Tensor,
    k: int = 10,
    *,
    self_loops: bool = True,
    present: Tensor | None = None,
    backend: str = 'exact',
    min_recall: float = 0.95,
    block_size: int | None = None,
) -> NeighbourGraph:
    r"""The :math:`k` rows of :obj:`x` with the largest cosine to every row,

    .. math::
        \cos(\mathbf{x}_i, \mathbf{x}_j) = \frac{\mathbf{x}_i^{\top} \mathbf{x}_j}
        {\|\mathbf{x}_i\|_2 \|\mathbf{x}_j\|_2}

    Exact search forms the similarities in square blocks, each once for both of its sides,
    and keeps the best of every row: :math:`n^2 d` operations and :math:`O(n k)` memory
    beside two blocks. What is equal is chosen by number: rows with the same features are
    searched as one, so that rounding cannot tell them apart, and have similarity 1.

    A **missing** row (zeros, or not :obj:`present`) has no direction: it is nobody's
    neighbour, and its own are none but itself with :obj:`self_loops`.

    Args:
        x: Features :math:`(n, d)`, finite, of any scale.
        k: Neighbours of a row, itself counted with :obj:`self_loops`. A row has fewer where
            fewer rows are given.
        self_loops: Whether a row is its own first neighbour (LATTICE, FREEDOM, MMHCL) or
            never one.
        present: Which rows are given :math:`(n)`; those that are not zero if omitted.
        backend: ``'exact'``, or ``'faiss'`` (``pip install graphrec[faiss]``) for more
            than some 200,000 rows, see :func:`graphrec.graphs.faiss_knn.search`.
        min_recall: What recall an approximate search must reach on a sample.
        block_size: Rows of a block; by default 4096 (64 MB of similarities), fewer for
            features of more than 2048 columns.

    Raises:
        GraphError: If :obj:`k` does not fit :math:`n`, or :obj:`x` is not a finite table.
    """
    if x.dim() != 2 or not (x.is_floating_point() or x.dtype == torch.bool):
        raise GraphError(
            f"'x' has shape {list(x.shape)} and type {x.dtype}, expected floats [n, d]"
        )
    if backend not in BACKENDS:
        raise GraphError(f"'backend' must be one of {BACKENDS} (got {backend!r})")
    x, n = x.detach(), x.size(0)
    check_k(k, n, self_loops)
    rows = _given(x, present)
    group = row_groups(x, rows)
    count = torch.bincount(group)
    start = count.cumsum(0) - count
    member = rows[torch.argsort(group, stable=True)]
    wanted = min(k if self_loops else k + 1, rows.numel())  # Itself is found as well.
    recall = 1.0
    if backend == 'faiss':
        from graphrec.graphs import faiss_knn

        near, value, recall = faiss_knn.search(x, member[start], wanted, min_recall)
    else:
        near, value = exact_search(x, member[start], wanted, block_size)
    near, value = _members(near, value, member, start, count, wanted)

    # Equal rows share a list, in which each leaves itself out.
    near, value = near[group], value[group]
    own = (near == rows.unsqueeze(1)).int()
    order = own.argsort(dim=1, stable=True)[:, : max(wanted - 1, 0)]
    index = torch.full((n, k), -1, device=x.device)
    similarity = torch.zeros(n, k, device=x.device)
    places = slice(int(self_loops), int(self_loops) + order.size(1))
    index[rows, places] = near.gather(1, order)
    similarity[rows, places] = value.gather(1, order)
    if self_loops:
        index[:, 0], similarity[:, 0] = torch.arange(n, device=x.device), 1.0
    return NeighbourGraph(index, similarity, recall)


def check_k(k: int, count: int, self_loops: bool) -> None:
    """Refuses a :obj:`k` that :obj:`count` nodes cannot serve."""
    most = count if self_loops else count - 1
    if not 1 <= k <= most:
        raise GraphError(
            f"'k' needs to lie between 1 and {most}, the nodes that there are to choose from "
            f'(got {k})'
        )


def exact_search(
    x: Tensor, rows: Tensor, k: int, block_size: int | None = None
) -> tuple[Tensor, Tensor]:
    r"""The :math:`k` most similar of the given rows to each of them, itself included with
    similarity 1, equal ones by place: places :math:`(m, \min(k, m))` in :obj:`rows` and
    cosines, float32, at most 1.

    Args:
        x: Features :math:`(n, d)`.
        rows: Row numbers :math:`(m)`, of rows that are not zero.
        k: Places wanted.
        block_size: Rows of a block, see :func:`nearest_neighbours`.
    """
    m = rows.numel()
    if block_size is None:
        block_size = min(_BLOCK, max(_BLOCK_NUMBERS // max(x.size(1), 1), 1024))
    size = -(-min(block_size, max(m, 1)) // _GROUP) * _GROUP
    parts = rows.split(size)
    best = torch.full((m, min(k, m)), -(2**63), device=x.device)
    # Rows that do not start a power of two apart, for the cache's sake.
    table = torch.empty(size, size + _GROUP, device=x.device)
    for i, left in enumerate(parts):
        x_left = unit_rows(x, left)
        for j in range(i, len(parts)):
            right = parts[j]
            x_right = x_left if i == j else unit_rows(x, right)
            block = table[: len(x_left), : len(x_right)]
            torch.mm(x_left, x_right.t(), out=block)
            block[left.numel() :] = block[:, right.numel() :] = -torch.inf
            if i == j:
                block.diagonal()[: left.numel()] = 1.0
            _sift(best[i * size : i * size + left.numel()], block, j * size)
            if i != j:
                _sift(best[j * size : j * size + right.numel()], block.t(), i * size)
    best = best.sort(dim=1, descending=True).values
    return _LOW - (best & _LOW), _decode(best)


def unit_rows(x: Tensor, rows: Tensor) -> Tensor:
    """The rows scaled to length 1, filled up with zero rows to whole groups."""
    part = x[rows].float()
    out = part.new_zeros(-(-len(part) // _GROUP) * _GROUP, part.size(1))
    unit = out[: len(part)]
    # The largest number first, so that no square overflows.
    torch.div(part, _largest(part).unsqueeze(1), out=unit)
    unit /= torch.linalg.vector_norm(unit, dim=1, keepdim=True)
    return out


def _largest(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.float(), torch.inf, dim=1)


def _sift(best: Tensor, block: Tensor, first: int) -> None:
    """Brings the largest entries of :obj:`block` into the keys of :obj:`best`, in place.

    A key holds the similarity in its upper half and the complement of the column in its
    lower half, so that the largest keys are the largest similarities, the first of equal
    ones. Of the groups of columns only those with the largest maxima are looked at: an
    entry outside them has as many before it as there are groups."""
    k = best.size(1)
    groups = block.size(1) // _GROUP
    inner = torch.arange(_GROUP, device=block.device)
    tie = torch.arange(groups, 0, -1, device=block.device)
    copy = torch.empty(min(_CHUNK, best.size(0)), block.size(1), device=block.device)
    for low in range(0, best.size(0), _CHUNK):
        old = best[low : low + _CHUNK]
        size = old.size(0)
        for left in range(0, block.size(1), _CHUNK):  # In tiles: it may be a transpose.
            copy[:size, left : left + _CHUNK] = block[low : low + size, left : left + _CHUNK]
        part = copy[:size].view(size, groups, _GROUP)
        chosen = (_encode(part.amax(2)) + tie).topk(min(k, groups), sorted=False).indices
        base = torch.arange(size, device=block.device).unsqueeze(1) * groups
        value = part.view(-1, _GROUP).index_select(0, (base + chosen).flatten())
        key = _encode(value).view(size, -1, _GROUP)
        key += (_LOW - first - chosen * _GROUP).unsqueeze(2)
        key -= inner
        old.copy_(torch.cat([old, key.flatten(1)], 1).topk(k, sorted=False).values)


def _encode(value: Tensor) -> Tensor:
    """Similarities, at most 1, as ordered integers in the upper half; :obj:`value` is lost."""
    bits = value.clamp_(max=1.0).add_(0.0).view(torch.int32)  # -0 is 0.
    bits ^= (bits >> 31) & 0x7FFFFFFF
    return bits.long() << 32


def _decode(key: Tensor) -> Tensor:
    bits = (key >> 32).int()
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)


def _members(
    near: Tensor, value: Tensor, member: Tensor, start: Tensor, count: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Nearest rows of every group from its nearest groups."""
    row = torch.arange(len(near), device=near.device).repeat_interleave(near.size(1))
    near, value = near.flatten(), value.flatten()
    held = (near >= 0).nonzero().squeeze(1)
    row, near, value = row[held], near[held], value[held]
    taken = count[near].clamp(max=k)
    entry = torch.repeat_interleave(taken)
    place = torch.arange(entry.numel(), device=near.device) - (taken.cumsum(0) - taken)[entry]
    col = member[start[near[entry]] + place]
    return best_of_rows(row[entry], col, value[entry], len(start), k)


def _given(x: Tensor, present: Tensor | None) -> Tensor:
    """Numbers of the rows that have a direction."""
    largest = torch.cat([_largest(part) for part in x.split(_BLOCK)])
    if not torch.isfinite(largest).all():
        raise GraphError(
            f"'x' holds NaN or infinite values (first one: row "
            f'{int((~torch.isfinite(largest)).nonzero()[0])}); set missing rows to zero'
        )
    given = largest > 0
    if present is not None:
        if present.shape != given.shape or present.dtype != torch.bool:
            raise GraphError(
                f"'present' has shape {list(present.shape)} and type {present.dtype}, "
                f'expected bool [{x.size(0)}]'
            )
        given = given & present.to(x.device)
    return given.nonzero().squeeze(1)
