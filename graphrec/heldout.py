r"""Who is evaluated on what: held-out pairs after every restriction, with counts of what
fell out."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import (
    ITEM,
    USER,
    index_of,
    num_items,
    num_users,
    remaining,
    split_edges,
    train_edges,
)


@dataclasses.dataclass
class HeldOut:
    """What an evaluation is over.

    Attributes:
        users: Numbers of the users :math:`(n)`, ascending.
        truth: Held-out pairs :math:`(2, T)`: a row of :obj:`users`, an item number; sorted
            by the row.
        candidates: Item numbers to rank, ascending; :obj:`None` for all. Items that were
            removed from the graph are never ranked.
        masked: Edge lists :math:`(2, E)` of user and item numbers that cannot be found.
        known: Pairs :math:`(2, E)` of a row and an item number that are no negatives.
        dropped: Users left out, by reason.
        notes: Other counts.
    """

    users: Tensor
    truth: Tensor
    candidates: Tensor | None
    masked: list[Tensor]
    known: Tensor
    dropped: dict[str, int]
    notes: dict[str, int]


def collect_heldout(
    data: HeteroData,
    split: str,
    masks: Sequence[str],
    users: Iterable[Any] | None,
    items: str | Iterable[Any],
    cold_against: str,
    require_training: bool,
) -> HeldOut:
    r"""Applies the restrictions of :func:`graphrec.evaluate`, whose arguments these are.

    Raises:
        GraphError: If the split is empty or no user is left.
        UnknownIdError: If a user or item id is not in the graph.
    """
    if cold_against not in ('cold', 'all'):
        raise GraphError(f"'cold_against' needs to be 'cold' or 'all' (got {cold_against!r})")
    heldout = split_edges(data, split).cpu()
    masked = [split_edges(data, name) for name in masks]
    degree = torch.bincount(train_edges(data)[0].cpu(), minlength=num_users(data))
    chosen = _chosen_items(data, items)
    truth = heldout
    if chosen is not None:
        inside = torch.zeros(num_items(data), dtype=torch.bool)
        inside[chosen] = True
        truth = heldout[:, inside[heldout[1]]]
    asked = torch.ones(num_users(data), dtype=torch.bool)
    if users is not None:
        asked.zero_()
        asked[torch.from_numpy(index_of(data, USER, users))] = True
    everyone, catalogue = remaining(data, USER), remaining(data, ITEM)
    num_asked = int(asked.sum())
    if everyone is not None:
        asked &= torch.zeros_like(asked).index_fill_(0, everyone.cpu(), True)
    has_any = torch.zeros_like(asked)
    has_any[heldout[0]] = True
    has = torch.zeros_like(asked)
    has[truth[0]] = True
    dropped = {'no held-out items': int((asked & ~has_any).sum())}
    if chosen is not None:
        dropped['no held-out item among the chosen ones'] = int((asked & has_any & ~has).sum())
    if everyone is not None:
        dropped['removed from the graph'] = num_asked - int(asked.sum())
    kept = asked & has
    if require_training:
        dropped['no training items'] = int((kept & (degree == 0)).sum())
        kept &= degree > 0
    if not kept.any():
        raise GraphError(
            f"no user is left to evaluate on 'split' {split!r} "
            f'({", ".join(f"{n} dropped: {why}" for why, n in dropped.items())})'
        )
    truth = truth[:, kept[truth[0]]]
    truth = truth[:, truth[0].argsort(stable=True)]
    known = torch.cat([edges.cpu() for edges in [*masked, heldout]], dim=1)
    notes = {
        'users have no training items and are ranked all the same': int(
            (kept & (degree == 0)).sum()
        ),
        'held-out pairs are masked as well and can never be found': _num_common(
            truth, [edges.cpu() for edges in masked], num_items(data)
        ),
    }
    row = torch.cumsum(kept, 0) - 1
    return HeldOut(
        users=kept.nonzero().squeeze(1),
        truth=torch.stack([row[truth[0]], truth[1]]),
        candidates=chosen if chosen is not None and cold_against == 'cold' else catalogue,
        masked=masked,
        known=torch.stack([row[known[0]], known[1]])[:, kept[known[0]]],
        dropped=dropped,
        notes=notes,
    )


def _chosen_items(data: HeteroData, items: str | Iterable[Any]) -> Tensor | None:
    if isinstance(items, str):
        if items == 'all':
            return None
        if items != 'cold':
            raise GraphError(f"'items' needs to be 'all', 'cold' or a list of ids (got {items!r})")
        count = torch.bincount(train_edges(data)[1].cpu(), minlength=num_items(data))
        chosen = _still_there(data, (count == 0).nonzero().squeeze(1))
        if not chosen.numel():
            raise GraphError("'items' is 'cold', but every item has training edges")
        return chosen
    return _still_there(data, torch.from_numpy(index_of(data, ITEM, items)).unique())


def _still_there(data: HeteroData, items: Tensor) -> Tensor:
    there = remaining(data, ITEM)
    return items if there is None else items[torch.isin(items, there.cpu())]


def _num_common(truth: Tensor, masked: list[Tensor], stride: int) -> int:
    """How many of the held-out pairs are masked as well."""
    wanted = (truth[0] * stride + truth[1]).sort().values
    found = torch.zeros_like(wanted, dtype=torch.bool)
    for edges in masked:
        key = edges[0] * stride + edges[1]
        position = torch.searchsorted(wanted, key).clamp(max=wanted.numel() - 1)
        found[position[wanted[position] == key]] = True
    return int(found.sum())
