import pytest
import torch

from graphrec.contrastive import EmbeddingPerturbation, modulus_noise, uniform_noise
from graphrec.errors import GraphError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def rows():
    scale = torch.tensor([[0.1], [1.0], [3.0], [0.5]], dtype=torch.float64)
    return torch.randn(4, 6, generator=seeded(), dtype=torch.float64) * scale


@pytest.mark.parametrize('intensity', ['proportional', 'inverse', 'absolute', 'constant'])
def test_step_has_the_stated_length_within_the_orthant(rows, intensity):
    perturb = EmbeddingPerturbation(0.3, intensity)
    moved = perturb(rows, seeded(1))
    step, g = (moved - rows).norm(dim=1), perturb.strength(rows).squeeze(1)
    torch.testing.assert_close(step, 0.3 * g, atol=1e-6, rtol=1e-6)
    assert torch.equal(moved.sign(), rows.sign())
    length = rows.norm(dim=1)
    expected = {
        'proportional': length / length.mean(),
        'inverse': length.mean() / length,
        'absolute': length,
        'constant': torch.ones(4, dtype=torch.float64),
    }[intensity]
    if intensity in ('proportional', 'inverse'):
        expected = expected.clamp(0.1, 10)
    torch.testing.assert_close(g, expected)


@pytest.mark.parametrize('intensity', ['proportional', 'inverse', 'absolute', 'constant'])
def test_zero_entries_and_rows_stay(rows, intensity):
    perturb = EmbeddingPerturbation(0.3, intensity)
    rows[0] = 0
    rows[1, :3] = 0
    moved = perturb(rows, seeded())
    assert moved.isfinite().all()
    assert torch.equal(moved[rows == 0], rows[rows == 0])
    assert ((moved - rows).norm(dim=1) <= 0.3 * perturb.strength(rows).squeeze(1) + 1e-9).all()
    nothing = torch.zeros(3, 4)
    assert torch.equal(perturb(nothing, seeded()), nothing)


def test_known_cases(rows):
    assert EmbeddingPerturbation(0.0)(rows, seeded()) is rows
    constant = EmbeddingPerturbation(0.2, 'constant')(rows, seeded())
    torch.testing.assert_close(constant, uniform_noise(rows, 0.2, seeded()))
    absolute = EmbeddingPerturbation(0.2, 'absolute')(rows, seeded())
    torch.testing.assert_close(absolute, modulus_noise(rows, 0.2, seeded()))


def test_draws_follow_the_generator(rows):
    perturb, generator = EmbeddingPerturbation(), seeded(4)
    one, two = perturb(rows, generator), perturb(rows, generator)
    assert not torch.equal(one, two)
    assert torch.equal(one, perturb(rows, seeded(4)))


def test_intensity_is_relative_to_the_mean(rows):
    perturb = EmbeddingPerturbation()
    g = perturb.strength(rows)
    torch.testing.assert_close(perturb.strength(2 * rows), g)
    longer = rows.clone()
    longer[1] *= 2
    assert perturb.strength(longer)[1] > g[1]


def test_gradient_passes_as_identity_unless_the_intensity_is_trained(rows):
    rows.requires_grad_()
    weight = torch.randn(rows.shape, generator=seeded(2), dtype=torch.float64)
    (grad,) = torch.autograd.grad((EmbeddingPerturbation()(rows, seeded()) * weight).sum(), rows)
    torch.testing.assert_close(grad, weight)
    trained = EmbeddingPerturbation(intensity_gradient=True)
    (grad,) = torch.autograd.grad((trained(rows, seeded()) * weight).sum(), rows)
    assert not torch.allclose(grad, weight)
    assert torch.autograd.gradcheck(lambda h: trained(h, seeded()), rows)


@pytest.mark.parametrize(
    'config', [{'eps': -0.1}, {'intensity': 'loud'}, {'clip': (2.0, 1.0)}, {'clip': (-1.0, 1.0)}]
)
def test_bad_arguments(config):
    with pytest.raises(GraphError, match=next(iter(config))):
        EmbeddingPerturbation(**config)
