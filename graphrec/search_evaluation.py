r"""Evaluation of search: every held-out search is a ranking of its own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.evaluation_result import Evaluation, sampled_prefix
from graphrec.graphs.schema import (
    ITEM,
    QUERY,
    USER,
    held_splits,
    index_of,
    node_ids,
    num_items,
    num_users,
    split_edges,
    train_edges,
)
from graphrec.graphs.search import Events, event_labels, query_texts, search_events
from graphrec.graphs.words import WordLists
from graphrec.metrics import AUC, RELEVANCE, relevance_metrics
from graphrec.models.recommender import Recommender
from graphrec.ranking import check_graph, check_k, check_scores, hide_pairs, masked_pairs
from graphrec.sampled import draw_unseen
from graphrec.user_groups import means_by_group

_BLOCK = 256


def evaluate_search(
    model: Recommender,
    data: HeteroData,
    *,
    split: str = 'test',
    k: int | Sequence[int] = (20,),
    metrics: str | Sequence[str] = ('hit', 'ndcg'),
    mask: str | Sequence[str] = (),
    users: Iterable[Any] | None = None,
    groups: bool | str | Mapping[Any, Any] | None = False,
    num_groups: int = 4,
    num_negatives: int | None = None,
    seed: int = 0,
    block_size: int | None = None,
) -> Evaluation:
    r"""Ranks all items for every held-out search :math:`(u, q, i)` and averages over the
    searches. The rank of the item is pessimistic,

    .. math::
        r = |\{j \ne i : s_j \ge s_i\}|, \qquad
        \mathrm{auc} = 1 - r / |\{j \ne i\}|

    so that equal scores never help. What the same user found by the same query in the same
    split is a right answer too and takes no part in each other's rankings. The user's
    training items do take part, since people search for what they know; :obj:`mask` leaves
    them out.

    Args:
        model: A recommender with queries.
        data: The graph.
        split: The held-out events.
        k: Length of the lists, or several.
        metrics: Out of ``'hit'``, ``'recall'`` (the same here), ``'ndcg'``, ``'mrr'``,
            ``'precision'``, ``'map'`` and ``'auc'``, which has no k.
        mask: Splits whose items, interacted with or found, a user cannot find any more.
        users: Original ids of the users whose searches count; all by default.
        groups: ``True`` for cold queries (no training search has them) against known ones,
            and users without against those with training searches; otherwise groups of
            users as in :func:`graphrec.evaluate`.
        num_groups: Number of activity quantiles.
        num_negatives: Ranks the item of each search against so many items drawn from those
            that the user has in no split, the protocol of UDITSR with 99. The names say
            so, ``'sampled99_hit@5'``; the reciprocal rank without a cut is
            ``'sampled99_mrr@100'``.
        seed: Draw of the sampled items.
        block_size: Searches scored at once.

    Raises:
        GraphError: If the model has no queries, no search is held out, k is larger than
            the number of items to rank, or a score is NaN.
        UnknownIdError: If a user id is not in the graph.
    """
    if not model.has_queries:
        raise GraphError(
            f"'task' is 'search', but {type(model).__name__} has no queries; use task='recommend'"
        )
    check_graph(model, data)
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    masks = [mask] if isinstance(mask, str) else list(mask)
    for name in names:
        if name not in (*RELEVANCE, AUC):
            raise GraphError(f'unknown metric {name!r} of a search; choose among {RELEVANCE}, auc')
    if split in masks:
        raise GraphError(f"'split' {split!r} is also in 'mask', so that nothing could be found")
    if num_negatives is not None and num_negatives < 1:
        raise GraphError(f"'num_negatives' needs to be at least 1 (got {num_negatives})")
    num_ranked = num_items(data) if num_negatives is None else num_negatives + 1
    ks = [check_k(each, num_ranked) for each in (list(k) if isinstance(k, Sequence) else [k])]
    if not ks or not names:
        raise GraphError("'k' and 'metrics' need at least one entry")

    events = _chosen_events(data, split, users)
    lists, num_wordless = _encoded(model, data, events)
    hidden = [edges for name in masks for edges in _items_of(data, name)]
    rank, others = _ranks(model, data, events, lists, hidden, num_negatives, seed, block_size)
    prefix = sampled_prefix(num_negatives)
    relevance = [name for name in names if name != AUC]
    hits = rank.unsqueeze(1) == torch.arange(max(ks))
    values = relevance_metrics(hits, torch.ones_like(rank), ks, relevance)
    if AUC in names:
        values[AUC] = 1 - rank.double() / others.clamp(min=1)
    columns = {prefix + name: value.numpy() for name, value in values.items()}
    per_event = pd.DataFrame(
        {
            'user': node_ids(data, USER)[events.user.numpy()],
            'query': node_ids(data, QUERY)[events.query.numpy()],
            'item': node_ids(data, ITEM)[events.item.numpy()],
            'rank': rank.numpy() + 1,
            **columns,
        }
    )
    number, count = events.user.unique(return_counts=True)
    means = pd.DataFrame(columns).groupby(events.user.numpy()).mean()
    per_user = pd.DataFrame(
        {'user': node_ids(data, USER)[number.numpy()], 'num_heldout': count.numpy()}
    ).join(means.reset_index(drop=True))
    how = f'full ranking of {num_ranked:,} items'
    if num_negatives is not None:
        how = f'sampled ranking 1 against {num_negatives}, seed {seed}'
    how += f', {" and ".join(masks)} masked' if masks else ', nothing masked'
    people = f'{len(per_event):,} searches of {len(per_user):,} users'
    return Evaluation(
        {name: float(column.mean()) for name, column in columns.items()},
        per_user=per_user,
        per_event=per_event,
        dropped={'no held-out searches': num_users(data) - len(per_user)},
        notes={'searches have no word that the model knows': num_wordless},
        protocol=f'{split}: {people}, {how}',
        groups=_groups(data, events, per_event, per_user, groups, num_groups),
    )


def _chosen_events(data: HeteroData, split: str, users: Iterable[Any] | None) -> Events:
    events = search_events(data, split)
    kept = torch.ones(events.user.numel(), dtype=torch.bool)
    if users is not None:
        kept = torch.isin(events.user.cpu(), torch.from_numpy(index_of(data, USER, users)))
    if not kept.any():
        raise GraphError(f"no search is left to evaluate on 'split' {split!r}")
    user, query, item, _ = events
    return Events(user.cpu()[kept], query.cpu()[kept], item.cpu()[kept], None)


def _encoded(model: Recommender, data: HeteroData, events: Events) -> tuple[WordLists, int]:
    """The words of every event as the model sees them, and how many events have none."""
    asked, place = events.query.unique(return_inverse=True)
    texts = query_texts(data)
    lists = model.encode_queries([texts[number] for number in asked.tolist()]).lists
    lists = lists.select(place.to(lists.ptr.device))
    return lists, int((lists.count == 0).sum())


def _items_of(data: HeteroData, split: str) -> list[Tensor]:
    """Pairs of users and the items that they have in a split, by interaction or search."""
    searched = split in event_labels(data)
    held = split in ('train', *held_splits(data))
    pairs = [split_edges(data, split).cpu()] if held or not searched else []
    if searched:
        events = search_events(data, split)
        pairs.append(torch.stack([events.user, events.item]).cpu())
    return pairs


def _ranks(
    model: Recommender,
    data: HeteroData,
    events: Events,
    lists: WordLists,
    hidden: list[Tensor],
    num_negatives: int | None,
    seed: int,
    block_size: int | None,
) -> tuple[Tensor, Tensor]:
    """Rank of every event's item, from 0, and how many other items it is ranked with."""
    total = events.user.numel()
    negatives = None
    if num_negatives is not None:
        negatives = _negatives(data, events.user, num_negatives, seed)
    # Searches of one user and query share their answers.
    key = events.user * int(data[QUERY].num_nodes) + events.query
    search = key.unique(return_inverse=True)[1]
    answers = masked_pairs([torch.stack([search, events.item])], search)
    unwanted = masked_pairs(hidden, events.user) if hidden else None
    rank = model.query_ranker()
    device = train_edges(data).device
    ranks, others = [], []
    for begin in range(0, total, block_size or _BLOCK):
        index = torch.arange(begin, min(begin + (block_size or _BLOCK), total))
        block = lists.select(index.to(lists.ptr.device))
        scores = rank(events.user[index].to(device), block)
        check_scores(scores, events.user[index])
        if unwanted is not None:
            hide_pairs(scores, unwanted, begin)
        own = scores.gather(1, events.item[index].to(scores.device).unsqueeze(1))
        if negatives is not None:
            scores = scores.gather(1, negatives[index].to(scores.device))
        elif answers is not None:
            hide_pairs(scores, answers, begin)
        rivals = (scores > -torch.inf).sum(dim=1)
        ahead = (scores >= own).sum(dim=1)
        ranks.append(torch.where(own.squeeze(1) == -torch.inf, rivals, ahead).cpu())
        others.append(rivals.cpu())
    return torch.cat(ranks), torch.cat(others)


def _negatives(data: HeteroData, user: Tensor, n: int, seed: int) -> Tensor:
    """Item numbers :math:`(E, n)` that the user of each event has in no split."""
    splits = sorted({'train', *event_labels(data), *held_splits(data)})
    mine = torch.cat([pairs for split in splits for pairs in _items_of(data, split)], dim=1)
    asked, place = user.unique(return_inverse=True)
    row = torch.full((num_users(data),), -1)
    row[asked] = torch.arange(asked.numel())
    known = torch.stack([row[mine[0]], mine[1]])[:, row[mine[0]] >= 0]
    bounds, item = masked_pairs([known], place) or (torch.zeros(user.numel() + 1).long(), known[1])
    event = torch.arange(user.numel()).repeat_interleave(bounds.diff())
    generator = torch.Generator().manual_seed(seed)
    return draw_unseen(torch.stack([event, item]), user.numel(), num_items(data), n, generator)


def _groups(
    data: HeteroData,
    events: Events,
    per_event: pd.DataFrame,
    per_user: pd.DataFrame,
    groups: bool | str | Mapping[Any, Any] | None,
    num_groups: int,
) -> pd.DataFrame | None:
    if groups is None or groups is False:
        return None
    if groups is not True:
        return means_by_group(data, events.user.unique(), per_user, groups, num_groups)
    train = search_events(data)
    warm = torch.isin(events.query, train.query.cpu())
    active = torch.isin(events.user, train.user.cpu())
    rows = {}
    for name, inside in {
        'cold queries': ~warm,
        'known queries': warm,
        'users without searches': ~active,
        'users with searches': active,
    }.items():
        if inside.any():
            part = per_event[inside.numpy()]
            sizes = {'num_searches': len(part), 'num_users': part['user'].nunique()}
            means = part.drop(columns=['user', 'query', 'item', 'rank']).mean()
            rows[name] = {**sizes, **means}
    table = pd.DataFrame.from_dict(rows, orient='index').rename_axis('group')
    return table.astype({'num_searches': int, 'num_users': int})
