"""The folder of an unlearned model: ``model/``, ``data/``, ``forget.json``, whole or not
there."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from graphrec import runs
from graphrec.datasets import load, write_folder
from graphrec.errors import FormatError, GraphError
from graphrec.feature_digest import feature_digest
from graphrec.models.recommender import Recommender
from graphrec.persistence import load_model, save
from graphrec.storage import read_json, replacing_folder, require_entries, write_json
from graphrec.unlearn import (
    Edit,
    EditResult,
    EditSummary,
    ForgetReport,
    ForgetResult,
    Ledger,
    graph_digest,
    model_digest,
)
from graphrec.unlearn.compact_model import compact_model, expanded_model
from graphrec.unlearn.compacting import compacted

MODEL, DATA, DOCUMENT = 'model', 'data', 'forget.json'
#: Parts of an identity that results and ledgers of earlier versions do not name.
LATER = ('options', 'fit', 'compact')
_SUPPRESSED = (
    'suppressed in serving only: removed users and items are marked, and model and data still '
    'hold all that was to be forgotten'
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A request on a model: what every step needs to know. The identity is what two runs have
    in common that give the same result."""

    model: Recommender
    data: HeteroData
    edit: Edit
    edited: EditResult
    identity: dict[str, Any]

    @property
    def compact(self) -> bool:
        """Whether the result is written without removed nodes."""
        return bool(self.identity.get('compact', False))

    def known_to(self, book: Ledger | None) -> 'Case':
        """The case whose identity names the edit as a ledger does: a private one by a keyed
        digest."""
        if book is None:
            return self
        digest = {'edit_digest': book.edit_digest(self.edit)}
        return dataclasses.replace(self, identity=self.identity | digest)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a folder holds.

    Attributes:
        model: On the graph with all nodes in their places.
        data: The graph that was written.
        report: Of the run.
        graph_after: Digest of that graph.
        model_after: Digest of that model.
    """

    model: Recommender
    data: HeteroData
    report: ForgetReport
    graph_after: str
    model_after: str


def make_case(
    model: Recommender, data: HeteroData, edit: Edit, run: Mapping[str, Any], *, strict: bool
) -> Case:
    """Applies the edit; :obj:`run` is the part of the identity that says how to forget."""
    edited = edit.apply(data, strict=strict)
    identity = {
        'edit_digest': edit.digest(),
        'graph_before': edited.summary.digest_before,
        'model_before': model_digest(model),
        **run,
    }
    return Case(model, data, edit, edited, identity)


def holds_result(out: Path) -> bool:
    """Whether there is a result in :obj:`out`, or nothing yet.

    Raises:
        GraphError: If it is something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / DOCUMENT).is_file():
        raise GraphError(f"'{out}' exists and holds other things; name a new folder")
    return True


def differing(out: Path, case: Case) -> list[str]:
    """In which parts of its identity the result in :obj:`out` is that of another request."""
    held = read_identity(out)
    return [
        name
        for name, value in case.identity.items()
        if held.get(name) != value and (name in held or name not in LATER)
    ]


def check_result(out: Path, case: Case) -> None:
    """Raises :class:`GraphError` unless :obj:`out` holds the result of this very request."""
    differs = differing(out, case)
    if differs:
        raise GraphError(
            f"'{out}' holds the result of another request (other {', '.join(differs)}); name a "
            'new folder'
        )


def read_document(out: Path) -> dict[str, Any]:
    """What ``forget.json`` says: ``identity``, ``summary`` and ``report``, and the digests of
    what was written.

    Raises:
        FormatError: If the folder holds no result, or a changed one.
    """
    if not (out / DOCUMENT).is_file():
        raise FormatError(f"there is no result of 'graphrec forget' in '{out}'")
    document = read_json(out / DOCUMENT)
    require_entries(out / DOCUMENT, document, {'identity': dict, 'report': dict})
    return document


def read_identity(out: Path) -> dict[str, Any]:
    """The identity of the case that made the folder."""
    document = read_document(out)
    return {'compact': bool(document.get('compact', False)), **document['identity']}


def read_report(out: Path) -> ForgetReport:
    """The report of the run that made the folder."""
    try:
        return ForgetReport(**read_document(out)['report'])
    except TypeError as error:
        raise FormatError(f"'{out / DOCUMENT}' holds no report of a run ({error})") from None


def write_result(
    out: Path,
    case: Case,
    result: ForgetResult,
    steps: runs.Steps,
    check: Callable[[Result], None] = lambda written: None,
) -> Result:
    """Writes the folder under a temporary name, reads it back, and moves it into its place:
    compact if the case asks for it, without removed nodes and their ids. Beside the model
    stands how its graph is made from the folder ``data`` (as it is), and what to mask in it,
    as :obj:`steps` did before. Nothing is left behind if it cannot be read, if :obj:`check` refuses
    what was read, or if another run was faster."""
    model, data, report = result.model, result.data, result.report
    summary = case.edited.summary
    if report.guarantee == 'S' and not summary.noop:
        summary = _suppressed(summary, graph_digest(data))
    if case.compact:
        data, id_map = compacted(data)
        model = compact_model(model, data, id_map)
    digests = {**report.digests, 'after': summary.digest_after}
    report = dataclasses.replace(report, digests=digests)
    with replacing_folder(out, only_new=True) as work:
        save(model, work / MODEL)
        mask_valid = steps.carved or steps.mask_valid
        made = runs.Steps(seed=steps.seed, mask_valid=mask_valid)
        runs.write_record(work / MODEL, DATA, made, feature_digest(model, data))
        write_folder(data, work / DATA)
        try:
            written = _read(work, case, report, summary.digest_after)
        except GraphError as error:
            raise GraphError(
                f"what was to stand in '{out}' cannot be read back: {error}"
            ) from error
        check(written)
        document = {
            'identity': case.identity,
            'compact': case.compact,
            'graph_after': written.graph_after,
            'model_after': written.model_after,
            'summary': summary.to_dict(),
            'report': report.to_dict(),
        }
        write_json(work / DOCUMENT, json.loads(json.dumps(document)))
    return written


def read_result(out: Path, case: Case) -> Result:
    """The result of this very request; a compact one with the rows of removed nodes, which are
    the draw of the run's seed.

    Raises:
        GraphError: If it is that of another request, or graph or model were changed since.
    """
    check_result(out, case)
    document, report = read_document(out), read_report(out)
    graph_after = case.edited.summary.digest_after
    if report.guarantee == 'S':
        graph_after = document.get('graph_after', graph_after)
    found = _read(out, case, report, graph_after)
    if found.model_after != document.get('model_after', found.model_after):
        raise GraphError(
            f"'{out / MODEL}' is not the model that the run wrote; put that back, or forget anew "
            'into another folder'
        )
    return found


def _read(folder: Path, case: Case, report: ForgetReport, graph_after: str) -> Result:
    data = load(folder / DATA)
    if graph_digest(data) != graph_after:
        raise GraphError(
            f"'{folder / DATA}' is not the graph that this request leaves; it was changed, or "
            'other files were given'
        )
    # A suppressed model is still that of the graph before.
    graph = data if report.guarantee == 'S' else case.edited.data
    if case.compact:
        small, id_map = compacted(graph)
        part = load_model(folder / MODEL, small)
        model = expanded_model(part, graph, id_map, case.edited.forget, report.seed)
    else:
        model = load_model(folder / MODEL, graph)
    return Result(model, data, report, graph_after, model_digest(model))


def _suppressed(summary: EditSummary, graph_after: str) -> EditSummary:
    """What became of the graph where nothing was taken out of it."""
    return dataclasses.replace(
        summary, edges={}, rows={}, mentions={}, digest_after=graph_after, residue=(_SUPPRESSED,)
    )
