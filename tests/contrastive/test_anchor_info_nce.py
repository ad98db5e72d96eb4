import pytest
import torch
from torch.nn import functional as F

from graphrec.contrastive import info_nce, prototype_info_nce, structural_info_nce
from graphrec.errors import GraphError


def table(n, dim=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator, dtype=torch.float64).requires_grad_()


def test_structure_is_a_softmax_over_all_nodes():
    context, own, ids = table(7), table(7, seed=1), torch.tensor([3, 0, 3])
    logits = F.normalize(context, dim=1) @ F.normalize(own, dim=1).t() / 0.1
    terms = -logits.log_softmax(1).diagonal()
    loss = structural_info_nce(context, own, ids, reduction='sum')
    torch.testing.assert_close(loss, terms[3] + terms[0])
    counted = structural_info_nce(context, own, ids, reduction='sum', count_repeats=True)
    torch.testing.assert_close(counted, 2 * terms[3] + terms[0])


def test_prototypes_are_a_softmax_over_the_centroids_without_gradient():
    z, prototypes = table(6), table(3, seed=1)
    cluster, ids = torch.tensor([0, 2, 1, 1, 0, 2]), torch.tensor([1, 1, 3])
    logits = F.normalize(z, dim=1) @ F.normalize(prototypes, dim=1).t() / 0.1
    terms = F.cross_entropy(logits, cluster, reduction='none')
    torch.testing.assert_close(prototype_info_nce(z, prototypes, cluster), terms.mean())
    counted = prototype_info_nce(z, prototypes, cluster, ids, count_repeats=True, reduction='sum')
    torch.testing.assert_close(counted, 2 * terms[1] + terms[3])
    torch.testing.assert_close(
        prototype_info_nce(z, prototypes, cluster, ids), (terms[1] + terms[3]) / 2
    )
    grad_z, grad_p = torch.autograd.grad(counted, (z, prototypes), allow_unused=True)
    assert grad_p is None
    assert bool(grad_z.any())


def test_every_node_its_own_prototype_is_info_nce_against_all_embeddings():
    z = table(6)
    ids = torch.tensor([4, 0, 2])
    loss = prototype_info_nce(z, z, torch.arange(6), ids, temperature=0.2)
    torch.testing.assert_close(loss, info_nce(z, z.detach(), ids, 'all', temperature=0.2))


def test_errors():
    with pytest.raises(GraphError, match='assignment'):
        prototype_info_nce(table(4), table(2), torch.zeros(3, dtype=torch.long))
    with pytest.raises(GraphError, match='reduction'):
        prototype_info_nce(table(4), table(2), torch.zeros(4, dtype=torch.long), reduction='max')
