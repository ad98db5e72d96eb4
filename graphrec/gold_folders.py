"""Retrained models to audit against, from their folders."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphrec.errors import GraphError
from graphrec.forget_folder import (
    DOCUMENT,
    MODEL,
    Case,
    Result,
    read_identity,
    read_report,
    read_result,
)
from graphrec.models.recommender import Recommender
from graphrec.persistence import load_model
from graphrec.unlearn import ForgetReport, model_digest

_HOW = "golds are made by 'graphrec forget --method gold', each with another '--seed'"


def load_golds(folders: Sequence[Path], case: Case, written: Result) -> list[Recommender]:
    r"""Models that were retrained without what the request removes, on its edited graph.

    Args:
        folders: Results of ``forget --method gold``, compact or not, or folders of saved models
            that were trained on the edited graph.
        case: The request.
        written: The result that is audited against them.

    Raises:
        GraphError: If a folder is given twice, two hold the same model, or one holds the model
            of the result itself: a single draw would pass for a band. If a result was not made
            by retraining, or for another request.
    """
    known = dict.fromkeys(_marks(written.model_after, written.report), 'RESULT')
    golds: list[Recommender] = []
    for folder in folders:
        place = folder.resolve()
        if place.name == MODEL and (place.parent / DOCUMENT).is_file():
            place = place.parent
        is_result = (place / DOCUMENT).is_file()
        gold = _retrained(place, case) if is_result else _saved(folder, case)
        marks: list[Any] = [place]
        if gold.is_trainable:  # One in closed form is the same by any seed.
            marks += _marks(model_digest(gold), read_report(place) if is_result else None)
        for mark in marks:
            if mark in known:
                raise GraphError(f"gold '{folder}' holds the same model as {known[mark]}; {_HOW}")
        known |= dict.fromkeys(marks, f"gold '{folder}'")
        golds.append(gold)
    return golds


def _marks(digest: str, report: ForgetReport | None) -> list[Any]:
    """What two copies of a model have in common. Written compact and not, retrained models of one
    seed differ in the rows of removed nodes alone, and so in their digests."""
    seeds = [report.seed] if report is not None and report.method == 'gold' else []
    return [digest, *seeds]


def _saved(folder: Path, case: Case) -> Recommender:
    gold = load_model(folder, case.edited.data)
    found, asked = type(gold).__name__, type(case.model).__name__
    if found != asked:
        raise GraphError(f"gold '{folder}' is of class {found}, MODEL of {asked}; {_HOW}")
    return gold


def _retrained(folder: Path, case: Case) -> Recommender:
    """The model of a result, whatever its request is called: that the graph that stands beside it
    is the one that this request leaves says more than a digest, which may be keyed."""
    held, report = read_identity(folder), read_report(folder)
    if report.method != 'gold':
        raise GraphError(f"gold '{folder}' was made by {report.method!r}, not retrained; {_HOW}")
    for name, what in (('graph_before', 'DATA'), ('model_before', 'MODEL')):
        if held.get(name) != case.identity[name]:
            raise GraphError(f"gold '{folder}' was made from another {what} than RESULT; {_HOW}")
    return read_result(folder, dataclasses.replace(case, identity=held)).model
