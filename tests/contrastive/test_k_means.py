import pytest
import torch

from graphrec.contrastive import k_means
from graphrec.errors import GraphError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    label = torch.arange(90) % 3
    return centres[label] + torch.randn(90, 2, generator=generator()), label


def test_finds_blobs_and_its_centroids_are_means():
    x, label = blobs()
    found = [k_means(x, 3, generator(seed)) for seed in range(5)]
    costs = [float((x - c.centroids[c.assignment]).square().sum()) for c in found]
    best = found[costs.index(min(costs))]
    for cluster in range(3):
        members = best.assignment == best.assignment[label == cluster][0]
        assert torch.equal(members, label == cluster)
        torch.testing.assert_close(best.centroids[best.assignment[members][0]], x[members].mean(0))


def test_every_row_goes_to_the_nearest_centroid():
    x = torch.randn(60, 3, generator=generator(1))
    clusters = k_means(x, 7, generator(2))
    assert torch.equal(torch.cdist(x, clusters.centroids).argmin(1), clusters.assignment)
    again = k_means(x, 7, generator(2))
    assert torch.equal(again.centroids, clusters.centroids)


def test_equal_rows_leave_no_nan_and_small_tables_are_their_own_clusters():
    x = torch.ones(10, 2)
    x[0] = 5
    clusters = k_means(x, 4, generator())
    assert bool(clusters.centroids.isfinite().all())
    torch.testing.assert_close(clusters.centroids[clusters.assignment], x)
    own = k_means(x[:3], 5, generator())
    assert torch.equal(own.centroids[own.assignment], x[:3])
    assert own.centroids.shape == (5, 2)


def test_errors():
    with pytest.raises(GraphError, match="'k'"):
        k_means(torch.ones(3, 2), 0, generator())
