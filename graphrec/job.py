"""From a folder to a judged and saved model: the work behind ``graphrec train``."""

import dataclasses
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from graphrec import memory, runs
from graphrec.checkpoint import read_checkpoint
from graphrec.errors import GraphError
from graphrec.evaluation import Evaluation, evaluate
from graphrec.feature_digest import feature_digest
from graphrec.graphs.schema import USER, node_ids, num_items
from graphrec.models import Popularity
from graphrec.persistence import check_replaceable, save
from graphrec.ranking import check_k
from graphrec.training import fit
from graphrec.writing_place import check_writable

BATCH_SIZE = 2048


@dataclasses.dataclass(frozen=True)
class Trained:
    """What became of a training run.

    Attributes:
        model: Name of the model.
        split: The part that the scores are of: ``'test'``, or ``'valid'`` without one.
        scores: One row a model (the trained one, then Popularity), one column a metric.
        evaluation: Scores of the trained model with the counts of dropped users.
        history: One row an epoch.
        memory: Estimate in bytes, made before the training.
        folder: Where the model was saved.
        next_command: A command line that serves from it.
    """

    model: str
    split: str
    scores: pd.DataFrame
    evaluation: Evaluation
    history: pd.DataFrame
    memory: int
    folder: Path
    next_command: str

    def counts(self) -> list[str]:
        """How the scores were made and which users are not in them, in sentences."""
        return [
            self.evaluation.protocol,
            *(f'left out: {n:,} users: {why}' for why, n in self.evaluation.dropped.items() if n),
            *(f'note: {n:,} {what}' for what, n in self.evaluation.notes.items() if n),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            'model': self.model,
            'split': self.split,
            'scores': self.scores,
            'users': self.evaluation.num_users,
            'dropped': self.evaluation.dropped,
            'protocol': self.evaluation.protocol,
            'epochs': len(self.history),
            'best_epoch': self.history.attrs.get('best_epoch'),
            'memory_bytes': self.memory,
            'saved': self.folder,
            'next': self.next_command,
        }


def train(
    source: str,
    out: Path,
    name: str,
    settings: dict[str, Any],
    *,
    how: str | None = None,
    load: Mapping[str, Any] | None = None,
    seed: int = 0,
    k: Sequence[int] = (10, 20),
    metric: str | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: bool = True,
    note: Callable[[str], None] | None = None,
    **options: Any,
) -> Trained:
    r"""Prepares :obj:`source`, trains a model on it, judges it beside ``Popularity`` and
    saves it with the record of how its graph was made.

    Args:
        source: A folder, or ``planted``.
        out: Folder of the saved model.
        name: A key of :data:`graphrec.runs.MODELS`.
        settings: Fields of the model's config.
        how: Split to make anew; ``None`` keeps the data's own.
        load: Arguments of :func:`graphrec.load`.
        seed: Seed of the split, the initial parameters and the training.
        k: Cut-offs of the scores.
        metric: Validation metric; by default recall at the largest cut-off.
        checkpoint: Folder of the checkpoint of :func:`graphrec.fit`.
        resume: Whether to go on from the checkpoint that is there.
        progress: Whether to show a progress bar.
        note: Takes sentences about the way.
        options: Further arguments of :func:`graphrec.fit`.

    Raises:
        GraphError: If an argument is out of range or :obj:`checkpoint` holds a run that
            was not asked to go on.
    """
    if resume and checkpoint is None:
        raise GraphError("'--resume' needs to know where from: add '--checkpoint DIR'")
    if checkpoint is not None and not resume and read_checkpoint(checkpoint) is not None:
        raise GraphError(
            f"'{checkpoint}' holds the checkpoint of a run; add '--resume' to go on with it, or "
            'name another folder'
        )
    note = note or (lambda sentence: None)
    _check_folder(out)
    data, steps = runs.prepare(source, how, seed, load)
    split = 'test' if runs.holds(data, 'test') else 'valid'
    if split == 'valid':
        note('the data has no test part: the scores are of the part that chose the epoch')
    for length in k:
        check_k(length, num_items(data), 'items')
    for sentence in runs.describe_steps(data, steps):
        note(sentence)
    kind = runs.model_class(name)
    if 'seed' in {field.name for field in dataclasses.fields(kind.config_class)}:
        settings = {'seed': seed, **settings}
    needed = memory.estimate(
        kind, data, batch_size=options.get('batch_size', BATCH_SIZE), **settings
    )
    note(f'training will take about {memory.format_bytes(needed.total)} of memory')
    memory.check(needed)
    model = kind.from_graph(data, **settings)
    history = fit(
        model,
        data,
        seed=seed,
        metric=metric or f'recall@{max(k)}',
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
        **options,
    )
    save(model, out)
    runs.write_record(out, source, steps, feature_digest(model, data))
    masks = runs.masked_parts(steps, split)
    evaluation = evaluate(model, data, split=split, k=k, mask=masks)
    baseline = evaluate(Popularity.from_graph(data), data, split=split, k=k, mask=masks)
    return Trained(
        model=kind.__name__,
        split=split,
        scores=scores_table({kind.__name__: evaluation, 'Popularity': baseline}),
        evaluation=evaluation,
        history=history,
        memory=needed.total,
        folder=out,
        next_command=shlex.join(
            ['graphrec', 'recommend', str(out), source, '--users', str(node_ids(data, USER)[0])]
        ),
    )


def _check_folder(out: Path) -> None:
    """Fails before the training where saving would fail after it."""
    check_replaceable(out)
    check_writable(out)


def scores_table(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row a model, one column a metric."""
    rows = [{'model': name, **evaluation} for name, evaluation in evaluations.items()]
    return pd.DataFrame(rows)
