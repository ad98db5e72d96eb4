import pytest
import torch
from torch.nn import functional as F

from graphrec.contrastive import bootstrap, follow
from graphrec.errors import GraphError


def test_value_and_no_gradient_into_the_target():
    generator = torch.Generator().manual_seed(0)
    online, target = (torch.randn(5, 3, generator=generator).requires_grad_() for _ in range(2))
    loss = bootstrap(online, target)
    torch.testing.assert_close(loss, (2 - 2 * F.cosine_similarity(online, target)).mean())
    grads = torch.autograd.grad(loss, (online, target), allow_unused=True)
    assert bool(grads[0].any())
    assert grads[1] is None
    some = bootstrap(online, target, torch.tensor([3, 1, 3]))
    torch.testing.assert_close(some, bootstrap(online[[1, 3]], target[[1, 3]]))
    assert float(bootstrap(online, 2 * online).detach()) == pytest.approx(0, abs=1e-6)


def test_target_follows():
    target, online = torch.zeros(3, 2), torch.ones(3, 2)
    follow(target, online, 0.75)
    assert torch.equal(target, torch.full((3, 2), 0.25))
    follow(target, online, 0.0, torch.tensor([1, 1]))
    assert torch.equal(target[:, 0], torch.tensor([0.25, 1.0, 0.25]))
    follow(target, online, 0.0)
    assert torch.equal(target, online)


def test_errors():
    with pytest.raises(GraphError, match='momentum'):
        follow(torch.zeros(1), torch.zeros(1), 1.5)
    with pytest.raises(GraphError, match='same shape'):
        bootstrap(torch.zeros(2, 3), torch.zeros(3, 3))
