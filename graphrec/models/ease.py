"""EASE: the best linear item-item model, in closed form."""

import dataclasses
from typing import ClassVar

import numpy as np
import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import train_edges
from graphrec.models.incidence import history_incidence, incidence
from graphrec.models.recommender import Ranker, Recommender

BLOCK_ROWS = 1024  # Rows of the Gram matrix made dense at once.


@dataclasses.dataclass(frozen=True)
class EASEConfig:
    r"""Settings of :class:`EASE`.

    Args:
        regularization: :math:`\lambda > 0`; larger for sparser data.
    """

    regularization: float = 250.0

    def __post_init__(self) -> None:
        if not self.regularization > 0:
            raise GraphError(f"'regularization' needs to be above 0 (got {self.regularization})")


class EASE(Recommender):
    r"""Embarrassingly shallow autoencoder (Steck, `"Embarrassingly Shallow
    Autoencoders for Sparse Data" <https://arxiv.org/abs/1905.03375>`_, WWW 2019,
    Eq. 8): the weights that rebuild every row of the user-item matrix :math:`X` from
    its other entries,

    .. math::
        \min_B \|X - X B\|_F^2 + \lambda \|B\|_F^2 \;\text{ with }\; B_{jj} = 0, \quad
        P = (X^\top X + \lambda I)^{-1}, \quad B_{ij} = -P_{ij} / P_{jj} \; (i \neq j)

    and scores :math:`s_u = x_u B`. One Cholesky factorisation and inversion, about
    :math:`I^3` operations, in float32 and in the place of the Gram matrix.
    :meth:`memory_hint` tells what it takes.

    Args:
        data: The graph; only its training edges are read.
        config: The settings.
    """

    config_class: ClassVar[type] = EASEConfig
    weight: Tensor
    history_ptr: Tensor
    history_item: Tensor

    def __init__(self, data: HeteroData, config: EASEConfig) -> None:
        super().__init__(data, config)
        for name in ('weight', 'history_ptr', 'history_item'):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self.refresh(data)

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: EASEConfig
    ) -> dict[str, int]:
        """Bytes by what they hold, at the peak of the build."""
        return {
            'Gram matrix, inverted in place': 4 * num_items**2,
            'blocks of the Gram matrix': 12 * min(BLOCK_ROWS, num_items) * num_items,
            'user-item matrix and its transpose': 2 * 8 * num_edges + 8 * (num_users + num_items),
        }

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {'weight': ('item',)}

    def refresh(self, data: HeteroData) -> None:
        """Solves again for the edges of :obj:`data`."""
        super().refresh(data)
        device = train_edges(data).device
        self.weight = torch.empty(0)  # Frees the old weights before the new are made.
        history = incidence(data)
        transposed = history.T.tocsr()
        gram = np.zeros((self.num_items, self.num_items), dtype=np.float32)
        for start in range(0, self.num_items, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            (transposed[rows] @ history).toarray(out=gram[rows])
        self.weight = solve_ease(torch.from_numpy(gram).to(device), self.config.regularization)
        self.history_ptr = torch.from_numpy(history.indptr.astype(np.int64)).to(device)
        self.history_item = torch.from_numpy(history.indices.astype(np.int64)).to(device)

    def ranker(self) -> Ranker:
        """Scores of users :math:`(B)`: the rows of :math:`B` of their items, summed."""
        weight, pointer, item = self.weight, self.history_ptr, self.history_item

        def rank(user: Tensor) -> Tensor:
            start, count = pointer[user], pointer[user + 1] - pointer[user]
            offset = count.cumsum(0) - count
            within = torch.arange(int(count.sum()), device=item.device)
            position = within + (start - offset).repeat_interleave(count)
            return F.embedding_bag(item[position], weight, offset, mode='sum')

        return rank

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        """Scores :math:`(n, I)` of people known by their items; all 0 without any."""
        history = history_incidence(histories, self.num_items)
        item = torch.from_numpy(history.indices.astype(np.int64)).to(self.weight.device)
        offset = torch.from_numpy(history.indptr[:-1].astype(np.int64)).to(self.weight.device)
        return F.embedding_bag(item, self.weight, offset, mode='sum')

    def item_weights(self, item: int) -> Tensor:
        """What each item :math:`(I)`, had by a person, adds to the score of
        :obj:`item`: column :obj:`item` of :math:`B`."""
        return self.weight[:, int(item)].clone()


def solve_ease(gram: Tensor, regularization: float) -> Tensor:
    r"""The weights :math:`B` (I, I) for the Gram matrix :math:`X^\top X`, which is
    overwritten; computed in its precision."""
    if gram.numel() == 0:
        return gram
    gram.diagonal().add_(regularization)
    # A symmetric matrix is its own transpose, which is stored by columns as LAPACK wants
    # it: factor and inverse then take the place of the matrix.
    by_column = gram.t()
    torch.linalg.cholesky(by_column, out=by_column)
    if gram.is_cpu:
        _invert_factor(by_column)
    else:
        torch.cholesky_inverse(by_column, out=by_column)
    return gram.div_(-gram.diagonal().clone()).fill_diagonal_(0.0)


def _invert_factor(factor: Tensor) -> None:
    """Turns a lower Cholesky factor, stored by columns, into the inverse, in its place.
    SciPy's LAPACK does it several times faster on the CPU than the one behind torch."""
    (potri,) = get_lapack_funcs(('potri',), (factor.numpy(),))
    _, info = potri(factor.numpy(), lower=1, overwrite_c=1)
    if info != 0:
        raise GraphError(f'the Gram matrix cannot be inverted (LAPACK potri: {info})')
    for start in range(0, factor.size(0), BLOCK_ROWS):  # It fills the lower half only.
        end = min(start + BLOCK_ROWS, factor.size(0))
        factor[start:end, end:] = factor[end:, start:end].t()
        square = factor[start:end, start:end]
        square.copy_(square.tril() + square.tril(-1).t())
