"""From a saved model and a request to an unlearned model, its graph and the record: the work
behind ``graphrec forget``."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from graphrec import saved_run
from graphrec.audit_job import AUDIT, audit_result, clear_killed, keep_audit
from graphrec.errors import GraphError
from graphrec.forget_folder import (
    Result,
    check_result,
    holds_result,
    make_case,
    read_result,
    write_result,
)
from graphrec.forget_record import applied_facts, begin, check_recorded
from graphrec.forget_request import Files, Record, how
from graphrec.unknown_ids import named_by_line
from graphrec.unlearn import AuditReport, ForgetReport, Ledger, forget
from graphrec.writing_place import check_writable


@dataclasses.dataclass(frozen=True)
class Forgotten:
    """What became of a request.

    Attributes:
        out: The folder with ``model/``, ``data/`` and the reports.
        state: ``'applied'``, ``'audited'``, or ``'failed'`` for a run that must not be used
            and was not written.
        report: Of the run.
        audit: Of the audit, where there was one in this run.
        verdict: Of the audit, that of an earlier run too; :obj:`None` without one.
        request: Its name in the ledger, if one is kept.
        receipt: Head of the ledger afterwards, to keep elsewhere.
    """

    out: Path
    state: str
    report: ForgetReport
    audit: AuditReport | None = None
    verdict: str | None = None
    request: str | None = None
    receipt: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            'out': self.out,
            'state': self.state,
            'status': self.report.status,
            'verdict': self.verdict,
            'request': self.request,
            'receipt': self.receipt,
            'report': self.report.to_dict(),
            'audit': None if self.audit is None else self.audit.to_dict(),
        }


def forget_saved(
    folder: Path,
    source: str,
    files: Files,
    out: Path,
    *,
    method: str = 'auto',
    options: Mapping[str, Any] | None = None,
    fit: Mapping[str, Any] | None = None,
    record: Record | None = None,
    resume: bool = False,
    ignore_unknown: bool = False,
    audited: bool = True,
    compact: bool = False,
    seed: int = 0,
    progress: bool = False,
    note: Callable[[str], None] | None = None,
) -> Forgotten:
    r"""Forgets in a saved model and writes the result as one folder that appears whole or
    not at all: ``model/`` (:func:`graphrec.save`), ``data/`` (the edited graph),
    ``forget.json`` (the report) and, after the audit, ``audit.json`` and ``audit.html``.

    With a ledger the request is recorded as ``received`` before anything is done, as
    ``applied`` once the folder is in its place, as ``audited`` once the audit is. Whatever
    stops the machine in between, the same call with :obj:`resume` goes on from the last of
    these that is true: the same edit, model, graph, method, seed, options, training settings
    and layout. What is missing by then, the folder or the audit, is made again, and has to be
    the model that the ledger knows.

    Args:
        folder: The saved model.
        source: The data that it was trained on.
        files: What to forget.
        out: The folder to make.
        method: See :func:`graphrec.unlearn.forget`, as for the next two.
        options: Options of the method.
        fit: Training settings of the model.
        record: The ledger, if one is kept.
        resume: Whether to go on with this request where it was interrupted.
        ignore_unknown: Whether ids that the graph does not hold are counted instead of
            refused.
        audited: Whether to audit at the end, without retrained models.
        compact: Whether removed nodes are dropped from what is written, ids and all.
        seed: Seed of every random choice.
        progress: Whether to show progress bars.
        note: Takes sentences about the way.

    Raises:
        GraphError: If an id is unknown, :obj:`out` holds something else or cannot be written, the
            ledger would lie in it, the request is open in the ledger and :obj:`resume` is off, or
            with it there is nothing like it to go on with, or not with this result.
    """
    note = note or (lambda sentence: None)
    record = record or Record()
    if resume and record.ledger is None:
        raise GraphError("'--resume' looks into the ledger for where to go on: add '--ledger'")
    book = record.open(make=False)
    model, data, steps = saved_run.open_run(folder, source, seed)
    run = how(model, method, options, fit, compact, seed)
    with named_by_line(files, record.private is not None):
        case = make_case(model, data, files.read(data), run, strict=not ignore_unknown)
    done = holds_result(out)
    _check_places(out, record)
    if book is None and record.ledger is not None:
        if done:
            raise GraphError(
                f"'{out}' holds a result, but there is no ledger at '{record.ledger}' that could "
                'know it; name the one that it was recorded in, or a new folder'
            )
        book = record.open()  # Made only now, when the request is known to be good.
    case = case.known_to(book)
    if done:
        check_result(out, case)
        if not resume:
            raise GraphError(
                f"'{out}' holds the result of this request already; name a new folder, or go on "
                "with '--resume'"
            )
    request = None if book is None else begin(book, case, out, resume=resume, done=done, note=note)
    reached = _state(book, request)
    clear_killed(out, book)

    def check(written: Result) -> None:
        if book is not None and request is not None:
            check_recorded(book, request, written)

    if done:
        written = read_result(out, case)
        check(written)
        note(f"'{out}' holds the result of this request already: going on from there")
    else:
        if reached != 'received' and request is not None:
            note(f"request {request} is {reached}, but '{out}' is not there: making it again")
        try:
            result = forget(
                model,
                data,
                case.edit,
                method,
                seed=seed,
                fit=fit,
                options=options or None,
                data_edited=case.edited,
                progress=progress,
            )
            report = dataclasses.replace(result.report, request=case.identity['edit_digest'])
            if report.status == 'failed':
                return Forgotten(out, 'failed', report, request=request, receipt=_receipt(book))
            result.report = report
            written = write_result(out, case, result, steps, check)
        except GraphError as error:
            raise GraphError(f'{error} (nothing was written{_still(book, request)})') from error
    if book is not None and request is not None and _state(book, request) == 'received':
        book.advance(request, 'applied', applied_facts(written, case))
    before = reached == 'audited' and all((out / name).is_file() for name in AUDIT)
    found, verdict = None, None
    if before and book is not None and request is not None:
        verdict = book.request(request).facts()['verdict']['status']
        note(f"it was audited before: see '{out / AUDIT[-1]}'")
    elif audited:
        try:
            found = audit_result(case, written, seed)
        except GraphError as error:
            raise GraphError(
                f"'{out}' is written, but could not be audited: {error}{_still(book, request)}"
            ) from error
        found = keep_audit(out, case, book, request, written, found)
        verdict = found.status
    state = 'applied' if verdict is None else 'audited'
    return Forgotten(out, state, written.report, found, verdict, request, _receipt(book))


def _check_places(out: Path, record: Record) -> None:
    """Fails before the request is recorded where writing would fail after the repair."""
    if record.ledger is not None and out.resolve() in record.ledger.resolve().parents:
        raise GraphError(
            f"the ledger '{record.ledger}' would lie in '{out}', which is written as a whole; "
            'keep it elsewhere'
        )
    check_writable(out)


def _state(book: Ledger | None, request: str | None) -> str:
    return 'received' if book is None or request is None else book.request(request).state


def _still(book: Ledger | None, request: str | None) -> str:
    """Where the request stands after an error."""
    if book is None or request is None:
        return ''
    return f'; request {request} stays {_state(book, request)}'


def _receipt(book: Ledger | None) -> str | None:
    return None if book is None else str(book.head())
