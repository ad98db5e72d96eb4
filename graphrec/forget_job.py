"""From a saved model and a request to an unlearned model, its graph and the record: the work
behind ``graphrec forget`` and ``graphrec audit``."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphrec import saved_run
from graphrec.datasets import load
from graphrec.errors import GraphError
from graphrec.forget_folder import (
    DATA,
    Case,
    clear_leftovers,
    load_result,
    make_case,
    model_folder,
    read_document,
    read_report,
    read_result,
    write_result,
)
from graphrec.forget_request import Files, Record
from graphrec.models.recommender import Recommender
from graphrec.persistence import load_model
from graphrec.unlearn import (
    AuditReport,
    ForgetReport,
    Ledger,
    audit,
    forget,
    graph_digest,
    model_digest,
)


@dataclasses.dataclass(frozen=True)
class Forgotten:
    """What became of a request.

    Attributes:
        out: The folder with ``model/``, ``data/`` and the reports.
        state: ``'applied'``, ``'audited'``, or ``'failed'`` for a run that must not be used
            and was not written.
        report: Of the run.
        audit: Of the audit, where there was one.
        request: Its name in the ledger, if one is kept.
        receipt: Head of the ledger afterwards, to keep elsewhere.
    """

    out: Path
    state: str
    report: ForgetReport
    audit: AuditReport | None = None
    request: str | None = None
    receipt: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            'out': self.out,
            'state': self.state,
            'status': self.report.status,
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
    these that is true.

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
        GraphError: If an id is unknown, :obj:`out` holds something else, or the request is
            open in the ledger and :obj:`resume` is off.
    """
    note = note or (lambda sentence: None)
    book = (record or Record()).open()
    if resume and book is None:
        raise GraphError("'--resume' looks into the ledger for where to go on: add '--ledger'")
    model, data, steps = saved_run.open_run(folder, source, seed)
    edit = files.read(data)
    case = make_case(model, data, edit, book, method, seed, strict=not ignore_unknown)
    done = read_result(out, case)
    if done and not resume:
        raise GraphError(
            f"'{out}' holds the result of this request already; name a new folder, or go on with "
            f"'--resume'"
        )
    request = None if book is None else _receive(book, case, resume)
    if done is None:
        clear_leftovers(out)
        result = forget(
            model,
            data,
            edit,
            method,
            seed=seed,
            fit=fit,
            options=options or None,
            data_edited=case.edited,
            progress=progress,
        )
        report = dataclasses.replace(result.report, request=case.identity['edit_digest'])
        if report.status == 'failed':
            return Forgotten(out, 'failed', report, None, request, _receipt(book))
        write_result(out, case, result.model, result.data, report, steps, compact=compact)
    else:
        note(f"'{out}' holds the result of this request already: going on from there")
        report = done
    unlearned = load_result(out, case)
    if book is not None and request is not None and book.request(request).state == 'received':
        book.advance(request, 'applied', _applied_facts(unlearned, case, report))
    found = None
    reached = 'applied' if book is None or request is None else book.request(request).state
    if audited and reached != 'audited':
        found = audit(model, unlearned, data=data, edit=edit, forget_report=report, seed=seed)
        found = _finish_audit(out, case, book, request, found)
    state = 'audited' if found is not None else reached
    return Forgotten(out, state, report, found, request, _receipt(book))


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
    r"""Audits what :func:`forget_saved` wrote, against models that were retrained without
    the forgotten data where there are some.

    Args:
        folder: The saved model before.
        unlearned: The folder of :func:`forget_saved`.
        source: The data before.
        files: What was to be forgotten.
        golds: Folders of retrained models: ``forget --method gold`` with other seeds.
        out: Folder for ``audit.json`` and ``audit.html``; :obj:`unlearned` by default.
        record: The ledger, if one is kept.
        ignore_unknown: As for :func:`forget_saved`.
        seed: Seed of the audit.

    Raises:
        GraphError: If the folder holds the result of another request or other data.
    """
    book = (record or Record()).open()
    model, data, _ = saved_run.open_run(folder, source, seed)
    report = read_report(unlearned)
    method = read_document(unlearned)['identity'].get('method', '')
    case = make_case(
        model, data, files.read(data), book, method, report.seed, strict=not ignore_unknown
    )
    read_result(unlearned, case)  # Says so if it is the result of another request.
    if graph_digest(load(unlearned / DATA)) != case.edited.summary.digest_after:
        raise GraphError(
            f"'{unlearned / DATA}' is not the graph that this request leaves; it was changed, "
            'or other files were given'
        )
    after = case.edited.data
    found = audit(
        model,
        load_result(unlearned, case),
        data=data,
        edit=case.edit,
        golds=[load_model(model_folder(each), after) for each in golds],
        forget_report=report,
        seed=seed,
    )
    request = None
    if book is not None:
        held = book.find(case.edit, case.identity)
        if held is None or held.state == 'received':
            raise GraphError(
                f"the ledger '{book.path}' has no applied request like this; was it kept there?"
            )
        request = held.id
    return _finish_audit(out or unlearned, case, book, request, found)


def _receive(book: Ledger, case: Case, resume: bool) -> str:
    """The name of the request in the ledger, new or gone on with."""
    held = book.find(case.edit, case.identity)
    if held is None or (held.state == 'audited' and not resume):
        return book.receive(case.edit, case.identity)
    if not resume:
        raise GraphError(
            f"request {held.id} of '{book.path}' asks for the same and is {held.state}; add "
            f"'--resume' to go on with it"
        )
    return held.id


def _applied_facts(model: Recommender, case: Case, report: ForgetReport) -> dict[str, Any]:
    figures = report.to_dict()
    kept = ('status', 'reason', 'guarantee', 'steps', 'seconds', 'update_norm', 'metrics', 'counts')
    return {
        'graph_after': case.edited.summary.digest_after,
        'model_after': model_digest(model),
        'method_used': report.method,
        'settings': figures['settings'],
        'unknown': case.edited.summary.unknown,
        **{name: figures[name] for name in kept},
    }


def _finish_audit(
    out: Path, case: Case, book: Ledger | None, request: str | None, found: AuditReport
) -> AuditReport:
    # Under a key, a plain hash of the request would give its ids away.
    asked = {**found.request, 'digest': case.identity['edit_digest']}
    found = dataclasses.replace(found, request=asked)
    out.mkdir(parents=True, exist_ok=True)
    for suffix in ('json', 'html'):
        found.save(out / f'audit.{suffix}')
    if book is not None and request is not None:
        document = found.to_dict()
        facts = {name: document[name] for name in ('verdict', 'guarantee', 'run')}
        failed = [check.name for check in found.checks if check.passed is False]
        book.advance(request, 'audited', {**facts, 'residue_failed': failed})
    return found


def _receipt(book: Ledger | None) -> str | None:
    return None if book is None else str(book.head())
