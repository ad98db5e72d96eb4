"""Splits of the interactions into training, validation and test edges."""

import copy
import math

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.ids import united
from graphrec.graphs.schema import (
    HOLDOUT_TEST,
    HOLDOUT_VALID,
    INTERACTS,
    ITEM,
    USER,
    EdgeType,
    holdout,
    num_items,
    train_edges,
)
from graphrec.graphs.search import resplit_events

Seed = int | np.random.Generator | torch.Generator

TRAIN, VALID, TEST = 0, 1, 2
EDGE_TYPES: dict[int, EdgeType] = {TRAIN: INTERACTS, VALID: HOLDOUT_VALID, TEST: HOLDOUT_TEST}
HOW = ('random', 'leave_one_out', 'leave_one_out_random', 'time', 'time_per_user')


def split(
    data: HeteroData,
    how: str = 'random',
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: Seed = 0,
) -> HeteroData:
    r"""Splits all interactions anew: training, validation and test edges are pooled,
    then shared out. Search events follow their (user, item) pair; edges of other
    behaviours stay as they are. Attributes that all pooled edges have are kept.

    - ``'random'``: each user's edges in random order. Of :math:`n` edges,
      :math:`\lfloor c n + 1/2 \rfloor` go to a part of ratio :math:`c`; if less than
      one were left for training, first validation and then test gives one up.
    - ``'leave_one_out'``: a user's last edge by ``time`` is test, the one before
      validation. Users with two edges have no validation edge, with one no test edge.
    - ``'leave_one_out_random'``: the same in random order.
    - ``'time'``: the earliest share of all edges trains, the latest tests; edges at
      the same time stay together, so parts may be a little larger than asked.
    - ``'time_per_user'``: as ``'random'``, with each user's edges in time order.

    Args:
        data: The graph; it stays unchanged.
        how: One of the above.
        ratios: Shares of training, validation and test; they sum to 1. Leave-one-out
            does not read them.
        seed: An integer or a generator (NumPy or torch) for the random splits.

    Returns:
        A new graph; a part without edges has no edge type.

    Raises:
        GraphError: If the method is unknown, the ratios are no shares, a split by time
            meets edges without ``time``, or training would be empty.
    """
    if how not in HOW:
        raise GraphError(f"'how' must be one of {list(HOW)} (got {how!r})")
    _check_ratios(ratios)
    store = _pooled(data)
    user = store['edge_index'][0].cpu().numpy()
    if how in ('random', 'leave_one_out_random'):
        order = _shuffled_by_user(user, seed)
    else:
        time = _times(store, how)
        order = np.argsort(time, kind='stable')
        if how == 'time':
            return _assigned(data, store, _by_quantile(time, ratios))
        order = order[np.argsort(user[order], kind='stable')]
    leave_one_out = how.startswith('leave_one_out')
    part = _per_user(user, order, None if leave_one_out else ratios)
    return _assigned(data, store, part)


def carve_validation(data: HeteroData, fraction: float = 0.1, seed: Seed = 0) -> HeteroData:
    r"""Takes a validation part from the training edges, for sets that have none; test
    edges are not touched. Of a user's :math:`n` training edges,
    :math:`\lfloor f n + 1/2 \rfloor` are taken at random, at most :math:`n - 1`.

    Args:
        data: The graph; it stays unchanged.
        fraction: :math:`f`, between 0 and 1.
        seed: An integer or a generator (NumPy or torch).

    Raises:
        GraphError: If the graph has validation edges, or no edge would be taken.
    """
    if not 0 < fraction < 1:
        raise GraphError(f"'fraction' must lie between 0 and 1 (got {fraction})")
    if HOLDOUT_VALID in data.edge_types and data[HOLDOUT_VALID].edge_index.size(1):
        raise GraphError(
            f'the graph has {data[HOLDOUT_VALID].edge_index.size(1)} validation edges; use '
            f"these, or split anew with 'graphs.split'"
        )
    user = train_edges(data)[0].cpu().numpy()
    order = _shuffled_by_user(user, seed)
    part = _per_user(user, order, (1 - fraction, fraction, 0.0))
    if not (part == VALID).any():
        raise GraphError(
            f"'fraction' is {fraction}, but no user has training edges enough to give one up; "
            f'take a larger fraction'
        )
    out = copy.copy(data)
    store = dict(data[INTERACTS].items())
    _write(out, store, part, (TRAIN, VALID))
    resplit_events(out, only_train=True)
    return out


def cold_items(data: HeteroData, fraction: float = 0.2, seed: Seed = 0) -> HeteroData:
    r"""Holds whole items out: of the items with an interaction, a random share loses
    all its edges from training, half of it (rounded up) to test, half to validation;
    the edges of all other items train. Other behaviours' edges of cold items become
    ``('user', 'holdout_cold_<behaviour>', 'item')``. ``data['item'].is_cold`` (bool)
    marks the cold items.

    Args:
        data: The graph; it stays unchanged. All three parts are pooled first.
        fraction: Share of the items, between 0 and 1.
        seed: An integer or a generator (NumPy or torch).

    Raises:
        GraphError: If fewer than two items would be cold, or none would train.
    """
    if not 0 < fraction < 1:
        raise GraphError(f"'fraction' must lie between 0 and 1 (got {fraction})")
    store = _pooled(data)
    item = store['edge_index'][1].cpu().numpy()
    known = united([item])
    count = math.floor(fraction * len(known) + 0.5)
    if count < 2 or count == len(known):
        raise GraphError(
            f"'fraction' is {fraction}: {count} of {len(known)} items would be cold, but there "
            f'must be at least two cold items and one other; choose another fraction'
        )
    chosen = _generator(seed).permutation(known)[:count]
    role = np.zeros(num_items(data), dtype=np.int64)
    role[chosen[: (count + 1) // 2]] = TEST
    role[chosen[(count + 1) // 2 :]] = VALID
    out = _assigned(data, store, role[item])
    is_cold = torch.from_numpy(role > 0)
    out[ITEM].is_cold = is_cold
    for edge_type in data.edge_types:
        src, verb, dst = edge_type
        if (src, dst) != (USER, ITEM) or verb == 'interacts' or verb.startswith('holdout_'):
            continue
        old = data[edge_type]
        gone = is_cold.to(old.edge_index.device)[old.edge_index[1]]
        _replace(out, edge_type, dict(old.items()), ~gone)
        _replace(out, holdout(f'cold_{verb}'), dict(old.items()), gone)
    return out


def _check_ratios(ratios: tuple[float, float, float]) -> None:
    shares = tuple(ratios)
    good = len(shares) == 3 and all(0 <= r <= 1 for r in shares)
    if not good or abs(sum(shares) - 1) > 1e-6 or shares[0] == 0:
        raise GraphError(
            f"'ratios' must be three shares of training, validation and test that sum to 1, "
            f'the first above 0 (got {ratios})'
        )


def _generator(seed: Seed) -> np.random.Generator:
    if isinstance(seed, torch.Generator):
        drawn = torch.randint(2**62, (1,), generator=seed, device=seed.device)
        return np.random.default_rng(int(drawn))
    return np.random.default_rng(seed)


def _shuffled_by_user(user: np.ndarray, seed: Seed) -> np.ndarray:
    """Edges user by user, in random order within a user."""
    # One sort of one key: the user in the high bits, randomness in all others.
    shift = 62 - int(user.max(initial=0)).bit_length()
    drawn = _generator(seed).integers(0, 2**shift, size=len(user))
    return np.argsort((user << shift) | drawn)


def _pooled(data: HeteroData) -> dict[str, Tensor]:
    train_edges(data)  # Says what is wrong if there are none.
    stores = [data[t] for t in EDGE_TYPES.values() if t in data.edge_types]
    shared = set.intersection(*(set(s.keys()) for s in stores))
    names = sorted(k for k in shared if isinstance(stores[0][k], Tensor))
    store = {k: torch.cat([s[k] for s in stores], dim=1 if k == 'edge_index' else 0) for k in names}
    if store['edge_index'].size(1) == 0:
        raise GraphError('the graph has no interactions to split')
    return store


def _times(store: dict[str, Tensor], how: str) -> np.ndarray:
    if 'time' not in store:
        raise GraphError(
            f"how={how!r} needs a 'time' on every interaction, which this graph does not have; "
            f"name the time column when building it, or use how='random' or "
            f"'leave_one_out_random'"
        )
    return store['time'].cpu().numpy()


def _per_user(
    user: np.ndarray, order: np.ndarray, ratios: tuple[float, float, float] | None
) -> np.ndarray:
    """Part of each edge, given the edges user by user in the order in which they train,
    validate and test; without ratios the last tests and the one before validates."""
    count = np.bincount(user)
    if ratios is None:
        test = (count >= 2).astype(np.int64)
        valid = (count >= 3).astype(np.int64)
    else:
        # The small term keeps 35 * 0.1 = 3.5 from falling below the half.
        valid = np.floor(count * ratios[1] + 0.5 + 1e-9).astype(np.int64)
        test = np.floor(count * ratios[2] + 0.5 + 1e-9).astype(np.int64)
        excess = np.maximum(valid + test - np.maximum(count - 1, 0), 0)
        from_valid = np.minimum(excess, valid)
        valid, test = valid - from_valid, test - (excess - from_valid)
    sorted_user = user[order]
    start = np.cumsum(count) - count
    from_end = count[sorted_user] - 1 - (np.arange(len(order)) - start[sorted_user])
    part = np.full(len(order), TRAIN, dtype=np.int64)
    held = test[sorted_user] + valid[sorted_user]
    part[order] = np.where(
        from_end < test[sorted_user], TEST, np.where(from_end < held, VALID, TRAIN)
    )
    return part


def _by_quantile(time: np.ndarray, ratios: tuple[float, float, float]) -> np.ndarray:
    ordered = np.sort(time)
    last_train = ordered[max(round(ratios[0] * len(time)), 1) - 1]
    last_valid = ordered[max(round((ratios[0] + ratios[1]) * len(time)), 1) - 1]
    return np.where(time <= last_train, TRAIN, np.where(time <= last_valid, VALID, TEST))


def _assigned(data: HeteroData, store: dict[str, Tensor], part: np.ndarray) -> HeteroData:
    out = copy.copy(data)
    _write(out, store, part, (TRAIN, VALID, TEST))
    resplit_events(out)
    return out


def _write(
    out: HeteroData, store: dict[str, Tensor], part: np.ndarray, parts: tuple[int, ...]
) -> None:
    assigned = torch.from_numpy(part).to(store['edge_index'].device)
    if not (part == TRAIN).any():
        raise GraphError('the split leaves no training edges; give training a larger share')
    for value in parts:
        _replace(out, EDGE_TYPES[value], store, assigned == value)


def _replace(out: HeteroData, edge_type: EdgeType, store: dict[str, Tensor], keep: Tensor) -> None:
    if edge_type in out.edge_types:
        del out[edge_type]
    if not keep.any():
        return
    for key, value in store.items():
        if isinstance(value, Tensor):
            out[edge_type][key] = value[:, keep] if key == 'edge_index' else value[keep]
