r"""Which held-out pair a forgotten one is compared with: one like it that no model saw."""

from dataclasses import dataclass
from typing import Any

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from graphrec.errors import GraphError

#: Largest difference of :math:`\log_2(1 + d)` between a pair and its match.
CALIPER = 1.0
# Added to logarithms of degrees, so that about equal ones are chosen by chance.
_NOISE = 0.1


@dataclass(frozen=True)
class Matches:
    """For every matched member the number of its non-member.

    Attributes:
        member: Numbers of the matched members :math:`(m)`.
        other: Numbers of their non-members :math:`(m)`; one may serve several members.
        same_user: Bool :math:`(m)`, whether both are of one user.
        num_unmatched: Members without a match within the caliper, left out.
    """

    member: Tensor
    other: Tensor
    same_user: Tensor
    num_unmatched: int

    def to_dict(self) -> dict[str, Any]:
        """Counts, ready for JSON."""
        return {
            'matched': self.member.numel(),
            'distinct_non_members': int(self.other.unique().numel()),
            'of_the_same_user': int(self.same_user.sum()),
            'unmatched': self.num_unmatched,
        }


def match_non_members(
    members: Tensor, heldout: Tensor, user_degree: Tensor, item_degree: Tensor, seed: int = 0
) -> Matches:
    r"""Gives every member the held-out positive that is nearest in item degree, of the same
    user where there is one within :data:`CALIPER`, else of the user and item nearest in both
    degrees; distances are of :math:`\log_2 (1 + d)`.

    Args:
        members: Forgotten pairs :math:`(2, F)`.
        heldout: Held-out positives :math:`(2, H)`, no forgotten pair among them.
        user_degree: Retained interactions of every user :math:`(U)`.
        item_degree: Of every item :math:`(I)`.
        seed: Of the choice among held-out pairs of about the same degree, so that not all
            members of a user have the same match.

    Raises:
        GraphError: If a held-out pair is also a member.
    """
    stride = item_degree.numel()
    if torch.isin(heldout[0] * stride + heldout[1], members[0] * stride + members[1]).any():
        raise GraphError("'heldout' holds forgotten pairs, which are members; leave them out")
    user_log = (1 + user_degree.double()).log2()
    item_log = (1 + item_degree.double()).log2()
    generator = torch.Generator().manual_seed(seed)
    place, distance = _nearest_of_user(members, heldout, item_log, generator)
    far = (distance > CALIPER).nonzero().squeeze(1)
    if far.numel() and heldout.size(1):
        tree = cKDTree(torch.stack([user_log[heldout[0]], item_log[heldout[1]]], 1).numpy())
        wanted = torch.stack([user_log[members[0, far]], item_log[members[1, far]]], 1).numpy()
        gap, found = tree.query(wanted)
        place[far], distance[far] = torch.from_numpy(found).long(), torch.from_numpy(gap)
    matched = distance <= CALIPER
    member = matched.nonzero().squeeze(1)
    other = place[matched]
    same = members[0][member] == heldout[0][other]
    return Matches(member, other, same, int((~matched).sum()))


def _nearest_of_user(
    members: Tensor, heldout: Tensor, log: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The held-out pair of the same user with the nearest item degree, but for a little noise,
    and the distance."""
    place = torch.zeros(members.size(1), dtype=torch.long)
    distance = torch.full((members.size(1),), torch.inf, dtype=torch.float64)
    if not heldout.size(1):
        return place, distance
    # Logarithms of degrees are below 64, so that users do not overlap.
    known, asked = (
        log[pairs[1]] + _NOISE * torch.rand(pairs.size(1), generator=generator)
        for pairs in (heldout, members)
    )
    key, order = (heldout[0].double() * 64 + known).sort()
    wanted = members[0].double() * 64 + asked
    right = torch.searchsorted(key, wanted)
    for side in (right - 1, right):
        inside = (side >= 0) & (side < key.numel())
        at = order[side.clamp(0, key.numel() - 1)]
        same = inside & (heldout[0][at] == members[0])
        gap = torch.where(same, (known[at] - asked).abs(), torch.inf)
        closer = gap < distance
        place, distance = torch.where(closer, at, place), torch.where(closer, gap, distance)
    exact = (log[heldout[1][place]] - log[members[1]]).abs()
    return place, torch.where(distance.isfinite(), exact, torch.inf)
