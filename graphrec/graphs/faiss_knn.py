"""Approximate nearest neighbours through faiss, with measured recall."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrec.errors import GraphError

_SAMPLE = 256  # Rows on which recall is measured.
_TRAINING = 64  # Rows a list of the index that its centres are found from.
_SLACK = 1e-6  # Rounding of a cosine: as near is near enough.


def search(x: Tensor, rows: Tensor, k: int, min_recall: float) -> tuple[Tensor, Tensor, float]:
    r"""The :math:`k` most similar of the given rows to each of them, itself included, by an
    inverted file (``IndexIVFFlat``): rows are searched in the lists of the nearest of
    :math:`4 \sqrt{m}` centres. The number of lists searched is doubled until the recall on
    256 rows, measured against exact search, reaches :obj:`min_recall`; with all lists the
    search is exact.

    Args:
        x: Features :math:`(n, d)`.
        rows: Row numbers :math:`(m)`, of rows that are not zero.
        k: Places wanted.
        min_recall: Share of true neighbours, in :math:`(0, 1]`.

    Returns:
        Places :math:`(m, \min(k, m))` in :obj:`rows`, -1 where none was found; cosines,
        float32; the recall measured, itself not counted.

    Raises:
        GraphError: If faiss is not installed, or :obj:`min_recall` is out of range.
    """
    if not 0 < min_recall <= 1:
        raise GraphError(f"'min_recall' needs to lie in (0, 1] (got {min_recall})")
    try:
        import faiss
    except ImportError as error:
        raise GraphError(
            "'backend' is 'faiss', which is not installed; run 'pip install graphrec[faiss]', "
            "or use 'exact'"
        ) from error
    m, k = rows.numel(), min(k, rows.numel())
    table = _unit(x, rows)
    faiss.omp_set_num_threads(torch.get_num_threads())
    lists = max(min(int(4 * m**0.5), m // _TRAINING), 1)
    centres = faiss.IndexFlatIP(table.shape[1])
    index = faiss.IndexIVFFlat(centres, table.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    random = np.random.default_rng(0)
    index.train(table[np.sort(random.permutation(m)[: _TRAINING * lists])])
    index.add(table)
    recall = _tune(index, table, np.sort(random.permutation(m)[:_SAMPLE]), k, min_recall)
    cosine, place = index.search(table, k)
    near, value = torch.from_numpy(place), torch.from_numpy(cosine).clamp_(max=1.0)
    own = torch.arange(m).unsqueeze(1)
    # A row finds itself in the first list searched, if not behind as many equal ones.
    near[(near != own).all(1), -1:] = own[(near != own).all(1)]
    value[near == own] = 1.0
    return near.to(x.device), value.to(x.device), recall


def _unit(x: Tensor, rows: Tensor) -> np.ndarray:
    from graphrec.graphs.knn import unit_rows

    parts = rows.split(4096)
    return torch.cat([unit_rows(x, part)[: len(part)].cpu() for part in parts]).numpy()


def _tune(index: Any, table: np.ndarray, sample: np.ndarray, k: int, min_recall: float) -> float:
    """Sets how many lists are searched; the recall that this gives."""
    true = torch.from_numpy(table[sample] @ table.T)
    true[torch.arange(len(sample)), torch.from_numpy(sample)] = -torch.inf
    wanted = min(k, len(table)) - 1
    if wanted < 1:
        return 1.0
    limit = true.topk(wanted, dim=1).values[:, -1:].numpy() - _SLACK
    index.nprobe = 1
    while True:
        cosine, place = index.search(table[sample], wanted + 1)
        hit = (cosine >= limit) & (place >= 0) & (place != sample[:, None])
        recall = float(np.minimum(hit.sum(1), wanted).mean() / wanted)
        if recall >= min_recall or index.nprobe >= index.nlist:
            return recall
        index.nprobe = min(2 * index.nprobe, index.nlist)
