"""The strongest walks from a node, found without listing them all."""

import heapq
from typing import NamedTuple

import numpy as np
import scipy.sparse


class Walk(NamedTuple):
    """Nodes from the start on, and the product of the edge weights."""

    nodes: tuple[int, ...]
    weight: float


def strongest_walks(
    adjacency: scipy.sparse.csr_matrix, start: int, match: np.ndarray, length: int, count: int
) -> list[Walk]:
    r"""The :obj:`count` walks :math:`p_0 \to p_1 \to \ldots \to p_l` of :obj:`length`
    :math:`l \geq 1` edges from :math:`p_0` = :obj:`start` with the largest
    :math:`|A_{p_0 p_1} \cdots A_{p_{l-1} p_l} m_{p_l}|` above 0, largest first.

    Exact: the best completion of a walk with :math:`t` edges to go is known before
    the search, :math:`M_t(v) = \max_w |A_{vw}| M_{t-1}(w)` with
    :math:`M_0 = |m|`, so only beginnings of strong walks are ever opened. Cost:
    :math:`l` passes over the edges, and a heap of at most ``count² · l`` entries.

    Args:
        adjacency: :math:`A`, shape :math:`(N, N)`; a stored edge is a step.
        start: Number of the first node.
        match: :math:`m`, one number a node.
        length: Edges of a walk.
        count: Most walks to return.
    """
    pointer, column, weight = adjacency.indptr, adjacency.indices, adjacency.data
    reach = [np.abs(match)]
    for _ in range(length):
        reach.append(_row_maximum(pointer, np.abs(weight) * reach[-1][column]))
    # Entries: (-bound, order of arrival, nodes so far, weight so far).
    heap: list[tuple[float, int, tuple[int, ...], float]] = [
        (-float(reach[length][start]), 0, (start,), 1.0)
    ]
    found: list[Walk] = []
    arrived = 0
    while heap and len(found) < count:
        bound, _, nodes, so_far = heapq.heappop(heap)
        if bound == 0:
            break
        left = length - len(nodes) + 1
        if left == 0:
            found.append(Walk(nodes, so_far))
            continue
        row = slice(pointer[nodes[-1]], pointer[nodes[-1] + 1])
        step, neighbour = weight[row], column[row]
        bounds = np.abs(so_far * step) * reach[left - 1][neighbour]
        for place in np.argsort(-bounds, kind='stable')[:count].tolist():
            arrived += 1
            following = (*nodes, int(neighbour[place]))
            product = so_far * float(step[place])
            heapq.heappush(heap, (-float(bounds[place]), arrived, following, product))
    return found


def count_walks(adjacency: scipy.sparse.csr_matrix, start: int, depth: int) -> int:
    """The number of walks of one to :obj:`depth` edges from a node."""
    pattern = adjacency.copy()
    pattern.data = np.ones_like(pattern.data, dtype=np.float64)
    ends = np.zeros(adjacency.shape[0])
    ends[start] = 1
    total = 0.0
    for _ in range(depth):
        ends = pattern.T @ ends
        total += ends.sum()
    return round(total)


def _row_maximum(pointer: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The largest of non-negative values in every row; 0 for an empty one."""
    result = np.zeros(len(pointer) - 1)
    filled = np.flatnonzero(np.diff(pointer))
    if filled.size:
        result[filled] = np.maximum.reduceat(values, pointer[filled])
    return result
