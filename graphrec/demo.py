"""The demonstration: five models on planted data, from a table to a served ranking."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from torch_geometric.data import HeteroData

from graphrec import models, runs
from graphrec.evaluation import evaluate
from graphrec.explain import Explanation, explain
from graphrec.graphs import figures, statistics
from graphrec.graphs.schema import USER, node_ids
from graphrec.job import scores_table
from graphrec.models.recommender import Recommender
from graphrec.persistence import save
from graphrec.recommend import recommend
from graphrec.storage import explained
from graphrec.training import fit

METRIC = 'recall@20'
K = (10, 20)
EPOCHS = 40
BATCH_SIZE = 1024
LR = 0.01


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """What :func:`run` made. Ids are original ones.

    Attributes:
        scores: One row a model, one column a metric of the test part.
        history: LightGCN's history of training, one row an epoch.
        user: The user of the example.
        recommendations: Their best five items.
        explanation: Why the first of them.
        picture: Recall of every model, and LightGCN's way.
        folder: The saved LightGCN.
        next_command: A command line to go on with.
    """

    scores: pd.DataFrame
    history: pd.DataFrame
    user: Any
    recommendations: pd.DataFrame
    explanation: Explanation
    picture: Path
    folder: Path
    next_command: str

    @property
    def why(self) -> pd.DataFrame:
        """The largest parts of the score of the first recommendation."""
        parts = self.explanation.contributions
        return parts[['source', 'item', 'contribution', 'share']].head(5)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            'scores': self.scores,
            'user': self.user,
            'recommendations': self.recommendations,
            'explanation': self.explanation.to_dict(),
            'picture': self.picture,
            'model': self.folder,
            'next': self.next_command,
        }


def run(
    out: Path,
    *,
    seed: int = 0,
    note: Callable[[str], None] | None = None,
    progress: bool = True,
) -> Demonstration:
    r"""Describes planted data, trains ``Popularity``, ``ItemKNN``, ``EASE``, ``MF`` and
    ``LightGCN`` on it, and writes a picture and the last model into :obj:`out`.

    Args:
        out: Folder to fill; made if missing.
        seed: Seed of the data and of all training.
        note: Takes sentences about the way.
        progress: Whether to show progress bars.

    Raises:
        GraphError: If :obj:`out` cannot be written.
    """
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    data, steps = runs.prepare(runs.PLANTED, seed=seed)
    note = note or (lambda sentence: None)
    note(str(statistics.describe(data)))
    evaluations = {}
    for kind in (models.Popularity, models.ItemKNN, models.EASE, models.MF, models.LightGCN):
        model = kind.from_graph(data)
        history = _fit(model, data, seed, progress)
        evaluations[kind.__name__] = evaluate(model, data, split='test', k=K)
        note(f'{kind.__name__}: {METRIC} {evaluations[kind.__name__][METRIC]:.4f}')
    scores = scores_table(evaluations)
    folder = out / 'lightgcn'
    save(model, folder)
    runs.write_record(folder, runs.PLANTED, steps)

    user = node_ids(data, USER)[0].item()
    top = recommend(model, data, users=[user], k=5)
    next_command = ['graphrec', 'recommend', str(folder), runs.PLANTED, '--history', '5,9,12']
    return Demonstration(
        scores=scores,
        history=history,
        user=user,
        recommendations=top,
        explanation=explain(model, data, user, top['item'].iloc[0], num_paths=5),
        picture=draw(scores, history, out / 'demo.png'),
        folder=folder,
        next_command=shlex.join(next_command),
    )


def _fit(model: Recommender, data: HeteroData, seed: int, progress: bool) -> pd.DataFrame:
    return fit(
        model,
        data,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        lr=LR,
        seed=seed,
        metric=METRIC,
        eval_every=2,
        patience=3,
        progress=progress,
    )


def draw(scores: pd.DataFrame, history: pd.DataFrame, path: Path) -> Path:
    """Draws :data:`METRIC` of every model as bars, and LightGCN's validation curve with its
    best epoch beside them; PNG or SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    bars = left.barh(scores['model'][::-1], scores[METRIC][::-1], color='#4c78a8')
    left.bar_label(bars, fmt='%.3f', padding=3)
    left.set(title='Test part, all items ranked', xlabel=METRIC)
    left.spines[['top', 'right']].set_visible(False)
    left.margins(x=0.15)

    known = history.dropna(subset=[METRIC])
    right.plot(known['epoch'], known[METRIC], color='#4c78a8', marker='o', markersize=3)
    best = history.attrs.get('best_epoch')
    if best is not None:
        right.axvline(best, color='#888888', linestyle=':', linewidth=1)
        right.annotate(
            f'kept: epoch {best}',
            (best, known[METRIC].min()),
            xytext=(4, 0),
            textcoords='offset points',
            color='#666666',
        )
    right.set(title='LightGCN on the validation part', xlabel='epoch', ylabel=METRIC)
    right.spines[['top', 'right']].set_visible(False)
    return figures.save_figure(figure, path)
