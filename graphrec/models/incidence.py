"""The 0/1 matrix of who has which item, for models that work on rows of it."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import num_items, num_users, train_edges


def incidence(data: HeteroData) -> sparse.csr_matrix:
    """Training edges as a matrix :math:`(U, I)` of ones, float32; an edge that is
    stored twice counts once."""
    user, item = train_edges(data).cpu().numpy()
    return _ones(user, item, (num_users(data), num_items(data)))


def history_incidence(histories: list[Tensor], num_items: int) -> sparse.csr_matrix:
    """Histories, lists of item numbers, as a matrix :math:`(n, I)` of ones, float32.

    Raises:
        GraphError: If an item number lies outside the catalogue.
    """
    items = [torch.as_tensor(history).reshape(-1).long().cpu() for history in histories]
    item = torch.cat(items).numpy() if items else np.zeros(0, dtype=np.int64)
    if item.size and (item.min() < 0 or item.max() >= num_items):
        wrong = item[(item < 0) | (item >= num_items)][0]
        raise GraphError(
            f"'histories' holds the item number {wrong}, but items run from 0 to "
            f"{num_items - 1}; translate original ids with 'schema.index_of'"
        )
    person = np.repeat(np.arange(len(items)), [len(one) for one in items])
    return _ones(person, item, (len(items), num_items))


def _ones(row: np.ndarray, col: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    value = np.ones(len(row), dtype=np.float32)
    matrix = sparse.csr_matrix((value, (row, col)), shape=shape)
    matrix.data.fill(1.0)  # scipy adds duplicates up.
    matrix.sort_indices()
    return matrix
