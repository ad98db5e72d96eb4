"""Products in bfloat16 of float32 tables on the processor."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def bf16_products(enabled: bool, *tables: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tables to multiply in place of the given ones, so that products are in bfloat16.

    On a GPU they are copies in bfloat16. On the CPU they stay as they are: oneDNN rounds
    float32 factors on their way in, adds up in float32 and returns float32, so that nothing
    else loses digits; where it has no such products, they are in float32. The setting is the
    process's own (:obj:`torch.backends.mkldnn`) and put back at the end: float32 products of
    other threads may be rounded meanwhile.
    """
    if not enabled:
        yield tables
    elif tables[0].device.type != 'cpu':
        yield tuple(table.bfloat16() for table in tables)
    else:
        setting = torch.backends.mkldnn.matmul
        before = setting.fp32_precision
        setting.fp32_precision = 'bf16'
        try:
            yield tables
        finally:
            setting.fp32_precision = before
