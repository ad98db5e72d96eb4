"""Which settings of a training run are in range."""

import math
from collections.abc import Mapping
from typing import Any

from graphrec.errors import GraphError

_COUNTS = ('epochs', 'batch_size', 'patience', 'eval_every', 'checkpoint_every')


def check_ranges(settings: Mapping[str, Any]) -> None:
    """Checks those of :func:`graphrec.fit` that are there: counts (``patience`` may be
    :obj:`None`), ``lr`` and ``weight_decay``.

    Raises:
        GraphError: If one is out of range.
    """
    for name in _COUNTS:
        if name in settings:
            _check_count(name, settings[name])
    if 'lr' in settings and not (math.isfinite(settings['lr']) and settings['lr'] > 0):
        raise GraphError(f"'lr' must be above 0 and finite (got {settings['lr']})")
    decay = settings.get('weight_decay', 0.0)
    if not (math.isfinite(decay) and decay >= 0):
        raise GraphError(f"'weight_decay' must be finite and not negative (got {decay})")


def _check_count(name: str, value: int | None) -> None:
    if name == 'patience' and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise GraphError(f"'{name}' must be a whole number of at least 1 (got {value!r})")
