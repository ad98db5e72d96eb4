r"""Top-k lists in original ids, for people in the graph and for new ones."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import (
    ITEM,
    USER,
    index_of,
    node_ids,
    num_items,
    num_users,
    remaining,
    train_edges,
)
from graphrec.models.recommender import Recommender
from graphrec.ranking import check_graph, check_k, top_k
from graphrec.vectors import build_index, check_index, export_vectors

__all__ = ['build_index', 'check_index', 'export_vectors', 'recommend']

_PAIRS_AT_ONCE = 8192

History = Sequence[Any] | Mapping[Any, Sequence[Any]]


def recommend(
    model: Recommender,
    data: HeteroData,
    users: Iterable[Any] | None = None,
    k: int = 20,
    *,
    exclude_seen: bool = True,
    exclude: Iterable[Any] = (),
    history: History | None = None,
    items: Iterable[Any] | None = None,
    block_size: int | None = None,
) -> pd.DataFrame:
    r"""The :obj:`k` best items of every user, as rows ``user``, ``item``, ``score``,
    ``rank`` (from 1) in original ids. Equal scores are ranked by node number. A model that
    imagines what a user looks for (:attr:`Recommender.has_demand`) adds ``reason``, the
    words nearest to that, for users in the graph.

    People who are not in the graph are served by their items, without retraining::

        recommend(model, data, history=['b12', 'b7'])                    # one person: user 0
        recommend(model, data, history={'Ann': ['b12'], 'Bo': ['b7']})   # several, named

    An item that is not in the graph has no score. To recommend new items, add them to the
    graph (with features, for a model that uses them) and build and train on that graph.
    Users and items that were removed from the graph are not served and not recommended.

    Args:
        model: Any recommender.
        data: The graph that it was built for.
        users: Original ids; all users by default.
        k: Length of a list. Who has fewer items left gets fewer rows.
        exclude_seen: Leaves out the user's training items, or those of the history.
        exclude: Original ids of items that nobody shall get.
        history: Item ids of an unknown person; a list of such lists, whose ``user`` is
            their position; or a dict from names to lists.
        items: Original ids of the items to choose among; all by default.
        block_size: Users scored at once; chosen by default.

    Raises:
        GraphError: If k is larger than the number of items to choose among, a history is
            empty, the model cannot serve unknown people, or a user or an item of a history
            was removed from the graph.
        UnknownIdError: If an id is not in the graph.
    """
    check_graph(model, data)
    candidates = candidate_items(data, items, exclude)
    k = check_k(k, num_items(data) if candidates is None else candidates.numel())
    device = train_edges(data).device
    if history is not None:
        if users is not None:
            raise GraphError("give either 'users' or 'history', not both; call recommend twice")
        names, lists = _histories(data, history)
        seen = [_pairs(lists).to(device)]
        ranker = _history_ranker(model, [each.to(device) for each in lists])
        index = torch.arange(len(lists), device=device)
    else:
        names = node_ids(data, USER)
        asked = _everyone(data) if users is None else _served(data, USER, users)
        names = names[asked]
        seen = [train_edges(data)]
        ranker = model.ranker()
        index = torch.from_numpy(asked).to(device)
    best = top_k(
        ranker,
        index,
        k,
        masked=seen if exclude_seen else (),
        block_size=block_size,
        candidates=candidates,
    )
    item, score = best.items.cpu().numpy(), best.scores.cpu().numpy()
    row, place = (item >= 0).nonzero()
    found = item[row, place]
    top = pd.DataFrame(
        {
            'user': names[row],
            'item': node_ids(data, ITEM)[found],
            'score': score[row, place],
            'rank': place + 1,
        }
    )
    if history is None and model.has_demand:
        top['reason'] = _reasons(model, index[torch.from_numpy(row)], found)
    return top


def _reasons(model: Recommender, user: Tensor, item: np.ndarray) -> list[str]:
    """What each user looks for in an item, in words; in blocks, for memory's sake."""
    pairs = zip(
        user.split(_PAIRS_AT_ONCE),
        torch.from_numpy(item).to(user.device).split(_PAIRS_AT_ONCE),
        strict=True,
    )
    return [', '.join(words) for block in pairs for words in model.demand_words(*block)]


def candidate_items(
    data: HeteroData, items: Iterable[Any] | None, exclude: Iterable[Any]
) -> Tensor | None:
    """Numbers of the items to choose among, ascending; None for all."""
    unwanted = _numbers(data, exclude)
    there = remaining(data, ITEM)
    if items is None and not unwanted.size:
        return None if there is None else there.cpu()
    chosen = torch.zeros(num_items(data), dtype=torch.bool)
    chosen[slice(None) if items is None else torch.from_numpy(_numbers(data, items))] = True
    chosen[torch.from_numpy(unwanted)] = False
    if there is not None:
        chosen &= torch.zeros_like(chosen).index_fill_(0, there.cpu(), True)
    return chosen.nonzero().squeeze(1)


def _everyone(data: HeteroData) -> np.ndarray:
    there = remaining(data, USER)
    return np.arange(num_users(data)) if there is None else there.cpu().numpy()


def _served(data: HeteroData, node_type: str, ids: Iterable[Any]) -> np.ndarray:
    """Numbers of nodes that were not removed from the graph."""
    numbers, there = index_of(data, node_type, ids), remaining(data, node_type)
    gone = numbers[:0] if there is None else numbers[~np.isin(numbers, there.cpu().numpy())]
    if gone.size:
        raise GraphError(
            f'{gone.size} of {numbers.size} {node_type} ids were removed from this graph (first '
            f'one: {node_ids(data, node_type)[gone].tolist()[0]!r}); leave them out'
        )
    return numbers


def _numbers(data: HeteroData, items: Iterable[Any]) -> np.ndarray:
    return index_of(data, ITEM, items)


def _histories(data: HeteroData, history: History) -> tuple[np.ndarray, list[Tensor]]:
    history = _plain(history)
    if isinstance(history, str) or not np.iterable(history):
        raise GraphError(f"'history' needs to be a list of item ids (got {history!r})")
    if isinstance(history, Mapping):
        names, lists = list(history), list(history.values())
    else:
        lists = list(history)
        if lists and not isinstance(lists[0], (list, tuple, set, np.ndarray, Tensor, pd.Series)):
            lists = [lists]
        names = list(range(len(lists)))
    if not lists:
        raise GraphError("'history' is empty; give at least one item id")
    numbers = []
    for name, ids in zip(names, lists, strict=True):
        known = torch.from_numpy(np.unique(_served(data, ITEM, _plain(ids))))
        if not known.numel():
            raise GraphError(f'the history of {name!r} is empty; give at least one item id')
        numbers.append(known)
    integers = all(isinstance(name, (int, np.integer)) for name in names)
    column = np.empty(len(names), dtype=np.int64 if integers else object)
    column[:] = names
    return column, numbers


def _plain(ids: Any) -> Any:
    return ids.tolist() if isinstance(ids, (np.ndarray, Tensor)) else ids


def _pairs(lists: list[Tensor]) -> Tensor:
    length = torch.tensor([each.numel() for each in lists])
    return torch.stack([torch.arange(len(lists)).repeat_interleave(length), torch.cat(lists)])


def _history_ranker(model: Recommender, lists: list[Tensor]) -> Callable[[Tensor], Tensor]:
    def rank(index: Tensor) -> Tensor:
        try:
            return model.rank_history([lists[position] for position in index.tolist()])
        except NotImplementedError:
            raise GraphError(
                f'{type(model).__name__} cannot serve people who are not in the graph; add '
                'them to the graph and train again, or use a model with rank_history()'
            ) from None

    return rank
