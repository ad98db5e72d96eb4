"""The edit and nothing else."""

import dataclasses

from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class EditOnlyOptions:
    """There are none."""


def edit_only(task: Task, options: EditOnlyOptions) -> Outcome:
    r"""The original's parameters on the edited graph, with rows of removed nodes and feature
    rows of removed modalities drawn anew. All other parameters still hold what the
    forgotten interactions taught. No guarantee, no gradient step."""
    task.settle()
    return Outcome(task.model, 0, 'the graph alone was edited')
