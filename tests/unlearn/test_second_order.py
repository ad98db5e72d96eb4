"""Newton steps against the closed form of ridge regression."""

import pytest
import torch

from graphrec.unlearn.second_order import (
    add_flat,
    conjugate_gradients,
    difference_product,
    flat_gradient,
    hessian_product,
)

RIDGE = 0.3


@pytest.fixture
def ridge():
    """Features, targets, and the solution over a set of rows."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    y = torch.randn(40, generator=generator, dtype=torch.float64)

    def solve(rows):
        a, b = x[rows], y[rows]
        return torch.linalg.solve(a.t() @ a + RIDGE * torch.eye(6, dtype=torch.float64), a.t() @ b)

    return x, y, solve


def loss_on(x, y, theta, reg):
    return 0.5 * (x @ theta - y).square().sum() + 0.5 * reg * theta.square().sum()


@pytest.mark.parametrize('kind', ['exact', 'difference'])
def test_removing_rows_equals_the_closed_form(ridge, kind):
    x, y, solve = ridge
    forget, retain = torch.arange(7), torch.arange(7, 40)
    theta = solve(torch.arange(40)).requires_grad_()
    right = flat_gradient(loss_on(x[forget], y[forget], theta, 0.0), [theta])

    def retained():
        return loss_on(x[retain], y[retain], theta, RIDGE)

    def product(v):
        if kind == 'exact':
            return hessian_product(retained, [theta], v)
        return difference_product(lambda: flat_gradient(retained(), [theta]), [theta], v)

    held = theta.detach().clone()
    found = conjugate_gradients(product, right, damping=0.0, iterations=20, tolerance=1e-12)
    assert torch.equal(theta.detach(), held)
    add_flat([theta], found.x)
    # One step is exact, and its sign is plus: the loss of what is removed had weight 1.
    assert (theta.detach() - solve(retain)).abs().max() < 1e-6
    assert (held - solve(retain)).abs().max() > 1e-2
    assert not found.curved


def test_solves_as_dense_algebra_does_and_damping_ends_at_no_change():
    generator = torch.Generator().manual_seed(1)
    half = torch.randn(9, 9, generator=generator, dtype=torch.float64)
    matrix, b = half @ half.t(), torch.randn(9, generator=generator, dtype=torch.float64)
    for damping in (0.0, 0.5):
        found = conjugate_gradients(lambda v: matrix @ v, b, damping=damping, iterations=50)
        wanted = torch.linalg.solve(matrix + damping * torch.eye(9, dtype=torch.float64), b)
        torch.testing.assert_close(found.x, wanted, rtol=1e-4, atol=1e-6)
        assert found.residual < 1e-6
    still = conjugate_gradients(lambda v: matrix @ v, b, damping=1e12, iterations=50)
    assert still.x.abs().max() < 1e-11


def test_stops_where_the_matrix_is_not_positive():
    b = torch.tensor([1.0, 1.0])
    found = conjugate_gradients(lambda v: -5 * v, b, damping=1.0, iterations=9)
    assert found.curved
    assert found.x.tolist() == [1, 1]
    none = conjugate_gradients(lambda v: v, torch.zeros(2), damping=0.0, iterations=9)
    assert none.x.tolist() == [0, 0]
    assert none.iterations == 0


def test_products_agree_on_a_loss_that_is_no_quadratic():
    generator = torch.Generator().manual_seed(2)
    theta = torch.randn(5, generator=generator, dtype=torch.float64).requires_grad_()
    v = torch.randn(5, generator=generator, dtype=torch.float64)

    def loss():
        return torch.nn.functional.softplus(theta).prod() + theta[0].sin() * theta[1]

    exact = hessian_product(loss, [theta], v)
    close = difference_product(lambda: flat_gradient(loss(), [theta]), [theta], v)
    torch.testing.assert_close(exact, close, rtol=1e-6, atol=1e-8)
    assert difference_product(lambda: flat_gradient(loss(), [theta]), [theta], 0 * v).eq(0).all()


def test_flat_gradients_keep_the_place_of_every_parameter():
    one, unused = torch.ones(2, 2, requires_grad=True), torch.ones(3, requires_grad=True)
    table = torch.nn.Embedding.from_pretrained(torch.ones(4, 1), freeze=False, sparse=True)
    loss = (one * torch.tensor([[1.0, 2], [3, 4]])).sum() + table(torch.tensor([2])).square().sum()
    flat = flat_gradient(loss, [one, unused, table.weight])
    assert flat.tolist() == [1, 2, 3, 4, 0, 0, 0, 0, 0, 2, 0]
