"""Retraining: what all other methods are measured against."""

import dataclasses
import time

from graphrec.training import fit
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class GoldOptions:
    """There are none: training settings come with the request."""


def gold(task: Task, options: GoldOptions) -> Outcome:
    r"""Trains the same model from a fresh draw on the edited graph, with the seed of the
    request for draw and training. Exact, as far as hyper-parameters chosen with the
    forgotten data at hand are not themselves a trace of it."""
    config = task.original.config
    if any(field.name == 'seed' for field in dataclasses.fields(config)):
        config = dataclasses.replace(config, seed=task.seed)
    model = type(task.original)(task.data, config)
    begin = time.perf_counter()
    history = fit(model, task.data, seed=task.seed, progress=task.progress, **task.fit)
    seconds = time.perf_counter() - begin
    steps = len(history) * len(task.sampler) if model.is_trainable else 0
    return Outcome(
        model,
        steps,
        f'trained anew ({len(history)} epochs, stopped by {history.attrs["stopped"]})',
        evaluation=max(0.0, seconds - float(history['seconds'].sum())),
    )
