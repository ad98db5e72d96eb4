"""Co-occurrence graphs: items had by the same people, people who have the same items."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.knn import check_k
from graphrec.graphs.neighbours import NeighbourGraph
from graphrec.graphs.operators import interaction_operator
from graphrec.graphs.schema import ITEM, USER, train_edges

SCORES = ('cosine', 'count', 'jaccard', 'pmi')
BLOCK_ENTRIES = 4_000_000  # Counts held at once while neighbours are chosen.

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def cooccurrence_graph(
    data: HeteroData,
    k: int = 10,
    *,
    nodes: str = ITEM,
    score: str = 'cosine',
    min_count: int = 1,
    shrinkage: float = 0.0,
) -> NeighbourGraph:
    r"""The :math:`k` items that share most users with every item, by training edges, or
    the users that share most items.

    With :math:`c_{ij} = (\mathbf{R}^{\top} \mathbf{R})_{ij}`, degrees :math:`d_i` and
    :math:`U` the users who have an item, the score is

    ============  ==========================================================
    ``cosine``    :math:`c_{ij} / \sqrt{d_i d_j}`
    ``count``     :math:`c_{ij}`
    ``jaccard``   :math:`c_{ij} / (d_i + d_j - c_{ij})`
    ``pmi``       :math:`\ln (c_{ij} U / (d_i d_j))`, where it is positive
    ============  ==========================================================

    times :math:`c_{ij} / (c_{ij} + t)` with a shrinkage of :math:`t`, which trusts few
    common users less. Counts are found in blocks of rows, of which only the neighbours
    stay; nobody is their own neighbour, equal scores are chosen by number, and a node that
    shares nothing has an empty row.

    Args:
        data: The graph; training edges only.
        k: Most neighbours of a node.
        nodes: ``'item'`` or ``'user'``.
        score: One of the table.
        min_count: Least :math:`c_{ij}` of neighbours.
        shrinkage: :math:`t \geq 0`.

    Raises:
        GraphError: If an argument is out of range.
    """
    if nodes not in (ITEM, USER):
        raise GraphError(f"'nodes' must be 'item' or 'user' (got {nodes!r})")
    if score not in SCORES:
        raise GraphError(f"'score' must be one of {SCORES} (got {score!r})")
    if min_count < 1:
        raise GraphError(f"'min_count' must be at least 1 (got {min_count})")
    if shrinkage < 0:
        raise GraphError(f"'shrinkage' must not be negative (got {shrinkage})")
    history = interaction_operator(data).to_scipy()
    matrix = (history.T if nodes == ITEM else history).tocsr()
    matrix.sum_duplicates()
    matrix.data.fill(1.0)
    check_k(k, matrix.shape[0], self_loops=False)
    sets = int((np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0).sum())

    def scored(common: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        value = _score(score, common, left, right, sets)
        if shrinkage:
            value *= common / (common + shrinkage)
        return np.where(common >= min_count, value, 0.0)

    near = top_common(matrix, k, scored).tocoo()
    row, col = (torch.from_numpy(part.astype(np.int64)) for part in (near.row, near.col))
    value = torch.from_numpy(near.data)
    graph = NeighbourGraph.from_entries(row, col, value, num_nodes=matrix.shape[0], k=k)
    return graph.to(train_edges(data).device)


def top_common(matrix: sparse.csr_matrix, k: int, score: Score) -> sparse.csr_matrix:
    r"""The :math:`k` largest positive scores of every row of
    :math:`\mathbf{M} \mathbf{M}^{\top}` but the diagonal, equal ones by column: float32
    :math:`(n, n)`, columns sorted. The product is formed in blocks of rows.

    Args:
        matrix: :math:`\mathbf{M} \in \{0, 1\}^{n \times m}`.
        k: Entries kept of a row.
        score: From counts :math:`(E)`, degrees of their rows and of their columns.
    """
    count = matrix.shape[0]
    degree = np.diff(matrix.indptr).astype(np.float64)
    transposed = matrix.T.tocsr()
    pointers, columns, values = [np.zeros(1, dtype=np.int64)], [], []
    for start, end in _blocks(matrix):
        common = (matrix[start:end] @ transposed).tocsr()
        common.sort_indices()
        row = start + np.repeat(np.arange(end - start), np.diff(common.indptr))
        counts = common.data.astype(np.float64)
        value = score(counts, degree[row], degree[common.indices]).astype(np.float32)
        value[row == common.indices] = 0.0
        kept = _largest(value, common.indptr, k)
        columns.append(common.indices[kept])
        values.append(value[kept])
        pointers.append(np.bincount(row[kept] - start, minlength=end - start))
    if not columns:
        return sparse.csr_matrix((count, count), dtype=np.float32)
    parts = np.concatenate(values), np.concatenate(columns), np.concatenate(pointers).cumsum()
    return sparse.csr_matrix(parts, shape=(count, count))


def _score(
    name: str, common: np.ndarray, left: np.ndarray, right: np.ndarray, sets: int
) -> np.ndarray:
    if name == 'count':
        return common.copy()
    if name == 'cosine':
        return common / np.sqrt(left * right)
    if name == 'jaccard':
        return common / (left + right - common)
    return np.log(common * sets / (left * right))


def _blocks(matrix: sparse.csr_matrix) -> list[tuple[int, int]]:
    """Runs of rows with at most BLOCK_ENTRIES counts, or one row."""
    count = matrix.shape[0]
    sizes = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
    most = np.minimum(matrix @ sizes, count)
    block = np.maximum(most.cumsum() - 1, 0) // BLOCK_ENTRIES
    starts = np.flatnonzero(np.diff(block, prepend=-1.0))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), count], strict=True)) if count else []


def _largest(value: np.ndarray, pointer: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k largest positive values of every row, the first of equals."""
    keep = value > 0
    for row in np.flatnonzero(np.diff(pointer) > k):
        span = slice(pointer[row], pointer[row + 1])
        part = value[span]
        limit = np.partition(part, len(part) - k)[len(part) - k]
        inside = part > limit
        equal = np.flatnonzero(part == limit)
        inside[equal[: k - int(inside.sum())]] = True
        keep[span] &= inside
    return np.flatnonzero(keep)
