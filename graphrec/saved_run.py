"""A saved model at work: the graph that it was trained on, its scores, its answers."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from torch_geometric.data import HeteroData

from graphrec import runs
from graphrec.errors import GraphError
from graphrec.evaluation import Evaluation
from graphrec.evaluation import evaluate as rank_heldout
from graphrec.explain import Explanation
from graphrec.explain import explain as explain_score
from graphrec.feature_digest import feature_digest
from graphrec.graphs.schema import ITEM, USER, parse_ids
from graphrec.models.recommender import Recommender
from graphrec.persistence import load_model
from graphrec.recommend import recommend as best_items
from graphrec.search import search as find_items
from graphrec.storage import replacing


def open_run(
    folder: Path, source: str, seed: int = 0
) -> tuple[Recommender, HeteroData, runs.Steps]:
    """A saved model and its graph, made from :obj:`source` in the steps recorded beside the
    model; without a record, :obj:`source` as it is.

    Raises:
        GraphError: If the model is not of this data, or was trained with other features.
    """
    steps = runs.read_record(folder) or runs.Steps(seed=seed)
    data = runs.repeat(source, steps)
    model, features = load_model(folder, data), runs.read_features(folder)
    if features is not None and features != feature_digest(model, data):
        raise GraphError(
            f"the model in '{folder}' was trained with other item features than those of "
            f"'{source}'; give the data that it was trained on, or train a model for these"
        )
    return model, data, steps


def evaluate(
    folder: Path,
    source: str,
    *,
    split: str = 'test',
    k: Sequence[int] = (10, 20),
    metrics: str = 'recall,ndcg',
    mask_valid: bool = False,
    groups: bool = False,
    negatives: int | None = None,
    task: str = 'recommend',
    seed: int = 0,
) -> Evaluation:
    r"""Evaluates a saved model on a part of its graph; see
    :func:`graphrec.evaluation.evaluate`. Validation items are masked at test with
    :obj:`mask_valid`, and where the run had taken them from the training part; in a search
    nothing is masked without it."""
    model, data, steps = open_run(folder, source, seed)
    masks = runs.masked_parts(steps, split) if task == 'recommend' else ()
    masks = ('train', 'valid') if mask_valid else masks
    return rank_heldout(
        model,
        data,
        split=split,
        k=k,
        metrics=_listed(metrics),
        mask=masks,
        groups=groups,
        num_negatives=negatives,
        task=task,
        seed=seed,
    )


def recommend(
    folder: Path,
    source: str,
    *,
    users: str | None = None,
    history: str | None = None,
    k: int = 20,
    out: Path | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Recommends with a saved model, for all users if none are named.

    Args:
        folder: The saved model.
        source: The data that it was trained on.
        users: Ids separated by commas, or a file with one id a line.
        history: Items, separated by commas, of someone who is not in the data.
        k: Items a user.
        out: A CSV file to write.
        seed: Seed of planted data where the model has no record of it.
    """
    model, data, _ = open_run(folder, source, seed)
    top = best_items(
        model,
        data,
        users=None if users is None else parse_ids(data, USER, _ids(users)),
        history=None if history is None else parse_ids(data, ITEM, _listed(history)),
        k=k,
    )
    return _written(top, out)


def search(
    folder: Path,
    source: str,
    queries: Sequence[str],
    *,
    user: str | None = None,
    k: int = 20,
    out: Path | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Searches with a saved model; see :func:`graphrec.search.search`.

    Args:
        folder: The saved model.
        source: The data that it was trained on.
        queries: The texts.
        user: Id of who asks; without it, someone unknown.
        k: Items a query.
        out: A CSV file to write.
        seed: Seed of planted data where the model has no record of it.
    """
    model, data, _ = open_run(folder, source, seed)
    asker = None if user is None else parse_ids(data, USER, [user])[0]
    return _written(find_items(model, data, list(queries), user=asker, k=k), out)


def explain(
    folder: Path, source: str, user: str, item: str, *, num_paths: int = 10, seed: int = 0
) -> Explanation:
    """Explains a score of a saved model; see :func:`graphrec.explain.explain`."""
    model, data, _ = open_run(folder, source, seed)
    (user_id,), (item_id,) = parse_ids(data, USER, [user]), parse_ids(data, ITEM, [item])
    return explain_score(model, data, user_id, item_id, num_paths=num_paths)


def _written(table: pd.DataFrame, out: Path | None) -> pd.DataFrame:
    if out is not None:
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False)
    return table


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(',') if part.strip()]


def _ids(text: str) -> list[str]:
    """The lines of a file of that name, or the parts of the text."""
    if not Path(text).is_file():
        return _listed(text)
    try:
        lines = Path(text).read_text('utf-8').splitlines()
    except UnicodeDecodeError:
        raise GraphError(f"'{text}' is no text file in UTF-8; write one id a line") from None
    return [line.strip() for line in lines if line.strip()]
