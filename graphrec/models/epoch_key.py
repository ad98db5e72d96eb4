"""How a run that was killed within an epoch goes on with what the epoch had drawn."""

from typing import Any

import torch

_INT63 = 2**63 - 1


class EpochKey(torch.nn.Module):
    """What a module redraws every epoch and keeps as state, it redraws once: not again in the
    rest of an epoch that began in another process. The epoch is known by the seed of its
    generator, a buffer; a subclass calls :meth:`register_epoch_key` in its constructor."""

    epoch_key: torch.Tensor
    _restored: bool

    def register_epoch_key(self, device: torch.device | None = None) -> None:
        """Makes the buffer."""
        self.register_buffer('epoch_key', torch.full((), -1, dtype=torch.long, device=device))
        self._restored = False

    def forget_epoch(self) -> None:
        """No epoch has begun."""
        if 'epoch_key' in self._buffers:
            self.epoch_key.fill_(-1)

    def is_new_epoch(self, generator: torch.Generator) -> bool:
        """Whether the epoch of a generator begins now, rather than goes on from a restored
        state. Asked once an epoch."""
        key = generator.initial_seed() & _INT63
        again = self._restored and int(self.epoch_key) == key
        self._restored = False
        self.epoch_key.fill_(key)
        return not again

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._restored = True
