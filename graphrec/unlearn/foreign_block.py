"""A block of interactions that nothing else in the data says: after unlearning it must be
gone, which makes the truth known."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import INTERACTS, ITEM, USER


def teach_block(
    data: HeteroData, num_users: int = 20, items_per_user: int = 12, seed: int = 0
) -> tuple[HeteroData, Tensor]:
    r"""Adds training edges from users of community 0 to items of community 1 that they have in
    no split.

    Args:
        data: Planted data (:func:`graphrec.datasets.planted`) with communities; unchanged.
        num_users: The first users of community 0.
        items_per_user: New items of each, drawn at random.
        seed: Of the draw.

    Returns:
        The graph with the block, and the block :math:`(2, P)`. Values of training edges
        (times, noise marks) are left out, as the block has none.

    Raises:
        GraphError: If there are not so many users or items.
    """
    if 'community' not in data[USER] or 'community' not in data[ITEM]:
        raise GraphError("'data' has no communities; make it by graphrec.datasets.planted")
    users = (data[USER].community == 0).nonzero().squeeze(1)[:num_users]
    items = (data[ITEM].community == 1).nonzero().squeeze(1)
    known = {
        pair
        for edge_type in data.edge_types
        if (edge_type[0], edge_type[2]) == (USER, ITEM)
        for pair in map(tuple, data[edge_type].edge_index.t().tolist())
    }
    generator = torch.Generator().manual_seed(seed)
    block = []
    for user in users.tolist():
        free = [item for item in items.tolist() if (user, item) not in known]
        if len(free) < items_per_user:
            raise GraphError(f"'items_per_user' is {items_per_user}, but only {len(free)} are free")
        chosen = torch.randperm(len(free), generator=generator)[:items_per_user]
        block += [(user, free[place]) for place in chosen.tolist()]
    if users.numel() < num_users:
        raise GraphError(f"'num_users' is {num_users}, but community 0 has {users.numel()}")
    pairs = torch.tensor(block).t()
    taught = data.clone()
    edges = torch.cat([taught[INTERACTS].edge_index, pairs], dim=1)
    for name in list(taught[INTERACTS].keys()):
        del taught[INTERACTS][name]
    taught[INTERACTS].edge_index = edges
    return taught, pairs
