"""Unique user-item pairs with planted communities and popularity, without a dense matrix."""

from dataclasses import dataclass

import numpy as np

INSIDE, OUTSIDE, NOISE = 0, 1, 2

# How far the popularity is flattened in each round of redraws: first as asked, then
# half, then none, so that a user of many items ends in a bounded number of rounds.
_ROUNDS = [1.0] * 12 + [0.5] * 8 + [0.0] * 8
_BLOCK = 1 << 22  # Cells that the exact fill of dense users may hold at once.


@dataclass(frozen=True)
class Pairs:
    """Unique pairs sorted by user: ``user``, ``item`` and the ``kind`` of each, one of
    :data:`INSIDE`, :data:`OUTSIDE`, :data:`NOISE`."""

    user: np.ndarray
    item: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True)
class _Segments:
    """Items ordered by community, with the running sum of their weights."""

    order: np.ndarray  # Item numbers, community by community.
    start: np.ndarray  # First position of each community, and the end: [C + 1].
    cumulative: np.ndarray  # Sum of the weights before each position: [I + 1].

    @classmethod
    def build(cls, community: np.ndarray, weight: np.ndarray, num_communities: int) -> '_Segments':
        order = np.argsort(community, kind='stable')
        sizes = np.bincount(community, minlength=num_communities)
        return cls(
            order=order,
            start=np.concatenate([[0], np.cumsum(sizes)]),
            cumulative=np.concatenate([[0.0], np.cumsum(weight[order])]),
        )

    def draw(self, kind: np.ndarray, community: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One item for every slot, by inverting the running sum of the weights over the
        part of the catalogue that the kind of the slot allows."""
        first, last = self.start[community], self.start[community + 1]
        low, high = self.cumulative[first], self.cumulative[last]
        total = self.cumulative[-1]
        inside = kind == INSIDE
        u = rng.random(len(kind))
        value = np.where(inside, low + u * (high - low), u * (total - (high - low)))
        value = np.where(~inside & (value >= low), value + (high - low), value)
        position = np.searchsorted(self.cumulative, value, side='right') - 1
        # Rounding at the upper end must not leave the community.
        position = np.clip(position, 0, len(self.order) - 1)
        position = np.where(inside, np.clip(position, first, last - 1), position)
        at_edge = ~inside & (position >= first) & (position < last)
        position = np.where(at_edge, np.where(last < len(self.order), last, first - 1), position)
        noise = kind == NOISE
        position[noise] = rng.integers(len(self.order), size=int(noise.sum()))
        return self.order[position]


def draw_degrees(
    num_users: int, num_items: int, num_pairs: int, rng: np.random.Generator
) -> np.ndarray:
    """Items of each user: a floor of a few, the rest shared out by gamma-distributed
    activity; none above :obj:`num_items`, summing to :obj:`num_pairs` exactly."""
    floor = min(5, num_pairs // num_users)
    degree = np.full(num_users, floor, dtype=np.int64)
    activity = rng.gamma(2.0, size=num_users)
    left = num_pairs - floor * num_users
    while left > 0:
        share = np.where(degree < num_items, activity, 0.0)
        degree += rng.multinomial(left, share / share.sum())
        left = int(np.maximum(degree - num_items, 0).sum())
        np.minimum(degree, num_items, out=degree)
    return degree


def draw_pairs(
    degree: np.ndarray,
    user_community: np.ndarray,
    item_community: np.ndarray,
    popularity: np.ndarray,
    *,
    community_strength: float,
    noise_share: float,
    rng: np.random.Generator,
    slot_community: np.ndarray | None = None,
) -> Pairs:
    """Draws ``degree[u]`` distinct items for every user. The kind of each slot is drawn
    once, and a slot whose item the user already has is redrawn with its kind kept, so
    that the shares of the kinds are not bent by the rejections. Every slot aims at its
    user's community, or at one of its own (sorted within a user)."""
    num_items = len(item_community)
    user = np.repeat(np.arange(len(degree), dtype=np.int64), degree)
    owner, community = user, user_community[user]
    num_communities = int(max(user_community.max(), item_community.max())) + 1
    if slot_community is not None:
        community = slot_community
        num_communities = int(max(community.max(), item_community.max())) + 1
        owner = user * num_communities + community
    kind = _draw_kinds(
        owner,
        community,
        np.bincount(item_community, minlength=num_communities),
        community_strength,
        noise_share,
        rng,
    )
    item = np.full(len(user), -1, dtype=np.int64)
    taken: list[np.ndarray] = []
    pending = np.arange(len(user))
    segments: dict[float, _Segments] = {}
    for flatness in _ROUNDS:
        if len(pending) == 0:
            break
        if flatness not in segments:
            segments[flatness] = _Segments.build(
                item_community, popularity**flatness, num_communities
            )
        drawn = segments[flatness].draw(kind[pending], community[pending], rng)
        key, first = np.unique(user[pending] * num_items + drawn, return_index=True)
        new = np.ones(len(key), dtype=bool)
        for old in taken:
            position = np.minimum(np.searchsorted(old, key), len(old) - 1)
            new &= old[position] != key
        item[pending[first[new]]] = key[new] % num_items
        if new.any():
            taken.append(key[new])
        pending = pending[item[pending] < 0]
    _fill(item, user, pending, num_items, rng)
    return Pairs(user, item, kind)


def _draw_kinds(
    owner: np.ndarray,
    community: np.ndarray,
    community_size: np.ndarray,
    community_strength: float,
    noise_share: float,
    rng: np.random.Generator,
) -> np.ndarray:
    u = rng.random(len(owner))
    kind = np.full(len(owner), OUTSIDE, dtype=np.int8)
    kind[u < noise_share + (1 - noise_share) * community_strength] = INSIDE
    kind[u < noise_share] = NOISE
    # Nobody can take more from inside (outside) than there is; the rest changes sides.
    inside_room = community_size[community]
    for side, other, room in (
        (INSIDE, OUTSIDE, inside_room),
        (OUTSIDE, INSIDE, community_size.sum() - inside_room),
    ):
        slot = np.flatnonzero(kind == side)
        begin = np.searchsorted(owner[slot], owner[slot])
        surplus = np.arange(len(slot)) - begin >= room[slot]
        kind[slot[surplus]] = other
    return kind


def _fill(
    item: np.ndarray,
    user: np.ndarray,
    pending: np.ndarray,
    num_items: int,
    rng: np.random.Generator,
) -> None:
    """Gives the slots that are still open any item that their user lacks, uniformly."""
    if len(pending) == 0:
        return
    owners = np.unique(user[pending])
    step = max(1, _BLOCK // num_items)
    for begin in range(0, len(owners), step):
        block = owners[begin : begin + step]
        low, high = np.searchsorted(user, block[0]), np.searchsorted(user, block[-1], side='right')
        mine = np.flatnonzero(np.isin(user[low:high], block)) + low
        row = np.searchsorted(block, user[mine])
        priority = rng.random((len(block), num_items))
        owned = item[mine] >= 0
        priority[row[owned], item[mine][owned]] = 2.0
        free = np.argsort(priority, axis=1)
        slot, slot_row = mine[~owned], row[~owned]
        rank = np.arange(len(slot)) - np.searchsorted(slot_row, slot_row)
        item[slot] = free[slot_row, rank]
