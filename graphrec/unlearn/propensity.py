r"""Which held-out pairs are like the forgotten ones, judged by what is retained alone.

Requests are seldom random: a category, a period, a block of spam. Held-out positives at large
are then no measure of what a model that never saw the forgotten pairs would make of them. So
held-out pairs are weighted by the odds of being a forgotten one, given what the *retained*
graph says about a pair: the degrees of its ends, and how well low-rank pictures of the graph and
walks on it predict the pair. No parameter that was trained with the forgotten pairs has a say.
"""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.operators import Sparse
from graphrec.graphs.schema import num_items, num_users, train_edges

_RANKS = (4, 16)
_HOPS = 2  # Of walks: 3 and 5 edges.
_ROUNDS = 4
_RIDGE = 1e-2
_NEWTON = 20
_CAP = 50.0
_BLOCK = 64  # Users at once: their columns stay in cache.


class PairFeatures:
    r"""What the training graph says about any pair: :math:`\log(1 + d_u)`,
    :math:`\log(1 + d_i)` and, each times :math:`\sqrt{d_u d_i}`, how well the pair fits the
    rest of the graph,

    .. math::
        (\mathbf{Q}_r \mathbf{Q}_r^{\top} \hat{\mathbf{R}})_{ui}, \quad
        \big(\hat{\mathbf{R}} (\hat{\mathbf{R}}^{\top} \hat{\mathbf{R}})^l\big)_{ui},
        \qquad \hat{\mathbf{R}} = \mathbf{D}_U^{-1/2} \mathbf{R} \mathbf{D}_I^{-1/2} ,

    for a coarse and a finer rank :math:`r`, 4 and 16, with :math:`\mathbf{Q}_r` the leading
    left singular vectors by subspace iteration (Halko et al., SIAM Review 2011), and for the
    walks of 3 and 5 edges (:math:`l` of 1 and 2) that lead from the user to the item. A rank
    above the structure of the graph fits its noise; walks see what is near a user that no low
    rank does. Ours: the ranks were chosen on planted data, walks were added since a
    line through these features then explains more of the scores that a retrained LightGCN gives
    to forgotten pairs.

    Args:
        data: The edited graph.
        seed: Of the first basis.
    """

    def __init__(self, data: HeteroData, seed: int = 0) -> None:
        edges = train_edges(data)
        users, items = num_users(data), num_items(data)
        self.of_user = torch.bincount(edges[0], minlength=users).double()
        self.of_item = torch.bincount(edges[1], minlength=items).double()
        weight = (self.of_user[edges[0]] * self.of_item[edges[1]]).rsqrt().float()
        self._matrix = matrix = Sparse.from_edges(edges, weight, shape=(users, items))
        generator = torch.Generator().manual_seed(seed)
        rank = min(max(_RANKS), users, items)
        basis = torch.randn(users, rank, generator=generator).to(edges.device)
        for _ in range(_ROUNDS):
            basis = torch.linalg.qr(matrix @ (matrix.T @ basis)).Q
        _, turn = torch.linalg.eigh((matrix.T @ basis).t() @ (matrix.T @ basis))
        self._user = basis @ turn.flip(1)  # The strongest first.
        self._item = matrix.T @ self._user

    def __call__(self, pairs: Tensor) -> Tensor:
        """The features :math:`(P, 6)` of pairs :math:`(2, P)`."""
        user, item = pairs
        degree_user, degree_item = self.of_user[user], self.of_item[item]
        product = (self._user[user] * self._item[item]).double()
        fits = [product[:, :rank].sum(1) for rank in _RANKS] + [*self._walks(pairs).double()]
        scale = (degree_user * degree_item).sqrt()
        own = [degree_user.log1p(), degree_item.log1p()]
        return torch.stack(own + [fit * scale for fit in fits], dim=1)

    def _walks(self, pairs: Tensor) -> Tensor:
        r""":math:`(\hat{\mathbf{R}} (\hat{\mathbf{R}}^{\top} \hat{\mathbf{R}})^l)_{ui}`
        for :math:`l` from 1, :math:`(l, P)`, a block of users at a time."""
        users, row = torch.unique(pairs[0], return_inverse=True)
        found = torch.zeros(_HOPS, pairs.size(1), device=pairs.device)
        items = self._matrix.shape[1]
        order = torch.argsort(row, stable=True)
        ends = [0, *torch.bincount(row, minlength=users.numel()).cumsum(0).tolist()]
        for low in range(0, users.numel(), _BLOCK):
            high = min(low + _BLOCK, users.numel())
            chosen = order[ends[low] : ends[high]]
            rows = self._matrix.select_rows(users[low:high])
            reached = torch.zeros(items, high - low, device=pairs.device)
            reached[rows.col.long(), rows.row] = rows.weight
            for hop in range(_HOPS):
                reached = self._matrix.T @ (self._matrix @ reached)
                found[hop, chosen] = reached[pairs[1][chosen], row[chosen] - low]
        return found


def odds_weights(forgotten: Tensor, heldout: Tensor) -> Tensor:
    r"""Weights of held-out pairs :math:`(H)`, of mean 1: the odds :math:`p / (1 - p)` of a
    logistic regression of *forgotten* against *held out* on normal scores of the features,
    their squares and products; capped at 50 times the mean.

    Args:
        forgotten: Features :math:`(F, c)`.
        heldout: Features :math:`(H, c)`.
    """
    size = heldout.size(0)
    if not size or not forgotten.size(0):
        return torch.ones(size, dtype=torch.float64, device=heldout.device)
    x = design(torch.cat([forgotten, heldout]))
    y = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    y[: forgotten.size(0)] = 1
    # Both groups count the same, so that no constant hides the differences.
    share = torch.where(y > 0, 0.5 / forgotten.size(0), 0.5 / size)
    beta = torch.zeros(x.size(1), dtype=torch.float64, device=x.device)
    ridge = _RIDGE * torch.eye(x.size(1), dtype=torch.float64, device=x.device)
    ridge[0, 0] = 0
    for _ in range(_NEWTON):
        p = (x @ beta).sigmoid()
        gradient = x.t() @ (share * (p - y)) + ridge @ beta
        curvature = (x * (share * p * (1 - p)).unsqueeze(1)).t() @ x + ridge
        step = torch.linalg.solve(curvature + 1e-9 * torch.eye(len(beta)).to(x), gradient)
        beta = beta - step
        if float(step.abs().max()) < 1e-6:
            break
    weight = (x[forgotten.size(0) :] @ beta).clamp(-30, 30).exp()
    weight = (weight / weight.mean()).clamp(max=_CAP)
    return weight / weight.mean()


def effective_size(weight: Tensor) -> float:
    r""":math:`(\sum w)^2 / \sum w^2`: how many equal pairs say as much."""
    if not weight.numel():
        return 0.0
    return float(weight.sum().square() / weight.square().sum())


def design(features: Tensor) -> Tensor:
    """A constant, normal scores of the columns, their squares and products."""
    rank = features.argsort(dim=0).argsort(dim=0).double()
    # Ties share the mean of their ranks, or the order of the rows would count.
    for column in range(features.size(1)):
        _, group = features[:, column].unique(return_inverse=True)
        total = torch.zeros(int(group.max()) + 1, dtype=torch.float64, device=features.device)
        mean = total.index_add(0, group, rank[:, column]) / torch.bincount(group)
        rank[:, column] = mean[group]
    z = torch.special.ndtri((rank + 0.5) / features.size(0))
    places = [(i, j) for i in range(z.size(1)) for j in range(i, z.size(1))]
    more = torch.stack([z[:, i] * z[:, j] for i, j in places], dim=1)
    return torch.cat([z.new_ones(len(z), 1), z, more], dim=1)
