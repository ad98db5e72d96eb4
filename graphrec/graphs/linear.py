"""Linear operators and their algebra: products, sums, transposes, autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

from graphrec.errors import GraphError


class Operator:
    r"""A linear map from :math:`\mathbb{R}^{m}` to :math:`\mathbb{R}^{n}`.

    Attributes:
        shape: :math:`(n, m)`.
    """

    shape: tuple[int, int]

    @property
    def T(self) -> Operator:  # noqa: N802
        """The transpose; ``op.T.T`` is ``op``."""
        raise NotImplementedError

    def apply(self, x: Tensor) -> Tensor:
        """The product with :math:`(m, d)`, outside autograd."""
        raise NotImplementedError

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        """A copy on :obj:`device` with weights of :obj:`dtype`. Products are computed
        in that type and come back in the type of ``x``; ``torch.bfloat16`` halves the
        bytes moved, ``torch.float64`` serves ``gradcheck``."""
        raise NotImplementedError

    def to_dense(self, device: torch.device | str | None = None) -> Tensor:
        """The matrix :math:`(n, m)` in double precision; for tests and small graphs. An
        operator on another device than the CPU needs :obj:`device`."""
        return self @ torch.eye(self.shape[1], dtype=torch.float64, device=device)

    @overload
    def __matmul__(self, other: Tensor) -> Tensor: ...
    @overload
    def __matmul__(self, other: Operator) -> Operator: ...
    def __matmul__(self, other: Tensor | Operator) -> Tensor | Operator:
        if isinstance(other, Operator):
            return Product([self, other])
        if not isinstance(other, Tensor):
            return NotImplemented
        if other.dim() not in (1, 2) or other.size(0) != self.shape[1]:
            raise GraphError(
                f"'x' has shape {list(other.shape)}, expected [{self.shape[1]}, d] to be "
                f'multiplied by an operator of shape {list(self.shape)}'
            )
        if not other.is_floating_point():
            raise GraphError(
                f"'x' has type {other.dtype}, in which weights would be cut to whole numbers; "
                'pass x.float() or x.double()'
            )
        if other.dim() == 1:
            return (self @ other.unsqueeze(1)).squeeze(1)
        return _Apply.apply(other, self)

    def __add__(self, other: Operator) -> Operator:
        return Sum([self, other])

    def __sub__(self, other: Operator) -> Operator:
        return Sum([self, -other])

    def __mul__(self, factor: float) -> Operator:
        # Double precision, so that a factor such as 0.1 is exact for a float64 'x'.
        scale = torch.tensor(float(factor), dtype=torch.float64).expand(self.shape[0])
        return Product([Diagonal(scale), self])

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Operator:
        return self * (1.0 / divisor)

    def __neg__(self) -> Operator:
        return self * -1.0

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.shape[0]}, {self.shape[1]})'


class _Apply(torch.autograd.Function):
    """``op @ x`` whose backward is ``op.T @ grad`` (and can be differentiated again)."""

    @staticmethod
    def forward(ctx, x: Tensor, op: Operator) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.op = op
        return op.apply(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, None]:  # type: ignore[no-untyped-def]
        return (_Apply.apply(grad, ctx.op.T), None) if ctx.needs_input_grad[0] else (None, None)


class Identity(Operator):
    r""":math:`\mathbf{I}_n`."""

    def __init__(self, size: int) -> None:
        self.shape = (size, size)

    @property
    def T(self) -> Operator:  # noqa: N802
        return self

    def apply(self, x: Tensor) -> Tensor:
        return x.clone()

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return self


class Diagonal(Operator):
    r""":math:`\mathrm{diag}(\mathbf{d})`.

    Args:
        diagonal: :math:`\mathbf{d}`, shape :math:`(n)`.
    """

    def __init__(self, diagonal: Tensor) -> None:
        if diagonal.dim() != 1:
            raise GraphError(f"'diagonal' has shape {list(diagonal.shape)}, expected [n]")
        self.diagonal = diagonal
        self.shape = (diagonal.numel(), diagonal.numel())

    @property
    def T(self) -> Operator:  # noqa: N802
        return self

    def apply(self, x: Tensor) -> Tensor:
        return self.diagonal.to(x.device, x.dtype).unsqueeze(1) * x

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return Diagonal(self.diagonal.to(device=device, dtype=dtype))


class Product(Operator):
    r""":math:`\mathbf{A}_1 \mathbf{A}_2 \cdots`, applied from the right; the product
    matrix is never formed."""

    def __init__(self, factors: Sequence[Operator]) -> None:
        self.factors: list[Operator] = []
        for factor in factors:
            self.factors += factor.factors if isinstance(factor, Product) else [factor]
        for left, right in zip(self.factors, self.factors[1:], strict=False):
            if left.shape[1] != right.shape[0]:
                raise GraphError(
                    f'shapes {list(left.shape)} and {list(right.shape)} do not multiply'
                )
        self.shape = (self.factors[0].shape[0], self.factors[-1].shape[1])

    @property
    def T(self) -> Operator:  # noqa: N802
        return Product([factor.T for factor in reversed(self.factors)])

    def apply(self, x: Tensor) -> Tensor:
        for factor in reversed(self.factors):
            x = factor.apply(x)
        return x

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return Product([factor.to(device, dtype) for factor in self.factors])


class Sum(Operator):
    r""":math:`\mathbf{A}_1 + \mathbf{A}_2 + \cdots`."""

    def __init__(self, terms: Sequence[Operator]) -> None:
        self.terms = list(terms)
        shapes = {term.shape for term in self.terms}
        if len(shapes) != 1:
            raise GraphError(f'operators of shapes {sorted(shapes)} do not add up')
        self.shape = self.terms[0].shape

    @property
    def T(self) -> Operator:  # noqa: N802
        return Sum([term.T for term in self.terms])

    def apply(self, x: Tensor) -> Tensor:
        out = self.terms[0].apply(x)
        for term in self.terms[1:]:
            if isinstance(term, Diagonal):
                out.addcmul_(term.diagonal.to(x.dtype).unsqueeze(1), x)
            else:
                out += term.apply(x)
        return out

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return Sum([term.to(device, dtype) for term in self.terms])
