"""Averages under a softmax, without its matrix: what attention computes is also the gradient
of a log-sum-exp."""

import torch
from torch import Tensor
from torch.nn import functional as F

# The kernels behind torch's attention that return the log-sum-exp too.
_CPU_KERNEL = getattr(torch.ops.aten, '_scaled_dot_product_flash_attention_for_cpu', None)
_CUDA_KERNEL = getattr(torch.ops.aten, '_scaled_dot_product_flash_attention', None)
_CPU_DTYPES = (torch.float32, torch.float64)
# Below so many logits the blocks of the sweep are as fast.
_MIN_LOGITS = 2**18
# The first NVIDIA generation that multiplies in bfloat16; the kernel's widest rows, less eight
# columns for an offset.
_MIN_CAPABILITY = (8, 0)
_MAX_CUDA_DIM = 248
_OFFSET_DIGITS = 3


def fused_softmax_fits(a: Tensor, b: Tensor, bf16: bool = False) -> bool:
    """Whether :func:`softmax_mean` can serve tables :math:`(B, d)` and :math:`(C, d)`, which
    :obj:`bf16` would round to bfloat16 first; on a GPU there is no other way."""
    if a.size(0) * b.size(0) < _MIN_LOGITS:
        return False
    if a.is_cuda:
        able = bf16 and _CUDA_KERNEL is not None and a.size(1) <= _MAX_CUDA_DIM
        return able and torch.cuda.get_device_capability(a.device) >= _MIN_CAPABILITY
    return _CPU_KERNEL is not None and a.dtype in _CPU_DTYPES


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
        query: :math:`\mathbf{Q}`, shape :math:`(B, d)`; float32, float64 or bfloat16, on a GPU
            bfloat16 alone.
        key: :math:`\mathbf{K}`, shape :math:`(C, d)`.
        value: :math:`\mathbf{V}`, shape :math:`(C, d)`.
        scale: :math:`s`.
        offset: :math:`\mathbf{o}` :math:`(C)`, in float32 where the tables are bfloat16;
            zero if omitted.

    Returns:
        :math:`\mathbf{m}` :math:`(B, d)` in the type of the tables and :math:`\ell`
        :math:`(B)`, in float32 where these are bfloat16.
    """
    if query.is_cuda:
        return _on_cuda(query, key, value, scale, offset)
    assert _CPU_KERNEL is not None
    mask = None if offset is None else offset.view(1, 1, 1, -1)
    mean, total = _CPU_KERNEL(
        query[None, None],
        key[None, None],
        value[None, None],
        0.0,
        False,
        attn_mask=mask,
        scale=scale,
    )
    return mean[0, 0], total.reshape(-1)


def fold_offset(query: Tensor, key: Tensor, scale: float, offset: Tensor) -> tuple[Tensor, Tensor]:
    r"""Tables with further columns, whose scaled products hold the offset:
    :math:`s \, \mathbf{q}_b'^{\top} \mathbf{k}_c' = s \, \mathbf{q}_b^{\top} \mathbf{k}_c + o_c`.

    The columns of the keys are :math:`o_c / s` in pieces of the tables' precision, each the
    rest of those before it, so that bfloat16 keeps about 24 bits of it.
    """
    rest, digits = offset.float() / scale, []
    for _ in range(_OFFSET_DIGITS):
        digits.append(rest.to(key.dtype))
        rest = rest - digits[-1].float()
    ones = query.new_ones(query.size(0), _OFFSET_DIGITS)
    return torch.cat([query, ones], dim=1), torch.cat([key, torch.stack(digits, dim=1)], dim=1)


def _on_cuda(
    query: Tensor, key: Tensor, value: Tensor, scale: float, offset: Tensor | None
) -> tuple[Tensor, Tensor]:
    """That kernel takes no mask, and widths in multiples of 8."""
    assert _CUDA_KERNEL is not None
    width = value.size(1)
    if offset is not None:
        query, key = fold_offset(query, key, scale, offset)
    full = -(-query.size(1) // 8) * 8
    query, key, value = (
        F.pad(table, (0, full - table.size(1)))[None, None] for table in (query, key, value)
    )
    mean, total = _CUDA_KERNEL(query, key, value, 0.0, False, scale=scale)[:2]
    return mean[0, 0, :, :width], total.reshape(-1)[: query.size(2)]
