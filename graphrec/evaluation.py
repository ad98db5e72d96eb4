r"""Offline evaluation by ranking, with the value of every user kept."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.evaluation_result import Evaluation, sampled_prefix
from graphrec.graphs.schema import USER, node_ids, num_items, train_edges
from graphrec.heldout import HeldOut, collect_heldout
from graphrec.metrics import (
    AUC,
    BEYOND,
    IDEALS,
    RELEVANCE,
    coverage,
    hit_matrix,
    novelty,
    relevance_metrics,
)
from graphrec.models.recommender import Recommender
from graphrec.ranking import check_graph, check_k, top_k
from graphrec.sampled import draw_unseen, ranks_among
from graphrec.search_evaluation import evaluate_search
from graphrec.user_groups import means_by_group

__all__ = ['Evaluation', 'evaluate']


def evaluate(
    model: Recommender,
    data: HeteroData,
    *,
    split: str = 'test',
    k: int | Sequence[int] = (10, 20),
    metrics: str | Sequence[str] = ('recall', 'ndcg'),
    mask: str | Sequence[str] | None = None,
    users: Iterable[Any] | None = None,
    items: str | Iterable[Any] = 'all',
    cold_against: str = 'cold',
    require_training: bool = False,
    groups: bool | str | Mapping[Any, Any] | None = False,
    num_groups: int = 4,
    num_negatives: int | None = None,
    seed: int = 0,
    ideal: str = 'full',
    task: str = 'recommend',
    block_size: int | None = None,
) -> Evaluation:
    r"""Ranks all items for every user with held-out items and averages over these users.

    Formulas are in :func:`graphrec.metrics.relevance_metrics`; they are those of
    :mod:`torch_geometric.metrics`. Equal scores are ranked by item number.

    Args:
        model: Any recommender; only its scores are used.
        data: The graph. ``split`` and ``mask`` name its edges.
        split: ``'test'``, ``'valid'`` or another held-out split.
        k: Length of the lists, or several.
        metrics: Out of ``'recall'``, ``'precision'``, ``'ndcg'``, ``'hit'``, ``'mrr'``,
            ``'map'``, ``'coverage'``, ``'novelty'``; sampled also ``'auc'``, the share of
            sampled items behind the held-out one, which has no k.
        mask: Splits whose items cannot be recommended to their user any more:
            ``('train',)`` by default, nothing in a search; ``('train', 'valid')`` is usual
            too at test.
        users: Original ids of the users to average over; all by default.
        items: ``'all'``; ``'cold'``, the items without training edges; or original ids.
            Only these count as held-out items.
        cold_against: What chosen items are ranked against: ``'cold'``, each other;
            ``'all'``, the whole catalogue. Without effect for ``items='all'``.
        require_training: Leaves out users who have no training items; by default they
            are ranked and counted in ``notes``.
        groups: ``True`` or ``'activity'`` for quantiles of the number of training items;
            ``'searches'`` for users with and without training searches; the name of a user
            column of the graph; or a dict from user id to group.
        num_groups: Number of activity quantiles.
        num_negatives: Ranks every held-out item against so many sampled items instead of
            the catalogue: drawn once a user, from the items in neither ``split`` nor
            ``mask``, and shared by the user's held-out items. The names say so,
            ``'sampled99_recall@10'``: such numbers are far higher than those of full
            ranking and not comparable with them.
        seed: Draw of the sampled items.
        ideal: ``'retrieved'`` for the overstated ndcg of some published code.
        task: ``'recommend'``, or for models with queries ``'search'``: every held-out search
            is ranked, see :func:`graphrec.search_evaluation.evaluate_search`, and
            ``groups=True`` tells cold queries and users without searches apart.
        block_size: Users scored at once; chosen by default.

    Raises:
        GraphError: If the split is empty, no user is left, k is larger than the number of
            items to rank, a score is NaN, or an argument has another value than above.
        UnknownIdError: If a user or item id is not in the graph.
    """
    if task not in ('recommend', 'search'):
        raise GraphError(f"'task' needs to be 'recommend' or 'search' (got {task!r})")
    if task == 'search':
        stray = {'items': items != 'all', 'require_training': require_training}
        stray['ideal'] = ideal != 'full'
        for name in (name for name, given in stray.items() if given):
            raise GraphError(f"{name!r} belongs to recommendation; leave it out with task='search'")
        return evaluate_search(
            model,
            data,
            split=split,
            k=k,
            metrics=metrics,
            mask=() if mask is None else mask,
            users=users,
            groups=groups,
            num_groups=num_groups,
            num_negatives=num_negatives,
            seed=seed,
            block_size=block_size,
        )
    check_graph(model, data)
    mask = ('train',) if mask is None else mask
    ks = list(k) if isinstance(k, Sequence) else [k]
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    masks = [mask] if isinstance(mask, str) else list(mask)
    _check_choices(names, ideal, split, masks, num_negatives)
    case = collect_heldout(data, split, masks, users, items, cold_against, require_training)
    num_ranked = num_items(data) if case.candidates is None else case.candidates.numel()
    whole = cold_against == 'all' or (isinstance(items, str) and items == 'all')
    what = 'items' if whole else 'chosen items'
    if num_negatives is not None:
        num_ranked, what = num_negatives + 1, 'items (the held-out one and the sampled ones)'
    if not ks:
        raise GraphError("'k' is empty; name at least one length")
    ks = [check_k(length, num_ranked, what) for length in ks]
    overall: dict[str, float] = {}
    if num_negatives is not None:
        values = _sampled(model, data, case, num_negatives, seed, ks, names, block_size)
        how = f'sampled ranking 1 against {num_negatives}, seed {seed}'
    else:
        values, overall = _full(model, data, case, ks, names, ideal, block_size)
        how = f'full ranking of {num_ranked:,} {what}'
    if ideal == 'retrieved':
        how += ', ndcg over retrieved hits only'

    prefix = sampled_prefix(num_negatives)
    order = [f'{prefix}{name}@{n}' for name in names if name != AUC for n in ks]
    order += [prefix + AUC] if AUC in names else []
    columns = {name: values[name].numpy() for name in order if name in values}
    overall |= {name: float(column.mean()) for name, column in columns.items()}
    ids = node_ids(data, USER)[case.users.numpy()]
    num_truth = _num_truth(case).numpy()
    per_user = pd.DataFrame({'user': ids, 'num_heldout': num_truth, **columns})
    by_group = None
    if groups is not None and groups is not False:
        kind = 'activity' if groups is True else groups
        by_group = means_by_group(data, case.users, per_user, kind, num_groups)
    hidden = f'{" and ".join(masks)} masked' if masks else 'nothing masked'
    return Evaluation(
        {name: overall[name] for name in order},
        per_user=per_user,
        dropped=case.dropped,
        notes=case.notes,
        protocol=f'{split}: {len(per_user):,} users, {how}, {hidden}',
        groups=by_group,
    )


def _check_choices(
    names: list[str], ideal: str, split: str, masks: list[str], num_negatives: int | None
) -> None:
    for name in names:
        if name == AUC and num_negatives is not None:
            continue
        if name not in RELEVANCE + BEYOND:
            raise GraphError(f'unknown metric {name!r}; choose among {RELEVANCE + BEYOND}')
        if num_negatives is not None and name in BEYOND:
            raise GraphError(
                f'{name!r} is a property of full lists (got num_negatives={num_negatives}); '
                'ask for it without num_negatives'
            )
    if not names:
        raise GraphError(f"'metrics' is empty; choose among {RELEVANCE + BEYOND}")
    if ideal not in IDEALS:
        raise GraphError(f"'ideal' needs to be one of {IDEALS} (got {ideal!r})")
    if split in masks:
        raise GraphError(
            f"'split' {split!r} is also in 'mask', so that nothing could be found; "
            f'leave it out of mask={tuple(masks)}'
        )
    if num_negatives is not None and num_negatives < 1:
        raise GraphError(f"'num_negatives' needs to be at least 1 (got {num_negatives})")


def _num_truth(case: HeldOut) -> Tensor:
    return torch.bincount(case.truth[0], minlength=case.users.numel())


def _full(
    model: Recommender,
    data: HeteroData,
    case: HeldOut,
    ks: list[int],
    names: list[str],
    ideal: str,
    block_size: int | None,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Values a user, and values that only all lists together have."""
    ranked = top_k(
        model.ranker(),
        case.users.to(train_edges(data).device),
        max(ks),
        masked=case.masked,
        block_size=block_size,
        candidates=case.candidates,
    ).items.cpu()
    hits = hit_matrix(ranked, case.truth, num_items(data))
    relevance = [name for name in names if name in RELEVANCE]
    values = relevance_metrics(hits, _num_truth(case), ks, relevance, ideal)
    overall: dict[str, float] = {}
    if 'novelty' in names:
        count = torch.bincount(train_edges(data)[1].cpu(), minlength=num_items(data))
        values |= {f'novelty@{n}': novelty(ranked, count, n) for n in ks}
    if 'coverage' in names:
        size = num_items(data) if case.candidates is None else case.candidates.numel()
        overall = {f'coverage@{n}': coverage(ranked, size, n) for n in ks}
    return values, overall


def _sampled(
    model: Recommender,
    data: HeteroData,
    case: HeldOut,
    num_negatives: int,
    seed: int,
    ks: list[int],
    names: list[str],
    block_size: int | None,
) -> dict[str, Tensor]:
    candidates = case.candidates
    if candidates is None:
        candidates = torch.arange(num_items(data))
    place = torch.full((num_items(data),), -1)
    place[candidates] = torch.arange(candidates.numel())
    known = torch.stack([case.known[0], place[case.known[1]]])
    negatives = draw_unseen(
        known[:, known[1] >= 0],
        case.users.numel(),
        candidates.numel(),
        num_negatives,
        torch.Generator().manual_seed(seed),
    )
    device = train_edges(data).device
    ranks = ranks_among(
        model.ranker(), case.users.to(device), case.truth, candidates[negatives], block_size or 256
    )
    hits = ranks.unsqueeze(1) == torch.arange(max(ks))
    relevance = [name for name in names if name != AUC]
    values = relevance_metrics(hits, torch.ones_like(ranks), ks, relevance)
    if AUC in names:
        values[AUC] = 1 - ranks.double() / num_negatives
    count = _num_truth(case)
    return {
        sampled_prefix(num_negatives) + name: torch.zeros(case.users.numel(), dtype=torch.float64)
        .index_add_(0, case.truth[0], value.double())
        .div_(count)
        for name, value in values.items()
    }
