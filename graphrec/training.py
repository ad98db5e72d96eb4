r"""The one training loop. A model gives its loss and its sampler; optimiser, epochs, early
stopping, checkpoints and progress stay here.
"""

import dataclasses
import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphrec.checkpoint import CheckpointWriter, check_settings, read_checkpoint
from graphrec.early_stopping import EarlyStopping
from graphrec.errors import GraphError, TrainingError
from graphrec.fit_ranges import check_ranges
from graphrec.graphs.schema import num_items, num_users, train_edges
from graphrec.interrupt import DeferredInterrupt
from graphrec.memory import available_memory, check, estimate
from graphrec.models.recommender import Recommender
from graphrec.schedules import Schedule, make_schedule
from graphrec.training_log import TrainingLog
from graphrec.training_run import TrainingRun
from graphrec.validation import Validation

MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
Callback = Callable[[Recommender, dict[str, Any]], Any]

_logger = logging.getLogger(__name__)


def fit(
    model: Recommender,
    data: HeteroData,
    *,
    epochs: int = 100,
    batch_size: int = 2048,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    seed: int = 0,
    metric: str = 'recall@20',
    eval_every: int = 5,
    patience: int | None = 10,
    optimizer: MakeOptimizer | None = None,
    schedule: Schedule = None,
    sampler: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 5,
    checkpoint_minutes: float | None = 10.0,
    resume: bool = True,
    tensorboard: str | os.PathLike[str] | None = None,
    progress: bool = True,
    memory_limit: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> pd.DataFrame:
    r"""Trains :obj:`model` in place and returns the history, one row an epoch.

    If the graph has edges ``('user', 'holdout_valid', 'item')``, the model is evaluated on
    them every :obj:`eval_every` epochs and after the last one, training stops once
    :obj:`patience` evaluations brought no better value, and the best state is restored.
    Otherwise it trains for all epochs and keeps the last state. Test edges are never read.

    **Same seed, same result:** all randomness of epoch :math:`e` derives from
    ``(seed, e)``, separately for the model (:meth:`Recommender.begin_epoch`) and the
    sampler. The same machine, number of threads and versions give the same bits; another
    number of threads or a GPU may add numbers in another order.

    **Killed and resumed:** with :obj:`checkpoint`, a run that was killed at any moment goes
    on from its last checkpoint when the same call is made again, and ends with the same
    bits as one that was not. Ctrl-C writes a checkpoint after the current batch and then
    raises :class:`KeyboardInterrupt`; a second Ctrl-C interrupts at once. A finished run is
    not repeated; a larger :obj:`epochs` goes on with it, unless the schedule is ``'cosine'``.

    A model in closed form is not trained: its history is one row for epoch 0.

    Args:
        model: The model; left in evaluation mode.
        data: The graph that the model was built from.
        epochs: Passes over the training edges.
        batch_size: Interactions a step.
        lr: Learning rate of the default optimiser.
        weight_decay: Weight decay of the default optimiser; models have their own
            regularisation in the loss.
        seed: Seed of sampling and of whatever the model redraws each epoch.
        metric: Validation metric as ``name@k``; higher is better. ``search_name@k`` is one of
            the validation searches, for models with queries.
        eval_every: Epochs between evaluations.
        patience: Evaluations without improvement; :obj:`None` never stops early.
        optimizer: Function from the parameters to a torch optimiser, with its own
            learning rate; by default fused Adam with :obj:`lr`, or lazy Adam for a model
            with sparse gradients.
        schedule: :obj:`None`, ``'cosine'``, ``'exponential'``, a factor or a function, see
            :func:`graphrec.schedules.make_schedule`.
        sampler: Replaces ``model.make_sampler(data, batch_size)``.
        checkpoint: Folder of the checkpoint.
        checkpoint_every: Epochs between checkpoints.
        checkpoint_minutes: Minutes after which one is written between two batches too;
            :obj:`None` for never.
        resume: Whether to go on from a checkpoint; otherwise it is overwritten.
        tensorboard: Folder of a TensorBoard log (needs the extra ``tensorboard``).
        progress: Whether to show a progress bar.
        memory_limit: Bytes that the whole of training may take; by default what the
            machine has free.
        callbacks: Called as ``callback(model, row)`` after each epoch; training stops if
            one returns :obj:`True`.

    Returns:
        Columns ``epoch``, ``loss`` (mean over the interactions), ``lr``, ``seconds`` (of
        training alone), and the validation metrics, NaN where not evaluated. ``attrs`` holds
        ``best_epoch`` (:obj:`None` without validation edges) and ``stopped``
        (``'epochs'``, ``'patience'``, ``'callback'`` or ``'closed form'``).

    Raises:
        GraphError: If an argument is out of range, the model has other users or items than
            the graph, or the checkpoint was made with other settings.
        CapacityError: If the estimate exceeds the memory limit; before training starts.
        TrainingError: At a NaN or infinite loss, naming the batch; the model holds its best
            state, or the one that it came with.
    """
    check_ranges(
        {
            'epochs': epochs,
            'batch_size': batch_size,
            'patience': patience,
            'eval_every': eval_every,
            'checkpoint_every': checkpoint_every,
            'lr': lr,
            'weight_decay': weight_decay,
        }
    )
    if checkpoint_minutes is not None and not checkpoint_minutes >= 0:
        raise GraphError(f"'checkpoint_minutes' must not be negative (got {checkpoint_minutes})")
    validation = Validation(data, metric)
    _check_model(model, data)
    if not model.is_trainable:
        return _closed_form(model, validation)
    _check_memory(model, data, batch_size, optimizer, memory_limit)

    if sampler is None:
        sampler = model.make_sampler(data, batch_size)
    stepper = _make_optimizer(model, optimizer, lr, weight_decay)
    run = TrainingRun(
        model,
        data,
        sampler,
        stepper,
        make_schedule(schedule, stepper, epochs),
        EarlyStopping(model, patience),
        validation,
        epochs=epochs,
        eval_every=eval_every,
        seed=seed,
    )
    settings = {
        'model': type(model).__name__,
        **{f'model.{name}': value for name, value in _plain(model.config).items()},
        'optimizer': type(stepper).__name__,
        **_plain(stepper.defaults),
        'batch_size': batch_size,
        'seed': seed,
        'metric': metric,
        'eval_every': eval_every,
        'patience': patience,
        'schedule': 'own' if callable(schedule) else schedule,
        'sampler': type(sampler).__name__,
        'batches': len(sampler),
        'training edges (SHA-256)': model.data_digest(data),
        'validation edges (SHA-256)': validation.digest,
        'epochs': epochs,
    }
    writer = CheckpointWriter(checkpoint, settings, checkpoint_every, checkpoint_minutes)
    if resume and checkpoint is not None:
        _resume(run, checkpoint, settings)
    log = TrainingLog(
        epochs * len(sampler),
        (run.epoch - 1) * len(sampler) + run.batch,
        progress=progress,
        tensorboard=tensorboard,
        first_epoch=run.epoch,
    )
    try:
        with DeferredInterrupt(enabled=checkpoint is not None) as interrupt:
            _train(run, writer, log, callbacks, interrupt)
    except TrainingError as error:
        run.stopping.restore()
        raise TrainingError(f'{error}; the model holds {_restored(run)}') from error
    finally:
        model.eval()
        log.close()
    return run.history()


def _train(
    run: TrainingRun,
    writer: CheckpointWriter,
    log: TrainingLog,
    callbacks: Sequence[Callback],
    interrupt: DeferredInterrupt,
) -> None:
    def after_batch(interactions: int) -> None:
        log.step(run.epoch, run.mean_loss, interactions)
        if interrupt.received or writer.minutes_passed:
            run.check_losses()
            writer.write(run.state_dict())
        if interrupt.received:
            raise KeyboardInterrupt

    while run.stopped is None:
        run.train_epoch(after_batch)
        row = run.finish_epoch()
        for callback in callbacks:
            if callback(run.model, dict(row)):
                run.stop('callback')
        log.epoch(row, run.validation.metric)
        if run.stopped or interrupt.received or writer.is_due(row['epoch']):
            writer.write(run.state_dict())
        if interrupt.received:
            run.restore_best()
            raise KeyboardInterrupt
    run.restore_best()


def _resume(run: TrainingRun, folder: str | os.PathLike[str], settings: dict[str, Any]) -> None:
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        return
    saved = dict(checkpoint.settings)
    if settings['schedule'] != 'cosine' and saved['epochs'] < settings['epochs']:
        saved['epochs'] = settings['epochs']
    check_settings(folder, saved, settings)
    run.load_state_dict(checkpoint.state)
    _logger.info("went on from the checkpoint in '%s' at epoch %d", folder, run.epoch)


def _restored(run: TrainingRun) -> str:
    epoch = run.stopping.best_epoch
    return 'its state from before training' if epoch is None else f'its best state, epoch {epoch}'


def _make_optimizer(
    model: Recommender, make: MakeOptimizer | None, lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if make is None and model.sparse_gradients:
        if weight_decay:
            raise GraphError(
                f"'weight_decay' is {weight_decay}, but sparse steps have none; use the model's "
                "'reg', or sparse=False"
            )
        return torch.optim.SparseAdam(parameters, lr=lr)
    if make is None:
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)
    made = make(parameters)
    if not isinstance(made, torch.optim.Optimizer):
        raise GraphError(
            "'optimizer' must be a function from the parameters to a torch optimiser (it gave "
            f'{type(made).__name__})'
        )
    return made


def _closed_form(model: Recommender, validation: Validation) -> pd.DataFrame:
    row = {'epoch': 0, 'loss': math.nan, 'lr': math.nan, 'seconds': 0.0, **validation(model)}
    history = pd.DataFrame([row])
    history.attrs.update(best_epoch=0 if validation.active else None, stopped='closed form')
    return history


def _check_model(model: Recommender, data: HeteroData) -> None:
    for name, has, wants in (
        ('users', model.num_users, num_users(data)),
        ('items', model.num_items, num_items(data)),
    ):
        if has != wants:
            raise GraphError(
                f"the model was built for {has} {name}, but 'data' has {wants}; build it with "
                f'{type(model).__name__}.from_graph(data, ...)'
            )
    if model.is_trainable and train_edges(data).size(1) == 0:
        raise GraphError("'data' has no training edges to learn from")


def _check_memory(
    model: Recommender,
    data: HeteroData,
    batch_size: int,
    optimizer: MakeOptimizer | None,
    limit: int | None,
) -> None:
    needed = estimate(
        model, data, batch_size=batch_size, optimizer='adam' if optimizer is None else 'other'
    )
    if limit is not None:
        check(needed, limit)
        return
    device = next(model.parameters()).device
    free = available_memory(device)
    if free is not None:  # What is built already is no longer free.
        check(needed, free + needed.built)


def _plain(value: Any) -> Any:
    """Settings as plain values that compare and store; others by their text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
