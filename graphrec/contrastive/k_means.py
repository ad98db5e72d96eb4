"""Clusters of nodes, for prototypes."""

from typing import NamedTuple

import torch
from torch import Tensor

from graphrec.errors import GraphError

_BLOCK = 4096


class Clusters(NamedTuple):
    """Centroids :math:`(K, d)` and the cluster of every row :math:`(N)`."""

    centroids: Tensor
    assignment: Tensor


@torch.no_grad()
def k_means(x: Tensor, k: int, generator: torch.Generator, iterations: int = 25) -> Clusters:
    r"""Lloyd's algorithm: every row goes to the nearest centroid, every centroid to the mean
    of its rows. The first centroids are distinct rows at random; an empty cluster restarts at
    the row that is farthest from its centroid. Stops when no row moves.

    Args:
        x: Rows :math:`(N, d)`.
        k: Number of clusters :math:`K`; with :math:`K \geq N` every row is its own, and
            centroids beyond are those of the first rows again.
        generator: Source of the first centroids.
        iterations: Most rounds.
    """
    if k < 1 or iterations < 1:
        raise GraphError(f"'k' and 'iterations' must be at least 1 (got {k} and {iterations})")
    count = x.size(0)
    if k >= count:
        own = torch.arange(count, device=x.device)
        return Clusters(x[torch.arange(k, device=x.device) % count].clone(), own)
    first = torch.randperm(count, generator=generator, device=x.device)[:k]
    centroids = x[first].clone()
    previous = None
    for _ in range(iterations):
        assignment, distance = _nearest(x, centroids)
        if previous is not None and torch.equal(assignment, previous):
            break
        previous = assignment
        size = torch.bincount(assignment, minlength=k)
        centroids = torch.zeros_like(centroids).index_add_(0, assignment, x)
        centroids /= size.clamp(min=1).unsqueeze(1)
        empty = (size == 0).nonzero().squeeze(1)
        if empty.numel():
            centroids[empty] = x[distance.topk(empty.numel()).indices]
    return Clusters(centroids, _nearest(x, centroids)[0])


def _nearest(x: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest centroid of every row, and the squared distance to it."""
    norm = centroids.square().sum(1)
    found, distance = [], []
    for block in x.split(_BLOCK):
        low, place = torch.addmm(norm, block, centroids.t(), alpha=-2).min(1)
        found.append(place)
        distance.append(low + block.square().sum(1))
    return torch.cat(found), torch.cat(distance)
