"""What a person sees of a training run: the progress bar and the TensorBoard log."""

import math
import os
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from graphrec.errors import GraphError
from graphrec.storage import explained

_REFRESH_SECONDS = 0.5


class TrainingLog:
    r"""A progress bar over all batches with loss, validation metric and interactions a
    second, and scalars for TensorBoard.

    Args:
        total: Batches of the whole run.
        done: Batches that a resumed run has behind it.
        progress: Whether to show the bar.
        tensorboard: Folder of the TensorBoard log; none if omitted.
        first_epoch: The epoch that a resumed run goes on with.

    Raises:
        GraphError: If :obj:`tensorboard` is asked for and not installed, or its folder cannot
            be written.
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        *,
        progress: bool = True,
        tensorboard: str | os.PathLike[str] | None = None,
        first_epoch: int = 1,
    ) -> None:
        self._writer = None if tensorboard is None else open_writer(tensorboard, first_epoch)
        self._bar = tqdm(
            total=total, initial=done, disable=not progress, unit='batch', desc='train'
        )
        self._shown: dict[str, str] = {}
        self._count = 0
        self._since = time.monotonic()

    def step(self, epoch: int, loss: float, interactions: int) -> None:
        """One batch is done; :obj:`loss` is the mean of the epoch so far."""
        self._bar.update(1)
        self._count += interactions
        now = time.monotonic()
        if not self._bar.disable and now - self._since >= _REFRESH_SECONDS:
            speed = f'{tqdm.format_sizeof(self._count / (now - self._since))} interactions/s'
            self._shown.update(epoch=str(epoch), loss=f'{loss:.4f}', speed=speed)
            self._bar.set_postfix(self._shown, refresh=False)
            self._count, self._since = 0, now

    def epoch(self, row: dict[str, Any], metric: str | None) -> None:
        """One epoch is done, with its row of the history."""
        self._shown.update(epoch=str(row['epoch']), loss=f'{row["loss"]:.4f}')
        if metric in row:
            self._shown[str(metric)] = f'{row[metric]:.4f}'
        self._bar.set_postfix(self._shown, refresh=False)
        self._count, self._since = 0, time.monotonic()
        if self._writer is not None:
            for name, value in row.items():
                if name != 'epoch' and not math.isnan(value):
                    self._writer.add_scalar(name, value, row['epoch'])

    def close(self) -> None:
        """Ends the bar and the log."""
        self._bar.close()
        if self._writer is not None:
            self._writer.close()


def open_writer(folder: str | os.PathLike[str], first_epoch: int) -> Any:
    """A TensorBoard writer; what a killed run had logged from :obj:`first_epoch` on is
    hidden."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise GraphError(
            f"'tensorboard' is {str(folder)!r}, but TensorBoard is not installed ({error}); "
            "run: pip install 'graphrec[tensorboard]'"
        ) from error
    with explained(Path(folder)):
        return SummaryWriter(str(folder), purge_step=first_epoch if first_epoch > 1 else None)
