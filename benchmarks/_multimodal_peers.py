"""MMHCL and FREEDOM twice, for the same batches: ours, and their equations written down.

The textbook forms hold every operator as one ``torch.sparse`` COO matrix, as the published
codes do in training: MMHCL's user graph of all pairs who share an item, its item graph of all
pairs who share a neighbour. Building them is another question
(``benchmarks/semantic_graph.py``): here it is done sparsely for both. All start from the same
numbers and minimise the same loss, so that they must stay together step by step.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.contrastive.degree_edge_drop import drop_edges_by_degree
from graphrec.graphs.hypergraph import neighbour_incidence
from graphrec.graphs.operators import bipartite_adjacency, interaction_operator
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import train_edges
from graphrec.graphs.semantic import semantic_graph, semantic_modalities
from graphrec.models import FREEDOM, MMHCL, Recommender

LR = {'MMHCL': 1e-4, 'FREEDOM': 1e-3}
BATCH = {'MMHCL': 1024, 'FREEDOM': 2048}
BLOCK = 4096  # Rows of a block of the published contrast.
DRAW = 0  # Of the edges that FREEDOM leaves out, for both.


class Peer(NamedTuple):
    """A step on a batch, which returns the loss, and the start of an epoch."""

    step: Callable[[BPRBatch], float]
    begin_epoch: Callable[[], None]


def build(name: str, data: HeteroData, bf16: bool = False) -> Recommender:
    """The model of the library, with the published settings for TikTok."""
    if name == 'FREEDOM':
        return FREEDOM.from_graph(data)
    return MMHCL.from_graph(data, **MMHCL.preset('tiktok'), bf16_contrast=bf16)


def ours(name: str, data: HeteroData, bf16: bool = False) -> Peer:
    """The library's model as ``graphrec.fit`` trains it."""
    model = build(name, data, bf16)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR[name], fused=True)

    def begin_epoch() -> None:
        model.begin_epoch(torch.Generator().manual_seed(DRAW))

    return Peer(_stepper(model.loss, optimizer), begin_epoch)


def textbook_mmhcl(data: HeteroData) -> Peer:
    """Layers stacked and averaged, similarities in blocks that autograd keeps."""
    model = build('MMHCL', data)
    assert isinstance(model, MMHCL)
    config, users = model.config, model.num_users
    adjacency = coo(bipartite_adjacency(train_edges(data), users, model.num_items).to_scipy())
    graphs = [semantic_graph(data, m, config.k) for m in semantic_modalities(data)]
    incidence = neighbour_incidence(graphs).to_scipy()
    shared = interaction_operator(data).to_scipy()
    user_graph = coo(normalised(shared @ shared.T, keep_diagonal=False))
    item_graph = coo(normalised(incidence @ incidence.T, keep_diagonal=True))
    first, second_user, second_item = (
        torch.nn.Parameter(table.detach().clone())
        for table in (model.embedding, model.user_embedding, model.item_embedding)
    )
    optimizer = torch.optim.Adam([first, second_user, second_item], lr=LR['MMHCL'])

    def loss(batch: BPRBatch) -> Tensor:
        x, h_user, h_item = (
            mean_of_layers(adjacency, first, config.num_layers),
            *(
                repeated(graph, table, layers)
                for graph, table, layers in (
                    (user_graph, second_user, config.user_layers),
                    (item_graph, second_item, config.item_layers),
                )
            ),
        )
        z_user = x[:users] + F.normalize(h_user, dim=1)
        z_item = x[users:] + F.normalize(h_item, dim=1)
        user, pos, neg = z_user[batch.user], z_item[batch.pos], z_item[batch.neg]
        norms = sum(rows.square().sum() for rows in (user, pos, neg)) / 2 / user.size(0)
        return (
            ranking(user, pos, neg)
            + config.reg * norms
            + config.item_weight * contrast(z_item, h_item, config.temperature)
            + config.user_weight * contrast(z_user, h_user, config.temperature)
        )

    return Peer(_stepper(loss, optimizer), lambda: None)


def textbook_freedom(data: HeteroData) -> Peer:
    """All features projected in every step, one item graph, a pruned graph every epoch."""
    model = build('FREEDOM', data)
    assert isinstance(model, FREEDOM)
    config, users = model.config, model.num_users
    sizes = users, model.num_items
    item_graph = coo(model.item_graph.to_scipy())
    user_emb, item_emb = (
        torch.nn.Parameter(part.clone()) for part in model.embedding.detach().split(sizes)
    )
    features = [torch.nn.Parameter(model.feature(m).detach().clone()) for m in model.featured]
    maps = [torch.nn.Parameter(model.weight(m).detach().clone()) for m in model.featured]
    optimizer = torch.optim.Adam([user_emb, item_emb, *features, *maps], lr=LR['FREEDOM'])
    edges, pruned = model._edge_index, {}  # In the order of the draw.

    def begin_epoch() -> None:
        generator = torch.Generator().manual_seed(DRAW)
        kept = drop_edges_by_degree(edges, config.edge_dropout, sizes, generator)
        pruned['adjacency'] = coo(bipartite_adjacency(kept, *sizes).to_scipy())

    def loss(batch: BPRBatch) -> Tensor:
        near = torch.sparse.mm(item_graph, item_emb)
        table = torch.cat([user_emb, item_emb])
        x = mean_of_layers(pruned['adjacency'], table, config.num_layers)
        z_user, z_item = x[:users], x[users:] + near
        user = z_user[batch.user]
        total = ranking(user, z_item[batch.pos], z_item[batch.neg])
        for x_m, w_m in zip(features, maps, strict=True):
            projected = F.linear(x_m, w_m)
            by_features = ranking(user, projected[batch.pos], projected[batch.neg])
            total = total + config.feature_weight * by_features
        return total

    return Peer(_stepper(loss, optimizer), begin_epoch)


def contrast(z: Tensor, h: Tensor, temperature: float) -> Tensor:
    r"""MMHCL's :math:`C(\mathbf{z}, \mathbf{h})` by its definition, block by block."""
    a, b = F.normalize(z, dim=1), F.normalize(h, dim=1)
    terms = []
    for low in range(0, a.size(0), BLOCK):
        rows = a[low : low + BLOCK]
        within, between = (torch.exp(rows @ table.t() / temperature) for table in (a, b))
        own_within, own_between = (part.diagonal(low) for part in (within, between))
        terms.append(-torch.log(own_between / (within.sum(1) + between.sum(1) - own_within)))
    return torch.cat(terms).mean()


def ranking(user: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    """BPR."""
    return -F.logsigmoid((user * pos).sum(1) - (user * neg).sum(1)).mean()


def mean_of_layers(adjacency: Tensor, x: Tensor, num_layers: int) -> Tensor:
    """LightGCN, every layer kept."""
    layers = [x]
    for _ in range(num_layers):
        layers.append(torch.sparse.mm(adjacency, layers[-1]))
    return torch.stack(layers, dim=1).mean(dim=1)


def repeated(graph: Tensor, x: Tensor, layers: int) -> Tensor:
    """The last layer alone."""
    for _ in range(layers):
        x = torch.sparse.mm(graph, x)
    return x


def normalised(product: sparse.spmatrix, keep_diagonal: bool) -> sparse.csr_matrix:
    """MMHCL's graphs: of items symmetrically by row sums; of users by row, diagonal zero."""
    matrix = product.tocsr().astype(np.float64)
    if not keep_diagonal:
        matrix.setdiag(0)
        matrix.eliminate_zeros()
    total = np.asarray(matrix.sum(1)).ravel()
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    if not keep_diagonal:
        return sparse.diags(inverse) @ matrix
    return sparse.diags(np.sqrt(inverse)) @ matrix @ sparse.diags(np.sqrt(inverse))


def coo(matrix: sparse.spmatrix) -> Tensor:
    """As ``torch.sparse`` COO in float32."""
    entries = matrix.tocoo()
    index = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    value = torch.from_numpy(entries.data.astype(np.float32))
    return torch.sparse_coo_tensor(index, value, entries.shape, check_invariants=False).coalesce()


def _stepper(
    loss_of: Callable[[BPRBatch], Tensor], optimizer: torch.optim.Optimizer
) -> Callable[[BPRBatch], float]:
    def step(batch: BPRBatch) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
