"""Averages under a softmax, without its matrix: what attention computes is also the gradient
of a log-sum-exp."""

import torch
from torch import Tensor

# The kernel behind torch's attention on the CPU. It alone returns the log-sum-exp.
_KERNEL = getattr(torch.ops.aten, '_scaled_dot_product_flash_attention_for_cpu', None)
_DTYPES = (torch.float32, torch.float64)
# Below so many logits the blocks of the sweep are as fast.
_MIN_LOGITS = 2**18


def fused_softmax_fits(a: Tensor, b: Tensor) -> bool:
    """Whether :func:`softmax_mean` can serve tables :math:`(B, d)` and :math:`(C, d)`."""
    large = a.size(0) * b.size(0) >= _MIN_LOGITS
    return _KERNEL is not None and large and not a.is_cuda and a.dtype in _DTYPES


def softmax_mean(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    offset: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Averages of rows under a softmax, and its normaliser,

    .. math::
        \ell_b = \log \sum_c \exp(s \, \mathbf{q}_b^{\top} \mathbf{k}_c + o_c), \qquad
        \mathbf{m}_b = \sum_c \exp(s \, \mathbf{q}_b^{\top} \mathbf{k}_c + o_c - \ell_b) \,
        \mathbf{v}_c

    by torch's attention kernel, whose blocks stay in cache (`"FlashAttention"
    <https://arxiv.org/abs/2205.14135>`_, Alg. 1). No gradient.

    Args:
        query: :math:`\mathbf{Q}`, shape :math:`(B, d)`; float32, float64 or bfloat16.
        key: :math:`\mathbf{K}`, shape :math:`(C, d)`.
        value: :math:`\mathbf{V}`, shape :math:`(C, d)`.
        scale: :math:`s`.
        offset: :math:`\mathbf{o}` :math:`(C)`, in float32 where the tables are bfloat16;
            zero if omitted.

    Returns:
        :math:`\mathbf{m}` :math:`(B, d)` in the type of the tables and :math:`\ell`
        :math:`(B)`, in float32 where these are bfloat16.
    """
    assert _KERNEL is not None
    mask = None if offset is None else offset.view(1, 1, 1, -1)
    mean, total = _KERNEL(
        query[None, None],
        key[None, None],
        value[None, None],
        0.0,
        False,
        attn_mask=mask,
        scale=scale,
    )
    return mean[0, 0], total.reshape(-1)
