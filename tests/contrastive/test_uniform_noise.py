import pytest
import torch

from graphrec.contrastive import ModulusNoise, UniformNoise, modulus_noise, uniform_noise


@pytest.fixture
def h():
    return torch.randn(200, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def generator():
    return torch.Generator().manual_seed(1)


def test_step_has_its_length_and_stays_in_the_orthant(h):
    out = uniform_noise(h, 0.1, generator())
    torch.testing.assert_close((out - h).norm(dim=1), torch.full((200,), 0.1).double())
    assert torch.equal(out.sign(), h.sign())
    h[0, 2] = 0
    assert uniform_noise(h, 0.1, generator())[0, 2] == 0


def test_modulus_step_goes_with_the_length_of_the_row(h):
    out = modulus_noise(h, 0.2, generator())
    torch.testing.assert_close((out - h).norm(dim=1), 0.2 * h.norm(dim=1))
    assert torch.equal(out.sign(), h.sign())
    torch.testing.assert_close(modulus_noise(7 * h, 0.2, generator()), 7 * out)


@pytest.mark.parametrize('noise', [uniform_noise, modulus_noise])
def test_gradient(noise, h):
    rows = h[:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: noise(x, 0.3, generator()), rows)


def test_directions_differ_between_rows_and_layers(h):
    h = torch.ones_like(h)
    for view in (UniformNoise(0.1), ModulusNoise(0.1)):
        source = generator()
        first, second = view.hook(h, 1, source), view.hook(h, 2, source)
        assert not torch.allclose(first, second)
        assert not torch.allclose(first[0], first[1])
