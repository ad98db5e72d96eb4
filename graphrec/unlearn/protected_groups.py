"""Protected groups of users: numbered in reports, not named."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import USER, num_users

_MAX_GROUPS = 50


class Groups(NamedTuple):
    """Bool over the users :math:`(n)` by name, and how many groups are left out."""

    masks: dict[str, Tensor]
    left_out: int


def protected_groups(data: HeteroData, users: Tensor, column: str | None) -> Groups:
    """The groups that a column makes of users :math:`(n)`, numbered in the order of its values;
    at most 50 of them.

    Raises:
        GraphError: If the users have no such column.
    """
    if column is None:
        return Groups({}, 0)
    values = data[USER].get(column)
    if values is None or len(values) != num_users(data):
        raise GraphError(
            f"'groups' is {column!r}, but the users have no such column (they have "
            f'{sorted(data[USER].keys())})'
        )
    listed = [str(values[int(user)]) for user in users]
    names = sorted(set(listed))
    masks = {
        f'{column} {n + 1}': torch.tensor([value == name for value in listed])
        for n, name in enumerate(names[:_MAX_GROUPS])
    }
    return Groups(masks, len(names) - len(masks))
