r"""How many steps a node is from the edit."""

import torch
from torch import Tensor


def hops(edges: Tensor, users: Tensor, items: Tensor, most: int = 2) -> Tensor:
    r"""Distance of every item from the touched nodes in the graph of the edges: 0 for touched
    ones, at most :obj:`most`, then ``most + 1``.

    Args:
        edges: Training edges :math:`(2, E)` before the edit.
        users: Bool :math:`(U)`, touched users.
        items: Bool :math:`(I)`, touched items.
        most: Last distance told apart.
    """
    near_user, near_item = users.clone(), items.clone()
    distance = torch.full((items.numel(),), most + 1)
    distance[near_item] = 0
    for step in range(1, most + 1):
        user, item = edges
        next_item = near_item.clone()
        next_item[item[near_user[user]]] = True
        near_user[user[near_item[item]]] = True
        distance[next_item & ~near_item] = step
        near_item = next_item
    return distance
