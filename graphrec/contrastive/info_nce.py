"""InfoNCE between two views of the nodes of a type."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.contrastive.blockwise_info_nce import blockwise_info_nce, check_temperature
from graphrec.contrastive.blockwise_logsumexp import blockwise_logsumexp
from graphrec.errors import GraphError

Candidates = Literal['batch', 'all'] | Tensor
Negatives = Literal['other', 'both']
Reduction = Literal['mean', 'sum']


def info_nce(
    z1: Tensor,
    z2: Tensor,
    ids: Tensor | None = None,
    candidates: Candidates = 'batch',
    *,
    temperature: float = 0.2,
    negatives: Negatives = 'other',
    symmetric: bool = False,
    normalize: bool = True,
    count_repeats: bool = False,
    reduction: Reduction = 'mean',
    bf16: bool = False,
) -> Tensor:
    r"""InfoNCE (`"Representation Learning with Contrastive Predictive Coding"
    <https://arxiv.org/abs/1807.03748>`_, Eq. 4) of anchors :math:`B` among candidates
    :math:`C`, on rows of length one,

    .. math::
        \mathcal{L}(\mathbf{Z}, \mathbf{Z}^{\prime}) = -\frac{1}{|B|} \sum_{b \in B} \log
        \frac{\exp(\mathbf{z}_b^{\top} \mathbf{z}^{\prime}_b / \tau)}
        {\sum_{c \in C} \exp(\mathbf{z}_b^{\top} \mathbf{z}^{\prime}_c / \tau)}

    The candidates are a real choice, and a loss weight tuned for one does not fit another:

    - ``'batch'``: the anchors themselves (SimGCL, HCCF);
    - ``'all'``: all rows (SGL, NCL, LightGCL);
    - node numbers: a draw :math:`S` from all nodes in their place. The negatives' terms are
      multiplied by :math:`(N - 1) / |S \setminus \{b\}|`, which keeps the scale of ``'all'``.

    With ``negatives='both'`` the other rows of :math:`\mathbf{Z}` join the sum. That is the
    loss of MMHCL (`arXiv:2504.16576 <https://arxiv.org/abs/2504.16576>`_),

    .. math::
        C(\mathbf{a}, \mathbf{b}) = -\frac{1}{N} \sum_n \log \frac{e^{\cos(\mathbf{a}_n,
        \mathbf{b}_n) / \tau}}{\sum_j e^{\cos(\mathbf{a}_n, \mathbf{a}_j) / \tau} - e^{1 / \tau}
        + \sum_j e^{\cos(\mathbf{a}_n, \mathbf{b}_j) / \tau}}

    and, symmetric, NT-Xent (:func:`nt_xent`). No matrix of similarities is ever held, see
    :func:`~graphrec.contrastive.blockwise_info_nce`.

    Args:
        z1: View :math:`\mathbf{Z}` of all nodes of a type :math:`(N, d)`, of any scale.
        z2: View :math:`\mathbf{Z}^{\prime}` :math:`(N, d)`, row by row the same nodes.
        ids: Numbers of the anchors, such as the users of a batch; a node named twice is one
            anchor. All rows if omitted.
        candidates: :math:`C`, see above.
        temperature: :math:`\tau > 0`.
        negatives: ``'other'`` view or ``'both'``.
        symmetric: Whether to average both directions.
        normalize: Whether rows are brought to length one.
        count_repeats: Whether an anchor counts as often as :obj:`ids` names it (the
            published code with ``'all'``); it still is no negative of itself.
        reduction: ``'mean'`` or ``'sum'`` over the anchors.
        bf16: Multiply in bfloat16.

    Returns:
        A scalar, in nats; :math:`\log |C|` if all rows are equal.

    Raises:
        GraphError: If shapes differ or an argument is unknown.
    """
    _check(z1, z2, negatives, reduction, candidates)
    check_temperature(temperature)
    if symmetric:
        both: dict[str, Any] = {
            'temperature': temperature,
            'negatives': negatives,
            'normalize': normalize,
            'count_repeats': count_repeats,
            'bf16': bf16,
        }
        one = info_nce(z1, z2, ids, candidates, reduction=reduction, **both)
        two = info_nce(z2, z1, ids, candidates, reduction=reduction, **both)
        return (one + two) / 2
    if normalize:
        z1, z2 = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    anchors, weight = _anchors(z1, ids, count_repeats, reduction)
    if isinstance(candidates, Tensor):
        return _sampled(z1, z2, anchors, weight, candidates, temperature, negatives)
    rows = z1 if anchors is None else z1[anchors]
    options: dict[str, Any] = {'temperature': temperature, 'weight': weight, 'bf16': bf16}
    if anchors is None or candidates == 'batch':
        positive = torch.arange(rows.size(0), device=z1.device)
        table = z2 if anchors is None else z2[anchors]
        options['both_views'] = negatives == 'both'
    else:
        positive, table = anchors, z2
        if negatives == 'both':
            options['exclude'] = positive + table.size(0)
            table = torch.cat([table, z1])
    return blockwise_info_nce(rows, table, positive, **options)


def nt_xent(
    z1: Tensor,
    z2: Tensor,
    ids: Tensor | None = None,
    candidates: Candidates = 'batch',
    *,
    temperature: float = 0.2,
    bf16: bool = False,
) -> Tensor:
    r"""NT-Xent (`"A Simple Framework for Contrastive Learning of Visual Representations"
    <https://arxiv.org/abs/2002.05709>`_, Eq. 1): all :math:`2 |B|` rows of both views are
    anchors, and the :math:`2 |B| - 1` others their candidates; :func:`info_nce` in both
    directions with ``negatives='both'``. Arguments as there."""
    return info_nce(
        z1,
        z2,
        ids,
        candidates,
        temperature=temperature,
        negatives='both',
        symmetric=True,
        bf16=bf16,
    )


def _check(z1: Tensor, z2: Tensor, negatives: str, reduction: str, candidates: Candidates) -> None:
    if z1.shape != z2.shape:
        raise GraphError(
            f"'z1' and 'z2' need the same shape (got {list(z1.shape)} and {list(z2.shape)})"
        )
    if negatives not in ('other', 'both'):
        raise GraphError(f"'negatives' must be 'other' or 'both' (got {negatives!r})")
    if reduction not in ('mean', 'sum'):
        raise GraphError(f"'reduction' must be 'mean' or 'sum' (got {reduction!r})")
    if not isinstance(candidates, Tensor) and candidates not in ('batch', 'all'):
        raise GraphError(
            f"'candidates' must be 'batch', 'all' or node numbers (got {candidates!r})"
        )


def _anchors(
    z1: Tensor, ids: Tensor | None, count_repeats: bool, reduction: str
) -> tuple[Tensor | None, Tensor]:
    """The distinct anchors, :obj:`None` for all rows, and the weight of each."""
    if ids is None:
        anchors, weight = None, z1.new_ones(z1.size(0))
    else:
        anchors, count = ids.unique(return_counts=True)
        weight = count.to(z1.dtype) if count_repeats else z1.new_ones(anchors.numel())
    return anchors, weight if reduction == 'sum' else weight / weight.sum()


def _sampled(
    z1: Tensor,
    z2: Tensor,
    anchors: Tensor | None,
    weight: Tensor,
    candidates: Tensor,
    temperature: float,
    negatives: str,
) -> Tensor:
    if anchors is None:
        anchors = torch.arange(z1.size(0), device=z1.device)
    candidates = candidates.unique()
    place = torch.full((z1.size(0),), -1, device=z1.device)
    place[candidates] = torch.arange(candidates.numel(), device=z1.device)
    own = place[anchors]
    left = candidates.numel() - (own >= 0).to(z1.dtype)
    correction = torch.log((z1.size(0) - 1) / left.clamp(min=1))
    rows = z1[anchors]
    positive = (rows * z2[anchors]).sum(1) / temperature
    terms = [positive]
    for table in (z2, z1) if negatives == 'both' else (z2,):
        total = blockwise_logsumexp(rows, table[candidates], 1 / temperature, own)
        terms.append(total + correction)
    return weight @ (torch.stack(terms).logsumexp(0) - positive)
