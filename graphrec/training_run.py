"""The state of a training run and its steps."""

import hashlib
import math
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from torch_geometric.data import HeteroData

from graphrec.early_stopping import EarlyStopping
from graphrec.errors import TrainingError
from graphrec.graphs.schema import USER, node_ids, train_edges
from graphrec.models.recommender import Recommender
from graphrec.validation import Validation

_CUDA_CHECK_EVERY = 64  # Reading a loss waits for the GPU; on the CPU it costs nothing.
_NUM_NAMED_USERS = 5


def epoch_generator(
    seed: int, epoch: int, purpose: str, device: torch.device | str = 'cpu'
) -> torch.Generator:
    """The source of randomness of one epoch for one purpose, a function of its arguments
    alone: nothing about it has to be stored to begin the epoch again."""
    digest = hashlib.sha256(f'{seed},{epoch},{purpose}'.encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], 'little') >> 1)


class _Pending(NamedTuple):
    loss: Tensor
    interactions: int
    batch: int
    users: Tensor | None


class TrainingRun:
    r"""What a run is between two batches; :meth:`state_dict` holds all that its next
    batch depends on.

    Attributes:
        epoch: The epoch that it is in, from 1.
        batch: Batches of that epoch that are done.
        stopped: Why it ended, or :obj:`None`.
    """

    def __init__(
        self,
        model: Recommender,
        data: HeteroData,
        sampler: Any,
        optimizer: torch.optim.Optimizer,
        scheduler: LRScheduler | None,
        stopping: EarlyStopping,
        validation: Validation,
        *,
        epochs: int,
        eval_every: int,
        seed: int,
    ) -> None:
        self.model, self.data, self.sampler = model, data, sampler
        self.optimizer, self.scheduler = optimizer, scheduler
        self.stopping, self.validation = stopping, validation
        self.epochs, self.eval_every, self.seed = epochs, eval_every, seed
        self.epoch, self.batch = 1, 0
        self.stopped: str | None = None
        self.rows: list[dict[str, Any]] = []
        self._loss_sum, self._interactions, self._seconds = 0.0, 0, 0.0
        self._pending: list[_Pending] = []
        self._generator: torch.Generator | None = None
        self._generator_state: Tensor | None = None

    @property
    def mean_loss(self) -> float:
        """Mean loss of the epoch so far, over its interactions."""
        return self._loss_sum / self._interactions if self._interactions else math.nan

    def train_epoch(self, after_batch: Callable[[int], None]) -> None:
        """The rest of the epoch; :obj:`after_batch` gets the interactions of each batch.

        Raises:
            TrainingError: At a loss or parameter that is not finite.
        """
        model, optimizer = self.model, self.optimizer
        model.train()
        tick = time.perf_counter()
        device = train_edges(self.data).device
        self._generator = epoch_generator(self.seed, self.epoch, 'model', device)
        model.begin_epoch(self._generator)
        if self._generator_state is not None:  # A model may go on drawing from it.
            self._generator.set_state(self._generator_state)
            self._generator_state = None
        generator = epoch_generator(self.seed, self.epoch, 'sampler', device)
        for batch in self.sampler.epoch(generator, start=self.batch):
            loss = model.loss(batch)
            interactions = self._note(loss, batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            self.batch += 1
            self._seconds += time.perf_counter() - tick
            after_batch(interactions)
            tick = time.perf_counter()
        self.check_losses()
        self._check_parameters()
        self._seconds += time.perf_counter() - tick

    def finish_epoch(self) -> dict[str, Any]:
        """Evaluates if it is time, steps the schedule; returns the epoch's row."""
        row: dict[str, Any] = {
            'epoch': self.epoch,
            'loss': self.mean_loss,
            'lr': float(self.optimizer.param_groups[0]['lr']),
            'seconds': self._seconds,
        }
        self.rows.append(row)
        if self.epoch % self.eval_every == 0 or self.epoch == self.epochs:
            self._evaluate()
        self._step_schedule()
        self.epoch, self.batch = self.epoch + 1, 0
        self._loss_sum, self._interactions, self._seconds = 0.0, 0, 0.0
        self._generator = None
        if self.stopping.should_stop:
            self.stopped = 'patience'
        elif self.epoch > self.epochs:
            self.stopped = 'epochs'
        return row

    def stop(self, reason: str) -> None:
        """Ends the run after the epoch that was just finished, which is evaluated; does
        nothing if the run has ended already."""
        if self.stopped is not None:
            return
        if self.validation.active and self.validation.metric not in self.rows[-1]:
            self._evaluate()
        self.stopped = reason

    def restore_best(self) -> None:
        """Puts the best state into the model if there was a validation to pick one."""
        if self.stopping.best_epoch is not None:
            self.stopping.restore()

    def history(self) -> pd.DataFrame:
        """One row an epoch, see :func:`graphrec.fit`."""
        history = pd.DataFrame(self.rows)
        history.attrs.update(best_epoch=self.stopping.best_epoch, stopped=self.stopped)
        return history

    def check_losses(self) -> None:
        """Adds up the losses not looked at yet.

        Raises:
            TrainingError: At one that is NaN or infinite.
        """
        pending, self._pending = self._pending, []
        for loss, interactions, batch, users in pending:
            value = float(loss)
            if not math.isfinite(value):
                raise TrainingError(self._complaint(value, batch, users))
            self._loss_sum += value * interactions
            self._interactions += interactions

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next batch depends on, as tensors and plain values."""
        return {
            'model': self.model.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'scheduler': None if self.scheduler is None else self.scheduler.state_dict(),
            'stopping': self.stopping.state_dict(),
            'epoch': self.epoch,
            'batch': self.batch,
            'loss_sum': self._loss_sum,
            'interactions': self._interactions,
            'seconds': self._seconds,
            'generator': None if self._generator is None else self._generator.get_state(),
            'rows': self.rows,
            'stopped': self.stopped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.model.load_state_dict(state['model'])
        self.optimizer.load_state_dict(state['optimizer'])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state['scheduler'])
        self.stopping.load_state_dict(state['stopping'])
        self.epoch, self.batch = state['epoch'], state['batch']
        self._loss_sum, self._interactions = state['loss_sum'], state['interactions']
        self._seconds, self.rows = state['seconds'], state['rows']
        self._generator_state, self.stopped = state['generator'], state['stopped']
        if self.stopped == 'epochs' and self.epoch <= self.epochs:
            self.stopped = None  # More epochs were asked for.

    def _note(self, loss: Tensor, batch: Any) -> int:
        users = getattr(batch, 'user', None)
        interactions = int(users.size(0)) if isinstance(users, Tensor) else 1
        named = users[:_NUM_NAMED_USERS] if isinstance(users, Tensor) else None
        self._pending.append(_Pending(loss.detach(), interactions, self.batch + 1, named))
        if not loss.is_cuda or len(self._pending) >= _CUDA_CHECK_EVERY:
            self.check_losses()
        return interactions

    def _evaluate(self) -> None:
        scores = self.validation(self.model)
        if scores:
            row = self.rows[-1]
            row.update(scores)
            self.stopping.update(row['epoch'], row[self.validation.metric])

    def _complaint(self, value: float, batch: int, users: Tensor | None) -> str:
        people = ''
        if users is not None:
            ids = node_ids(self.data, USER)[users.cpu().numpy()].tolist()
            people = f' (its first users: {ids})'
        return (
            f'the loss is {value} at epoch {self.epoch}, batch {batch} of {len(self.sampler)}'
            f'{people}; {self._advice()}'
        )

    def _advice(self) -> str:
        lr = self.optimizer.param_groups[0]['lr']
        return f'lower the learning rate (now {float(lr):g}) or check the features of these nodes'

    def _step_schedule(self) -> None:
        if self.scheduler is None:
            return
        with warnings.catch_warnings():
            # A run resumed at the end of an epoch took its steps in another process.
            warnings.filterwarnings('ignore', 'Detected call of `lr_scheduler.step')
            self.scheduler.step()

    def _check_parameters(self) -> None:
        for name, value in self.model.named_parameters():
            if not bool(torch.isfinite(value.detach()).all()):
                raise TrainingError(
                    f"the parameter '{name}' holds NaN or infinite values at the end of epoch "
                    f'{self.epoch}; {self._advice()}'
                )
