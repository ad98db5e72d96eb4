"""From a result of ``graphrec forget`` to its audit: the work behind ``graphrec audit``."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from graphrec import saved_run
from graphrec.errors import FormatError, GraphError
from graphrec.forget_folder import (
    LATER,
    Case,
    Result,
    differing,
    make_case,
    read_identity,
    read_result,
)
from graphrec.forget_record import audited_facts, check_recorded, find_request
from graphrec.forget_request import Files, Record
from graphrec.gold_folders import load_golds
from graphrec.models.recommender import Recommender
from graphrec.storage import explained
from graphrec.unknown_ids import named_by_line
from graphrec.unlearn import AuditReport, Ledger, audit
from graphrec.unlearn.ledger_head import head_path
from graphrec.writing_place import check_writable, clear_leftovers

AUDIT = ('audit.json', 'audit.html')


def audit_saved(
    folder: Path,
    unlearned: Path,
    source: str,
    files: Files,
    *,
    golds: Sequence[Path] = (),
    out: Path | None = None,
    record: Record | None = None,
    ignore_unknown: bool = False,
    seed: int = 0,
) -> AuditReport:
    r"""Audits what :func:`~graphrec.forget_job.forget_saved` wrote, against models that were
    retrained without the forgotten data where there are some.

    Args:
        folder: The saved model before.
        unlearned: The folder of ``forget_saved``.
        source: The data before.
        files: What was to be forgotten.
        golds: Folders of retrained models: ``forget --method gold`` with other seeds; see
            :func:`~graphrec.gold_folders.load_golds`.
        out: Folder for ``audit.json`` and ``audit.html``; :obj:`unlearned` by default.
        record: The ledger, if one is kept.
        ignore_unknown: As for ``forget_saved``.
        seed: Seed of the audit.

    Raises:
        GraphError: If the folder holds the result of another request or other data, or not
            the model that the run wrote and the ledger knows, or a gold is none.
    """
    record = record or Record()
    out = out or unlearned
    check_writable(out / AUDIT[0])
    book = record.open(make=False)
    if book is None and record.ledger is not None:
        raise FormatError(f"there is no ledger at '{record.ledger}'")
    model, data, _ = saved_run.open_run(folder, source, seed)
    held = read_identity(unlearned)
    run = {name: held[name] for name in ('method', 'seed', *LATER) if name in held}
    with named_by_line(files, record.private is not None):
        case = make_case(model, data, files.read(data), run, strict=not ignore_unknown)
    case = case.known_to(book)
    _check_given(unlearned, case, held['edit_digest'], record)
    written = read_result(unlearned, case)
    request = None if book is None else _applied_request(book, case, written)
    if golds and written.report.guarantee == 'S':
        raise GraphError(
            f"'{unlearned}' is suppressed in serving only: it is the model before, which is not "
            "compared with retrained ones; leave out '--gold'"
        )
    found = audit_result(case, written, seed, load_golds(golds, case, written))
    clear_killed(out, book)
    return keep_audit(out, case, book, request, written, found)


def _check_given(unlearned: Path, case: Case, digest: str, record: Record) -> None:
    """Raises :class:`GraphError` unless model, data and files are those of the result."""
    files = "give the files that 'graphrec forget' was given"
    if record.private is None:
        files += ", and '--ledger' and '--private' if it was recorded in a private ledger"
    elif digest == case.edit.digest():
        files = "it was not recorded in a private ledger: leave out '--ledger' and '--private'"
    fixes = {
        'model_before': 'MODEL is not the one that it was made from',
        'graph_before': 'DATA is not the data that it was made from',
        'edit_digest': files,
    }
    differs = [fix for name, fix in fixes.items() if name in differing(unlearned, case)]
    if differs:
        raise GraphError(f"'{unlearned}' is the result of another request: {'; '.join(differs)}")


def audit_result(
    case: Case, written: Result, seed: int, golds: Sequence[Recommender] = ()
) -> AuditReport:
    """Audits a result, one that is suppressed in serving only on the graph that it left."""
    suppressed = written.report.guarantee == 'S'
    return audit(
        case.model,
        written.model,
        data=case.data,
        edit=case.edit,
        golds=golds,
        forget_report=written.report,
        edited=written.data if suppressed else None,
        seed=seed,
    )


def keep_audit(
    out: Path,
    case: Case,
    book: Ledger | None,
    request: str | None,
    written: Result,
    found: AuditReport,
) -> AuditReport:
    """Writes the audit into a folder and into the ledger, if there is one."""
    # Under a key, a plain hash of the request would give its ids away.
    asked = {**found.request, 'digest': case.identity['edit_digest']}
    found = dataclasses.replace(found, request=asked)
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    for name in AUDIT:
        found.save(out / name)
    if book is not None and request is not None:
        book.advance(request, 'audited', audited_facts(written, found))
    return found


def clear_killed(out: Path, book: Ledger | None) -> None:
    """Removes what runs that were killed had begun to write into and beside a result and beside
    the ledger."""
    begun = [Path(os.path.realpath(out)), *(out / name for name in AUDIT)]
    for path in begun if book is None else [*begun, head_path(book.path)]:
        clear_leftovers(path)


def _applied_request(book: Ledger, case: Case, written: Result) -> str:
    """The request whose result this is, by the ledger too."""
    held = find_request(book, case)
    if held is None or held.state == 'received':
        raise GraphError(
            f"the ledger '{book.path}' has no applied request like this; was it kept there?"
        )
    check_recorded(book, held.id, written)
    return held.id
