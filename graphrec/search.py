r"""Search in original ids and words."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.labels import title_of, titles
from graphrec.graphs.schema import ITEM, USER, index_of, node_ids, num_items, train_edges
from graphrec.models.recommender import Recommender
from graphrec.ranking import check_graph, check_k, masked_pairs, top_k
from graphrec.recommend import candidate_items

__all__ = ['search']


def search(
    model: Recommender,
    data: HeteroData,
    query: str | Sequence[str],
    user: Any = None,
    k: int = 20,
    *,
    exclude_seen: bool = False,
    exclude: Iterable[Any] = (),
    items: Iterable[Any] | None = None,
    block_size: int | None = None,
) -> pd.DataFrame:
    r"""The :obj:`k` best items for every query, as rows ``query``, ``user`` (where one asks),
    ``item``, ``title`` (where the items have one), ``score``, ``rank`` (from 1) in original
    ids. Equal scores are ranked by node number.

    Words that the model does not know are left out of the query; ``attrs['unseen']`` has
    them, a list a query. A query without any known word is ranked all the same, by what the
    model knows of the user alone.

    Args:
        model: A recommender with queries.
        data: The graph that it was built for.
        query: A text, or several.
        user: Original id of who asks, or a list of one id a query; None is someone unknown.
        k: Length of a list.
        exclude_seen: Whether to leave out the user's training items.
        exclude: Original ids of items that nobody shall find.
        items: Original ids of the items to choose among; all by default.
        block_size: Queries scored at once; chosen by default.

    Raises:
        GraphError: If the model has no queries, a query is empty, or k is larger than the
            number of items to choose among.
        UnknownIdError: If an id is not in the graph.
    """
    if not model.has_queries:
        raise GraphError(
            f'{type(model).__name__} has no queries; search with a model that has, such as UDITSR'
        )
    check_graph(model, data)
    texts = [query] if isinstance(query, str) else list(query)
    if not texts:
        raise GraphError("'query' is empty; give at least one text")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise GraphError(f"'query' needs to be a text with at least one word (got {text!r})")
    candidates = candidate_items(data, items, exclude)
    k = check_k(k, num_items(data) if candidates is None else candidates.numel())
    device = train_edges(data).device
    names, number = _askers(data, user, len(texts))
    number = number.to(device)
    encoded = model.encode_queries(texts)
    rank = model.query_ranker()
    best = top_k(
        lambda index: rank(number[index], encoded.lists.select(index.to(encoded.lists.ptr.device))),
        torch.arange(len(texts), device=device),
        k,
        masked=_seen(data, number) if exclude_seen else (),
        block_size=block_size,
        candidates=candidates,
    )
    found, score = best.items.cpu().numpy(), best.scores.cpu().numpy()
    row, place = (found >= 0).nonzero()
    item = found[row, place]
    columns: dict[str, Any] = {'query': np.array(texts, dtype=object)[row]}
    if names is not None:
        columns['user'] = names[row]
    columns['item'] = node_ids(data, ITEM)[item]
    if titles(data, ITEM) is not None:
        columns['title'] = [title_of(data, ITEM, index) for index in item]
    table = pd.DataFrame(columns | {'score': score[row, place], 'rank': place + 1})
    table.attrs['unseen'] = encoded.unseen
    return table


def _askers(data: HeteroData, user: Any, count: int) -> tuple[np.ndarray | None, Tensor]:
    """Original id and node number of who asks each query; numbers -1 for nobody."""
    if user is None:
        return None, torch.full((count,), -1)
    several = isinstance(user, (list, tuple, np.ndarray, Tensor, pd.Series))
    ids = list(user) if several else [user] * count
    if len(ids) != count:
        raise GraphError(f"'user' holds {len(ids)} ids for {count} queries; give one, or one each")
    number = index_of(data, USER, ids)
    return node_ids(data, USER)[number], torch.from_numpy(number)


def _seen(data: HeteroData, user: Tensor) -> list[Tensor]:
    """Positions in :obj:`user` and the training items there."""
    pairs = masked_pairs([train_edges(data)], user)
    if pairs is None:
        return []
    bounds, item = pairs
    position = torch.arange(user.numel(), device=item.device).repeat_interleave(bounds.diff())
    return [torch.stack([position, item])]
