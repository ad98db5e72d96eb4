"""Groups of equal rows of a feature table."""

import torch
from torch import Tensor

_CHUNK = 2**20  # Numbers at once, which stay in the cache.


def row_groups(x: Tensor, rows: Tensor) -> Tensor:
    r"""Numbers :math:`(m)` of the groups of equal rows among :obj:`rows`, counted in the
    order in which groups first appear.

    Rows are compared as float32, first by a 64-bit hash and then number by number, so
    nothing of the size of the table is sorted.

    Args:
        x: Features :math:`(n, d)`.
        rows: Row numbers :math:`(m)`.
    """
    generator = torch.Generator().manual_seed(0)
    factor = torch.randint(-(2**62), 2**62, (x.size(1),), generator=generator) * 2 + 1
    factor = factor.to(x.device)
    step = max(_CHUNK // max(x.size(1), 1), 1)
    hashes = torch.cat([(_bits(x[part]) * factor).sum(1) for part in rows.split(step)] or [rows])
    _, group = torch.unique(hashes, return_inverse=True)
    place = torch.arange(rows.numel(), device=x.device)
    leader = torch.full_like(place, rows.numel())
    leader = leader.scatter_reduce_(0, group, place, 'amin')[group]
    # Different rows of one hash (never, in practice) each stay alone.
    for part in (leader != place).nonzero().squeeze(1).split(step):
        equal = (_bits(x[rows[part]]) == _bits(x[rows[leader[part]]])).all(1)
        leader[part] = torch.where(equal, leader[part], part)
    return torch.unique(leader, return_inverse=True)[1]


def _bits(x: Tensor) -> Tensor:
    """The numbers as integers that are equal where they are; -0 counts as 0."""
    return (x.float() + 0.0).view(torch.int32).long()
