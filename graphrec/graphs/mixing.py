"""Weighted mixtures of sparse operators as one."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse

from graphrec.errors import GraphError
from graphrec.graphs.sparse import Sparse

EMPTY_ROWS = ('shrink', 'keep')


def mix(
    operators: Sequence[Sparse], weights: Sequence[float], *, empty_rows: str = 'shrink'
) -> Sparse:
    r"""The sum of operators on the union of their supports, which costs one product:

    .. math::
        \mathbf{S} = \sum_g w_g \mathbf{S}^g

    FREEDOM and LIRDRec mix modalities so (:math:`w_v`, :math:`1 - w_v`); the infusion of
    co-occurrence into a semantic graph is ``mix([semantic, cooccurrence], [1 - gamma,
    gamma], empty_rows='keep')``. Nothing is normalised again afterwards, and a weight of 0
    leaves its operator out, so that weights :math:`(1, 0)` give the first one itself.

    Args:
        operators: :math:`\mathbf{S}^g`, all of shape :math:`(n, m)`.
        weights: :math:`w_g`, not negative.
        empty_rows: What becomes of a row that some operators have no entry in:
            ``'shrink'`` (the plain formula) or ``'keep'``: the others take its share, so an
            item without co-occurrence loses nothing. With ``'keep'`` the mixture of
            symmetric operators need not be symmetric, nor of norm 1.

    Raises:
        GraphError: If the numbers or shapes do not fit, or no weight is above 0.
    """
    if len(operators) != len(weights) or not operators:
        raise GraphError(f"'weights' has {len(weights)} entries for {len(operators)} operators")
    if min(weights) < 0 or max(weights) == 0:
        raise GraphError(f"'weights' must not be negative, nor all 0 (got {list(weights)})")
    if empty_rows not in EMPTY_ROWS:
        raise GraphError(f"'empty_rows' must be one of {EMPTY_ROWS} (got {empty_rows!r})")
    shapes = {op.shape for op in operators}
    if len(shapes) != 1:
        raise GraphError(f'operators of shapes {sorted(shapes)} do not mix')
    parts = [(op, float(w)) for op, w in zip(operators, weights, strict=True) if w > 0]
    if len(parts) == 1 and parts[0][1] == 1:
        return parts[0][0]
    matrices = [op.to_scipy().astype('float64') * w for op, w in parts]
    total = sum(matrices[1:], start=matrices[0])
    symmetric = all(op.symmetric for op, _ in parts)
    if empty_rows == 'keep':
        present = np.stack([op.rowptr.diff().cpu().numpy() > 0 for op, _ in parts], axis=1)
        shares = np.array([w for _, w in parts])
        held = present @ shares
        factor = np.divide(shares.sum(), held, out=np.ones_like(held), where=held > 0)
        total = scipy.sparse.diags(factor) @ total
        symmetric = symmetric and bool(present.any(1).sum() == present.all(1).sum())
    return Sparse.from_scipy(total, symmetric=symmetric).to(operators[0].weight.device)
