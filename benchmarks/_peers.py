"""LightGCN three times, for the same batches: ours, PyG's, and the textbook form.

All start from the same numbers and minimise the same loss, so that they must stay
together step by step; :func:`benchmarks.lightgcn_epoch` checks that they do.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData
from torch_geometric.nn import LightGCN as PyGLightGCN

from graphrec.graphs.operators import normalized_adjacency
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import num_items, num_users, train_edges
from graphrec.models import LightGCN

REG = 1e-4


class Peer(NamedTuple):
    """A step on a batch, which returns the loss, and the final embeddings."""

    step: Callable[[BPRBatch], float]
    embeddings: Callable[[], tuple[Tensor, Tensor]]


def ours(data: HeteroData, dim: int, num_layers: int, lr: float) -> Peer:
    """``graphrec.models.LightGCN`` as ``graphrec.fit`` trains it."""
    model = LightGCN.from_graph(data, dim=dim, num_layers=num_layers, reg=REG)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)

    def step(batch: BPRBatch) -> float:
        loss = model.loss(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def embeddings() -> tuple[Tensor, Tensor]:
        z = model()
        return z['user'].detach(), z['item'].detach()

    return Peer(step, embeddings)


def pyg(data: HeteroData, dim: int, num_layers: int, lr: float) -> Peer:
    """``torch_geometric.nn.LightGCN`` on a plain ``edge_index``, as its documentation
    and its example use it."""
    users, items = num_users(data), num_items(data)
    user, item = train_edges(data)
    edge_index = torch.stack([user, item + users])
    edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    model = PyGLightGCN(users + items, dim, num_layers)
    with torch.no_grad():
        model.embedding.weight.copy_(LightGCN.from_graph(data, dim=dim).embedding)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def step(batch: BPRBatch) -> float:
        index = torch.stack([batch.user, batch.pos + users])
        negative = torch.stack([batch.user, batch.neg + users])
        optimizer.zero_grad()
        rank = model(edge_index, torch.cat([index, negative], dim=1))
        pos, neg = rank.chunk(2)
        nodes = torch.cat([batch.user, index[1], negative[1]])
        # Its penalty lacks the paper's factor of one half.
        loss = model.recommendation_loss(pos, neg, node_id=nodes, lambda_reg=REG / 2)
        loss.backward()
        optimizer.step()
        return loss.item()

    def embeddings() -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            z = model.get_embedding(edge_index)
        return z[:users], z[users:]

    return Peer(step, embeddings)


def textbook(data: HeteroData, dim: int, num_layers: int, lr: float) -> Peer:
    """The equations written down with ``torch.sparse``: layers stacked and averaged, one
    gather a factor, default Adam; the form of most published code."""
    users, op = num_users(data), normalized_adjacency(data)
    adjacency = torch.sparse_coo_tensor(
        torch.stack([op.row, op.col.long()]), op.weight, op.shape
    ).coalesce()
    initial = LightGCN.from_graph(data, dim=dim).embedding.detach()
    user_emb = torch.nn.Embedding.from_pretrained(initial[:users].clone(), freeze=False)
    item_emb = torch.nn.Embedding.from_pretrained(initial[users:].clone(), freeze=False)
    optimizer = torch.optim.Adam([user_emb.weight, item_emb.weight], lr=lr)

    def propagate() -> tuple[Tensor, Tensor]:
        layer = torch.cat([user_emb.weight, item_emb.weight])
        layers = [layer]
        for _ in range(num_layers):
            layer = torch.sparse.mm(adjacency, layer)
            layers.append(layer)
        final = torch.stack(layers, dim=1).mean(dim=1)
        return final[:users], final[users:]

    def step(batch: BPRBatch) -> float:
        z_user, z_item = propagate()
        user, pos, neg = z_user[batch.user], z_item[batch.pos], z_item[batch.neg]
        loss = F.softplus((user * neg).sum(1) - (user * pos).sum(1)).mean()
        initial_rows = (user_emb(batch.user), item_emb(batch.pos), item_emb(batch.neg))
        penalty = sum(rows.square().sum() for rows in initial_rows) / 2 / batch.user.numel()
        loss = loss + REG * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def embeddings() -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return propagate()

    return Peer(step, embeddings)


PEERS = {'graphrec': ours, 'PyG LightGCN': pyg, 'torch.sparse COO': textbook}
