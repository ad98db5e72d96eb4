"""The best state of a model so far, and when to stop looking for a better one."""

import math
from typing import Any

import torch
from torch import Tensor


class EarlyStopping:
    r"""Keeps the parameters of the epoch with the highest validation metric.

    Before the first evaluation the best state is the one at the start.

    Args:
        model: The model whose state is kept.
        patience: Evaluations without a new best after which to stop; :obj:`None` never
            stops.

    Attributes:
        best_epoch: The epoch of the best value, :obj:`None` before the first one.
        best_value: Its metric.
        misses: Evaluations since then.
    """

    def __init__(self, model: torch.nn.Module, patience: int | None = 10) -> None:
        self.model = model
        self.patience = patience
        self.best_epoch: int | None = None
        self.best_value = -math.inf
        self.misses = 0
        self._best: dict[str, Tensor] = {}
        self._keep()

    def update(self, epoch: int, value: float) -> bool:
        """Takes the metric of an epoch; says whether it is a new best. NaN never is."""
        if value > self.best_value:
            self.best_epoch, self.best_value, self.misses = epoch, float(value), 0
            self._keep()
            return True
        self.misses += 1
        return False

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.misses >= self.patience

    def restore(self) -> None:
        """Puts the best state back into the model."""
        self.model.load_state_dict(self._best)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the patience."""
        return {
            'best': self._best,
            'best_epoch': self.best_epoch,
            'best_value': self.best_value,
            'misses': self.misses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.best_epoch, self.best_value = state['best_epoch'], state['best_value']
        self.misses = state['misses']
        for name, value in state['best'].items():
            self._best[name].copy_(value)

    @torch.no_grad()
    def _keep(self) -> None:
        for name, value in self.model.state_dict().items():
            if name in self._best:  # In place: a large model is not held a third time.
                self._best[name].copy_(value)
            else:
                self._best[name] = value.clone()
