"""Suppression: the same-day step, in serving alone."""

import dataclasses

from graphrec.graphs.schema import ITEM, USER
from graphrec.unlearn.fresh_rows import copy_on
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class SuppressOptions:
    """There are none."""


def suppress(task: Task, options: SuppressOptions) -> Outcome:
    r"""Leaves the model as it was, on its old graph, and marks removed users and items there
    (``is_removed``), so that they are neither served nor candidates; forgotten pairs stay
    training items of their user and are never recommended again. The model remembers
    everything: class S, not unlearning."""
    data = task.original_data.clone()
    for kind in (USER, ITEM):
        removed = task.data[kind].get('is_removed')
        if removed is not None:
            data[kind].is_removed = removed.clone()
    model, _ = copy_on(task.original, data)
    note = 'suppressed in serving only: parameters and graph still hold what was to be forgotten'
    return Outcome(model, 0, 'serving filter set', [note], data=data)
