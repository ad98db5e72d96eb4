"""Many small requests, one by one or in batches."""

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import num_users
from graphrec.models.recommender import Recommender
from graphrec.unlearn.edits import Edit, EditSet
from graphrec.unlearn.forgetting import ForgetResult, forget
from graphrec.unlearn.report import ForgetReport


@dataclasses.dataclass
class StreamResult:
    """What :func:`forget_stream` returns.

    Attributes:
        model: After all requests.
        data: Its graph.
        reports: One a run of unlearning, so one a batch.
        history: One row a run: ``requests`` (handled so far), ``batch`` (requests in this
            one), ``status``, ``steps``, ``seconds`` (edit, rebuild and repair),
            ``seconds_per_request``, ``update_norm``, ``forget_auc`` and ``valid_recall``
            where measured, ``drift`` (see :func:`drift`) from the model before the first
            request, and ``gold_drift`` where a retrained model was given.
    """

    model: Recommender
    data: HeteroData
    reports: list[ForgetReport]
    history: pd.DataFrame


def forget_stream(
    model: Recommender,
    data: HeteroData,
    edits: Sequence[Edit],
    *,
    batch: int = 1,
    method: str = 'auto',
    seed: int = 0,
    fit: Mapping[str, Any] | None = None,
    options: Any = None,
    golds: Mapping[int, Recommender] | None = None,
    drift_users: int = 500,
    digests: bool = True,
) -> StreamResult:
    r"""Handles requests in their order, each on the model that the one before left.

    One by one each request pays for a rebuild and a repair; a batch pays once, and hides
    which of its requests changed what from whoever compares two published versions. The
    graph at the end is the same. Every run has a seed of its own, ``seed + number``.

    Args:
        model: A trained model; unchanged.
        data: Its graph; unchanged.
        edits: The requests.
        batch: Requests that are united and handled together.
        method, fit, options: As in :func:`graphrec.unlearn.forget`.
        seed: Of every random choice.
        golds: Models retrained on the graph after so many requests, to measure drift
            against; counts that are no end of a batch are not looked at.
        drift_users: Users that drift is measured on.
        digests: Whether every report has the digests of its graphs, which a large graph takes
            longer for than for the edit.

    Raises:
        GraphError: If there is no request, or :obj:`batch` is below 1.
    """
    edits = list(edits)
    if not edits:
        raise GraphError("'edits' is empty; give at least one request")
    if batch < 1:
        raise GraphError(f"'batch' must be at least 1 (got {batch})")
    golds = golds or {}
    generator = torch.Generator().manual_seed(seed)
    users = torch.randperm(num_users(data), generator=generator)[:drift_users]
    now, graph = model, data
    reports: list[ForgetReport] = []
    rows: list[dict[str, Any]] = []
    for number, part in enumerate(_batches(edits, batch)):
        edit = part[0] if len(part) == 1 else EditSet(tuple(part))
        begin = time.perf_counter()
        result: ForgetResult = forget(
            now,
            graph,
            edit,
            method,
            seed=seed + number,
            fit=fit,
            options=options,
            data_edited=edit.apply(graph, digests=digests),
        )
        wall = time.perf_counter() - begin
        now, graph = result.model, result.data
        reports.append(result.report)
        done = min((number + 1) * batch, len(edits))
        rows.append(_row(result.report, done, len(part), wall))
        rows[-1]['drift'] = drift(model, now, users)
        if done in golds:
            rows[-1]['gold_drift'] = drift(golds[done], now, users)
    return StreamResult(now, graph, reports, pd.DataFrame(rows))


@torch.no_grad()
def drift(one: Recommender, other: Recommender, users: torch.Tensor, k: int = 20) -> float:
    r"""How much the lists of two models differ: 1 less the mean Jaccard index of the
    :math:`k` best items of :obj:`users` (numbers), training items included. Two models
    retrained with other seeds differ too: compare with that.

    Args:
        one, other: Models of the same users and items.
        users: Their numbers.
        k: Length of a list.
    """
    k = min(k, one.num_items)
    first, second = (model.score(users).topk(k, dim=1).indices for model in (one, other))
    common = (first.unsqueeze(2) == second.unsqueeze(1)).any(2).sum(1).float()
    return 1 - float((common / (2 * k - common)).mean())


def _batches(edits: Sequence[Edit], size: int) -> Iterable[Sequence[Edit]]:
    return (edits[start : start + size] for start in range(0, len(edits), size))


def _row(report: ForgetReport, done: int, size: int, wall: float) -> dict[str, Any]:
    spent = wall - report.seconds.get('evaluation', 0.0)
    row = {
        'requests': done,
        'batch': size,
        'status': report.status,
        'steps': report.steps,
        'seconds': spent,
        'seconds_per_request': spent / size,
        'update_norm': report.update_norm,
    }
    for name, values in report.metrics.items():
        row[name.partition('@')[0]] = values['after']
    return row
