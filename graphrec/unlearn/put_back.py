r"""Removed items put back as nodes without edges, with the features that they had: does a model
that is shown them again know who liked them?"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import FEATURE_PREFIX, ITEM
from graphrec.models.recommender import Recommender
from graphrec.unlearn.bands import Measure, distances
from graphrec.unlearn.case import Case
from graphrec.unlearn.completeness import score_distance
from graphrec.unlearn.fresh_rows import copy_on
from graphrec.unlearn.standing import standing


def with_features(edited: HeteroData, data: HeteroData, items: Tensor) -> HeteroData:
    r"""The edited graph in which :obj:`items` have their rows of features again.

    Args:
        edited: The graph after the edit; unchanged.
        data: The graph before.
        items: Removed items :math:`(n)`.
    """
    graph = copy.copy(edited)
    for name, value in data[ITEM].items():
        known = edited[ITEM].get(name)
        per_item = isinstance(value, Tensor) and isinstance(known, Tensor) and value.dim() > 0
        if per_item and name.startswith((FEATURE_PREFIX, 'has_')) and known.shape == value.shape:
            rows = known.clone()
            rows[items.to(rows.device)] = value[items.to(value.device)].to(rows.device)
            graph[ITEM][name] = rows
    return graph


@torch.no_grad()
def shown_again(
    model: Recommender, edited: HeteroData, data: HeteroData, items: Tensor
) -> Recommender:
    """The model on the graph of :func:`with_features`, its rows of trained features too."""
    shown, features = copy_on(model, with_features(edited, data, items))
    tables = dict(shown.named_parameters())
    for name, values in features.items():
        tables[name][items.to(values.device)] = values[items.to(values.device)]
    return shown.eval()


def put_back(
    original: Recommender,
    unlearned: Recommender,
    golds: Sequence[Recommender],
    case: Case,
    edited: HeteroData,
    data: HeteroData,
) -> Measure | None:
    r"""Distance from gold of the standardised scores of forgotten pairs whose item was removed
    and is shown again with its features (C3 of the protocol, variant a). In no verdict: that
    the features can be used at all is a matter of the purpose.

    Args:
        original, unlearned, golds: The models.
        case: Its pairs of items that are no candidates any more are asked about.
        edited: The graph after the edit.
        data: The graph before.

    Returns:
        :obj:`None` without such a pair, or without golds.
    """
    pairs = case.pairs[:, ~case.served]
    if not pairs.size(1) or not golds:
        return None
    items = pairs[1].unique()
    found = [
        standing(
            shown_again(model, edited, data, items).ranker(), pairs, case.retained, case.candidates
        )
        for model in (original, unlearned, *golds)
    ]
    first, second, between = distances(score_distance, found[0], found[1], found[2:])
    note = 'removed items as nodes without edges, with the features that they had'
    return Measure('score KS, shown again', first, second, between, distance=True, note=note)
