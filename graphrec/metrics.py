r"""Ranking metrics of every user from a matrix of hits.

Definitions are those of :mod:`torch_geometric.metrics`, which gives the means; here
every user keeps a value, for tests of significance and for groups.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from graphrec.errors import GraphError

#: Metrics that compare a ranked list with the held-out items.
RELEVANCE = ('recall', 'precision', 'ndcg', 'hit', 'mrr', 'map')
#: Metrics of the lists alone.
BEYOND = ('coverage', 'novelty')
#: Share of the other items that rank behind a held-out one; it has no k.
AUC = 'auc'
IDEALS = ('full', 'retrieved')


def hit_matrix(items: Tensor, truth: Tensor, num_items: int) -> Tensor:
    r"""Which of the ranked items are held-out ones, as bool :math:`(n, k)`.

    Args:
        items: Item numbers :math:`(n, k)`, -1 for an empty place.
        truth: Held-out pairs :math:`(2, T)`: a row of :obj:`items`, an item number.
        num_items: Size of the catalogue.
    """
    stride = num_items + 1  # Place 0 of a row stands for item -1, which is never held out.
    key = (truth[0] * stride + truth[1] + 1).sort().values
    row = torch.arange(items.size(0), device=items.device).unsqueeze(1)
    wanted = row * stride + items + 1
    if key.numel() == 0:
        return torch.zeros_like(wanted, dtype=torch.bool)
    position = torch.searchsorted(key, wanted).clamp(max=key.numel() - 1)
    return key[position] == wanted


def relevance_metrics(
    hits: Tensor,
    num_truth: Tensor,
    ks: Sequence[int],
    metrics: Sequence[str],
    ideal: str = 'full',
) -> dict[str, Tensor]:
    r"""Values of every user, float64 :math:`(n)` under names such as ``'recall@10'``.

    With the hits :math:`h_1, \dots, h_k \in \{0, 1\}` of a user who has :math:`m`
    held-out items:

    .. math::
        \mathrm{recall} = \frac{1}{m} \sum_j h_j, \quad
        \mathrm{precision} = \frac{1}{k} \sum_j h_j, \quad
        \mathrm{hit} = \max_j h_j, \quad
        \mathrm{mrr} = \max_j \frac{h_j}{j},

    .. math::
        \mathrm{map} = \frac{1}{\min(k, m)} \sum_j h_j \frac{1}{j} \sum_{i \le j} h_i,
        \quad
        \mathrm{ndcg} = \frac{\sum_j h_j / \log_2(j + 1)}
        {\sum_{j \le \min(k, m)} 1 / \log_2(j + 1)}

    Args:
        hits: Bool :math:`(n, K)`, best rank first, :math:`K \ge` every k.
        num_truth: Held-out items of every user :math:`(n)`.
        ks: Lengths at which the lists are cut.
        metrics: Names out of :data:`RELEVANCE`.
        ideal: ``'full'`` is the formula above. ``'retrieved'`` replaces :math:`m` in
            ndcg by the number of hits in the whole list of :math:`K`, which overstates
            it; some published code (NGCF and what grew from it) does so, and only a
            comparison with such numbers should.
    """
    longest = hits.size(1)
    hit = hits.double()
    rank = torch.arange(1, longest + 1, dtype=torch.float64, device=hits.device)
    discount = 1.0 / (rank + 1.0).log2()
    best = torch.cat([discount.new_zeros(1), discount.cumsum(0)])
    found = hit.cumsum(dim=1)
    gain = (hit * discount).cumsum(dim=1)
    precision_sum = (hit * found / rank).cumsum(dim=1)
    first = (hit / rank).cummax(dim=1).values
    reachable = num_truth if ideal == 'full' else hits.sum(dim=1)
    values: dict[str, Tensor] = {}
    for metric in metrics:
        for k in ks:
            if metric == 'recall':
                value = found[:, k - 1] / num_truth.clamp(min=1)
            elif metric == 'precision':
                value = found[:, k - 1] / k
            elif metric == 'hit':
                value = found[:, k - 1].clamp(max=1.0)
            elif metric == 'mrr':
                value = first[:, k - 1]
            elif metric == 'map':
                value = precision_sum[:, k - 1] / num_truth.clamp(min=1, max=k)
            elif metric == 'ndcg':
                value = gain[:, k - 1] / best[reachable.clamp(min=1, max=k)]
            else:
                raise GraphError(f'unknown metric {metric!r}; choose among {RELEVANCE}')
            values[f'{metric}@{k}'] = value
    return values


def novelty(items: Tensor, item_count: Tensor, k: int) -> Tensor:
    r"""How unpopular the first :obj:`k` items of every user are on average, in bits,
    float64 :math:`(n)`:

    .. math::
        \frac{1}{k} \sum_{j \le k} -\log_2 \frac{c_{i_j}}{\sum_i c_i}

    with the training count :math:`c_i` of an item; one without training counts as one
    with a single interaction. Empty places are left out; 0 for an empty list.

    Args:
        items: Item numbers :math:`(n, K)`, -1 for an empty place.
        item_count: Training interactions of every item :math:`(I)`.
        k: Length at which the lists are cut.
    """
    count = item_count.double().clamp(min=1.0)
    bits = count.new_tensor(float(item_count.sum())).clamp(min=1.0).log2() - count.log2()
    items = items[:, :k]
    present = items >= 0
    total = (bits[items.clamp(min=0)] * present).sum(dim=1)
    return total / present.sum(dim=1).clamp(min=1)


def coverage(items: Tensor, num_candidates: int, k: int) -> float:
    """Share of the candidate items that stand among the first :obj:`k` of anyone."""
    shown = items[:, :k].unique()
    return float((shown >= 0).sum()) / num_candidates
