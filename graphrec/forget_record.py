"""Where a request stands in its ledger, and whether a result is the one recorded there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphrec.errors import GraphError
from graphrec.forget_folder import LATER, Case, Result
from graphrec.unlearn import AuditReport, Ledger
from graphrec.unlearn.ledger import Request

#: Digests by which a ledger knows a result.
_DIGESTS = ('graph_after', 'model_after')


def find_request(book: Ledger, case: Case) -> Request | None:
    """The last request like this one. What earlier versions recorded is compared on the parts
    of the identity that they knew."""
    held = book.find(case.edit, case.identity)
    if held is not None:
        return held
    earlier = {name: value for name, value in case.identity.items() if name not in LATER}
    held = book.find(case.edit, earlier)
    if held is None or any(name in held.entries['received'].facts() for name in LATER):
        return None
    return held


def begin(
    book: Ledger, case: Case, out: Path, *, resume: bool, done: bool, note: Callable[[str], None]
) -> str:
    """The name of the request in the ledger, new or gone on with.

    Args:
        book: The ledger.
        case: The request.
        out: Its folder.
        resume: Whether to go on with one that is there.
        done: Whether the folder holds its result.
        note: Takes sentences about the way.

    Raises:
        GraphError: If it is open and :obj:`resume` is off, or if there is nothing like it to
            go on with, but other requests are open or the folder has a result.
    """
    held = find_request(book, case)
    if held is None and resume:
        _refuse_unknown(book, out, done)
        note(f"no request is open in '{book.path}': this one begins anew")
    if held is None or (held.state == 'audited' and not resume):
        return book.receive(case.edit, case.identity)
    if not resume:
        raise GraphError(
            f"request {held.id} of '{book.path}' asks for the same and is {held.state}; add "
            f"'--resume' to go on with it"
        )
    return held.id


def check_recorded(book: Ledger, request: str, written: Result) -> None:
    """Raises :class:`GraphError` unless model and graph are those that the ledger knows as
    applied, if it knows any."""
    held = book.request(request)
    if 'applied' not in held.entries:
        return
    facts = held.entries['applied'].facts()
    for name, digest in zip(_DIGESTS, (written.graph_after, written.model_after), strict=True):
        # Of private ledgers, earlier versions recorded the digests as they are.
        if facts.get(name, digest) not in (digest, book.blinded(digest)):
            what = name.removesuffix('_after')
            raise GraphError(
                f"the {what} is not the one that request {held.id} of '{book.path}' records as "
                'applied: it was replaced, or made on another machine or by another version; put '
                'that one back, or forget anew with another seed into another folder'
            )


def applied_facts(written: Result, case: Case) -> dict[str, Any]:
    """What the ledger keeps of a run."""
    report = written.report
    figures = report.to_dict()
    kept = ('status', 'reason', 'guarantee', 'steps', 'seconds', 'update_norm', 'metrics', 'counts')
    return {
        'graph_after': written.graph_after,
        'model_after': written.model_after,
        'method_used': report.method,
        'settings': figures['settings'],
        'unknown': case.edited.summary.unknown,
        **{name: figures[name] for name in kept},
    }


def audited_facts(written: Result, found: AuditReport) -> dict[str, Any]:
    """What the ledger keeps of an audit, with the digests of what was audited."""
    document = found.to_dict()
    return {
        'graph_after': written.graph_after,
        'model_after': written.model_after,
        **{name: document[name] for name in ('verdict', 'guarantee', 'run')},
        'residue_failed': [check.name for check in found.checks if check.passed is False],
    }


def _refuse_unknown(book: Ledger, out: Path, done: bool) -> None:
    still = [f'{each.id} ({each.state})' for each in book.requests() if each.state != 'audited']
    if still:
        raise GraphError(
            f"'--resume' finds no request like this in '{book.path}'; open there are "
            f'{", ".join(still)}: give the files, the method, the options and the seed of one of '
            "them, or leave out '--resume' to begin a new request"
        )
    if done:
        raise GraphError(
            f"'{out}' holds a result that '{book.path}' does not know; name the ledger that it was "
            'recorded in, or a new folder'
        )
