"""Which shard each interaction belongs to."""

import math

import torch
from torch import Tensor

from graphrec.errors import GraphError

PARTITIONS = ('random', 'user', 'interaction')
_CAPACITY = 1.2
_ROUNDS = 10
_MASK = 2**63 - 1


def random_partition(key: Tensor, num_shards: int, seed: int) -> Tensor:
    r"""Shards :math:`(E)` by a hash of every pair and the seed, uniform and independent: where
    a pair goes says nothing about any other pair, so that a partition without the forgotten
    ones is drawn as if they had never been.

    Args:
        key: A number for each pair :math:`(E)`.
        num_shards: :math:`K`.
        seed: Of the hash.
    """
    mixed = torch.empty_like(key)
    # Knuth's multiplicative mixing in 64-bit integers, twice, with the high bits folded in.
    mixed.copy_(key * 2862933555777941757 + (seed * 3037000493 + 1442695040888963407 & _MASK))
    for factor in (3202034522624059733, 3935559000370003845):
        mixed ^= (mixed >> 29) & 0x7FFFFFFFF
        mixed *= factor
    mixed ^= (mixed >> 32) & 0xFFFFFFFF
    return (mixed & _MASK) % num_shards


def user_partition(
    user: Tensor, embedding: Tensor, num_shards: int, generator: torch.Generator
) -> Tensor:
    r"""Shards :math:`(E)` by the users' embeddings: balanced k-means, every user whole in the
    shard of the nearest centre that has room for :math:`1.2 \, E / K` interactions
    (RecEraser's UBP; centres are means of every dimension, which its published code takes
    over all numbers at once).

    Args:
        user: User of each interaction :math:`(E)`.
        embedding: Of the users :math:`(U, d)`.
        num_shards: :math:`K`.
        generator: Draws the first centres.
    """
    weight = torch.bincount(user, minlength=embedding.size(0)).double()
    active = weight.nonzero().squeeze(1)
    x, load = embedding[active].double(), weight[active]
    room = math.ceil(_CAPACITY * float(load.sum()) / num_shards)

    def cost(centres: Tensor) -> Tensor:
        return torch.cdist(x, centres).square()

    def mean(chosen: Tensor) -> Tensor:
        return x[chosen].mean(0)

    first = _first_rows(active.numel(), num_shards, generator)
    place = _balanced(cost, mean, x[first], load, room)
    of_user = torch.zeros(embedding.size(0), dtype=torch.long, device=user.device)
    of_user[active] = place
    return of_user[user]


def interaction_partition(
    user: Tensor,
    item: Tensor,
    embeddings: tuple[Tensor, Tensor],
    num_shards: int,
    generator: torch.Generator,
) -> Tensor:
    r"""Shards :math:`(E)` of single interactions by :math:`\|\mathbf{p}_u - \mathbf{p}_c\|^2
    \|\mathbf{q}_i - \mathbf{q}_c\|^2`, the smallest with room for
    :math:`1.2 \, E / K` (RecEraser's InBP).

    Args:
        user, item: Ends of each interaction :math:`(E)`.
        embeddings: Of the users :math:`(U, d)` and the items :math:`(I, d)`.
        num_shards: :math:`K`.
        generator: Draws the first centres.
    """
    p, q = embeddings[0][user].double(), embeddings[1][item].double()
    dim = p.size(1)

    def cost(centres: Tensor) -> Tensor:
        near_user = torch.cdist(p, centres[:, :dim]).square()
        return near_user * torch.cdist(q, centres[:, dim:]).square()

    both = torch.cat([p, q], dim=1)
    first = _first_rows(user.numel(), num_shards, generator)
    room = math.ceil(_CAPACITY * user.numel() / num_shards)
    load = torch.ones(user.numel(), dtype=torch.float64, device=user.device)
    return _balanced(cost, lambda chosen: both[chosen].mean(0), both[first], load, room)


def _first_rows(count: int, num_shards: int, generator: torch.Generator) -> Tensor:
    if count < num_shards:
        raise GraphError(f"'num_shards' is {num_shards}, but there are {count} rows to share out")
    return torch.randperm(count, generator=generator)[:num_shards]


def _balanced(cost, mean, centres: Tensor, load: Tensor, room: float) -> Tensor:  # type: ignore[no-untyped-def]
    """Balanced clusters: rows in the order of their best cost each take the cheapest centre
    with room; then centres move to their means, until nothing changes."""
    place = torch.full((load.numel(),), -1, dtype=torch.long, device=load.device)
    for _ in range(_ROUNDS):
        price = cost(centres)
        fresh = _fill(price, load, room)
        if torch.equal(fresh, place):
            break
        place = fresh
        centres = torch.stack(
            [
                mean(place == shard) if bool((place == shard).any()) else centres[shard]
                for shard in range(centres.size(0))
            ]
        )
    return place


def _fill(price: Tensor, load: Tensor, room: float) -> Tensor:
    """Hands out places shard by shard in rounds, each time to those who want it most."""
    num_shards = price.size(1)
    place = torch.full((price.size(0),), -1, dtype=torch.long, device=price.device)
    left = torch.full((num_shards,), float(room), dtype=torch.float64, device=price.device)
    open_price = price.clone()
    for _ in range(num_shards):
        waiting = (place < 0).nonzero().squeeze(1)
        if not waiting.numel():
            break
        best, wish = open_price[waiting].min(1)
        for shard in range(num_shards):
            mine = wish == shard
            rows = waiting[mine][best[mine].argsort(stable=True)]
            fits = load[rows].cumsum(0) <= left[shard]
            place[rows[fits]] = shard
            left[shard] -= load[rows[fits]].sum()
            if not bool(fits.all()):
                open_price[:, shard] = torch.inf
    for row in (place < 0).nonzero().squeeze(1).tolist():  # Heavier than any room left.
        shard = int(left.argmax())
        place[row] = shard
        left[shard] -= load[row]
    return place
