r"""Solving with a Hessian that is never formed: products, and conjugate gradients.

Removing :math:`z` lowers the weight of its loss by 1, so to second order

.. math::
    \theta_u - \theta_0 = +\mathbf{H}^{-1} \nabla \ell(z; \theta_0)

with :math:`\mathbf{H}` the Hessian of the *sum* of the retained losses.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


class Solution(NamedTuple):
    """What :func:`conjugate_gradients` found.

    Attributes:
        x: The solution :math:`(n)`.
        iterations: Products with the matrix.
        residual: :math:`\\|\\mathbf{b} - \\mathbf{A} \\mathbf{x}\\| / \\|\\mathbf{b}\\|`.
        curved: Whether it stopped at a direction in which the matrix is not positive.
    """

    x: Tensor
    iterations: int
    residual: float
    curved: bool


def conjugate_gradients(
    product: Product, b: Tensor, *, damping: float, iterations: int, tolerance: float = 1e-6
) -> Solution:
    r"""Solves :math:`(\mathbf{A} + \lambda \mathbf{I}) \mathbf{x} = \mathbf{b}` for a
    symmetric :math:`\mathbf{A}` (Hestenes and Stiefel, 1952). A ranking loss is not convex:
    at a direction of negative curvature the solution so far is kept, as in truncated Newton
    methods.

    Args:
        product: :math:`\mathbf{v} \mapsto \mathbf{A} \mathbf{v}`.
        b: :math:`\mathbf{b}` :math:`(n)`.
        damping: :math:`\lambda \ge 0`; as it grows, the solution goes to 0.
        iterations: At most.
        tolerance: Of the relative residual.
    """
    x = torch.zeros_like(b)
    residual, direction = b.clone(), b.clone()
    squared = residual.dot(residual)
    norm = squared.sqrt()
    if float(norm) == 0:
        return Solution(x, 0, 0.0, False)
    done, curved = 0, False
    while done < iterations and float(squared.sqrt()) > tolerance * float(norm):
        along = product(direction) + damping * direction
        curvature = direction.dot(along)
        done += 1
        if float(curvature) <= 0:
            curved = True
            if done == 1 and damping > 0:  # The step that the damping alone allows.
                x = b / damping
            break
        length = squared / curvature
        x = x + length * direction
        residual = residual - length * along
        fresh = residual.dot(residual)
        direction = residual + fresh / squared * direction
        squared = fresh
    return Solution(x, done, float(squared.sqrt() / norm), curved)


def hessian_product(
    loss: Callable[[], Tensor], parameters: Sequence[Tensor], vector: Tensor
) -> Tensor:
    r""":math:`\nabla^2 L \, \mathbf{v}` by differentiating twice; exact, for a loss whose
    every operation can be differentiated twice."""
    gradient = flat_gradient(loss(), parameters, create_graph=True)
    return flat_gradient(gradient.dot(vector), parameters)


def difference_product(
    gradient: Callable[[], Tensor], parameters: Sequence[Tensor], vector: Tensor
) -> Tensor:
    r""":math:`\nabla^2 L \, \mathbf{v} \approx (\nabla L(\theta + r \mathbf{v}) - \nabla L(
    \theta - r \mathbf{v})) / 2 r`; exact for a quadratic loss, and for any model, since
    fused backward passes can be differentiated only once.

    Args:
        gradient: The flat gradient at the parameters as they are; the same function of them
            at every call, so without noise.
        parameters: Moved and put back.
        vector: :math:`\mathbf{v}` :math:`(n)`.
    """
    length = float(vector.norm())
    if length == 0:
        return torch.zeros_like(vector)
    held = [parameter.detach().clone() for parameter in parameters]
    scale = torch.finfo(vector.dtype).eps ** (1 / 3)
    size = float(torch.stack([value.norm() for value in held]).norm())
    radius = scale * (1 + size) / length
    ends = []
    try:
        for sign in (1, -1):
            _move(parameters, held, sign * radius * vector)
            ends.append(gradient())
    finally:
        _move(parameters, held, None)
    return (ends[0] - ends[1]) / (2 * radius)


def flat_gradient(loss: Tensor, parameters: Sequence[Tensor], create_graph: bool = False) -> Tensor:
    """The gradient as one vector; zeros where a parameter has no part in the loss."""
    parts = torch.autograd.grad(
        loss, list(parameters), create_graph=create_graph, allow_unused=True
    )
    return torch.cat(
        [
            (torch.zeros_like(p) if part is None else _dense(part)).reshape(-1)
            for p, part in zip(parameters, parts, strict=True)
        ]
    )


@torch.no_grad()
def add_flat(parameters: Sequence[Tensor], vector: Tensor) -> None:
    """Adds a flat vector to parameters, in place."""
    _move(parameters, [p.detach().clone() for p in parameters], vector)


@torch.no_grad()
def _move(parameters: Sequence[Tensor], origin: Sequence[Tensor], step: Tensor | None) -> None:
    start = 0
    for parameter, value in zip(parameters, origin, strict=True):
        parameter.copy_(value)
        if step is not None:
            parameter += step[start : start + value.numel()].view_as(value)
        start += value.numel()


def _dense(gradient: Tensor) -> Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient
