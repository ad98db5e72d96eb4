"""The commands of unlearning: ``graphrec forget | audit | ledger list, show, verify``."""

from pathlib import Path
from typing import Any

import click
import pandas as pd

from graphrec import audit_job, forget_job
from graphrec.command import PATH, Commands, common_options, data_argument, model_argument
from graphrec.console import Output
from graphrec.forget_request import Files, Record
from graphrec.settings import parse_settings
from graphrec.unlearn import METHODS, read_key, verify_ledger
from graphrec.unlearn.ledger import read_request, read_requests
from graphrec.unlearn.ledger_head import parse_receipt

WRONG = 1
NOT_REACHED = ('failed', 'under_forgotten', 'over_forgotten', 'utility_loss')

ledger_argument = click.argument('path', metavar='LEDGER', type=PATH)
key_option = click.option(
    '--private', type=PATH, metavar='KEYFILE', help='Key of the ledger, which hides ids.'
)


def request_options(function: Any) -> Any:
    """Adds the files that say what to forget and the ledger that records it."""
    options = [
        click.option(
            '--users',
            type=PATH,
            metavar='FILE',
            help="User ids: one a line, as it stands, or a CSV with a column 'user'.",
        ),
        click.option('--items', type=PATH, metavar='FILE', help='Item ids, likewise.'),
        click.option('--queries', type=PATH, metavar='FILE', help='Query ids, likewise.'),
        click.option('--edges', type=PATH, metavar='FILE', help='CSV with columns user, item.'),
        click.option('--edit', type=PATH, metavar='FILE', help='An edit as JSON or CSV.'),
        click.option('--ignore-unknown', is_flag=True, help='Count unknown ids, do not stop.'),
        click.option('--ledger', type=PATH, metavar='FILE', help='Record the request there.'),
        key_option,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _request(given: dict[str, Any]) -> dict[str, Any]:
    """What :func:`request_options` added, as the library takes it."""
    names = ('users', 'items', 'queries', 'edges', 'edit')
    return {
        'files': Files(**{name: given.pop(name) for name in names}),
        'record': Record(given.pop('ledger'), given.pop('private')),
        'ignore_unknown': given.pop('ignore_unknown'),
    }


@click.command()
@model_argument
@data_argument
@request_options
@click.option(
    '--method',
    type=click.Choice(['auto', *METHODS]),
    default='auto',
    show_default=True,
    help='How to repair the model.',
)
@click.option('--out', type=PATH, required=True, help='Folder to make: model, data, reports.')
@click.option('--set', 'pairs', multiple=True, metavar='KEY=VALUE', help='Option of the method.')
@click.option('--epochs', type=int, help='That the model was trained with; for retraining.')
@click.option('--batch-size', type=int, help='That the model was trained with.')
@click.option('--lr', type=float, help='That the model was trained with.')
@click.option('--resume', is_flag=True, help='Go on with this very request where it stopped.')
@click.option('--compact', is_flag=True, help='Drop removed nodes, ids and all.')
@click.option('--no-audit', is_flag=True, help="Leave the audit to 'graphrec audit'.")
@common_options
def forget(
    folder: Path, source: str, method: str, out: Path, seed: int, output: Output, **given: Any
) -> int:
    """Remove users, items or interactions from a MODEL and its DATA.

    Writes the unlearned model, the edited data and the reports to --out, whole or not at
    all; with --method suppress, which is for the day of the request alone, both still hold
    everything and only stop serving it. Neither MODEL nor DATA is changed: delete them once
    the result is in use. Exit code 1 says that the run failed and nothing was written; the
    verdict of the audit is printed and has no exit code here.

    \b
    Example: graphrec forget runs/tiktok ../shared/data/tiktok --users gone.txt --out runs/new
    """
    pairs = given.pop('pairs')
    if pairs and method == 'auto':
        raise click.UsageError("'--set' belongs to one method: name it with '--method'")
    request = _request(given)
    fit = {name: given.pop(name) for name in ('epochs', 'batch_size', 'lr')}
    result = forget_job.forget_saved(
        folder,
        source,
        out=out,
        method=method,
        options=parse_settings(METHODS[method].options, pairs) if pairs else None,
        fit={name: value for name, value in fit.items() if value is not None},
        resume=given.pop('resume'),
        audited=not given.pop('no_audit'),
        compact=given.pop('compact'),
        seed=seed,
        progress=output.progress,
        note=output.note,
        **request,
    )
    output.line(str(result.report))
    if result.audit is not None:
        output.line(str(result.audit))
    if result.state == 'failed':
        output.line('Failed: nothing was written, and the request stays open')
    else:
        output.line(f'Wrote:   {out}')
        output.line(f'Verdict: {_verdict(result.verdict)}')
    if result.request is not None:
        output.line(f'Request: {result.request}')
        output.line(f'Receipt: {result.receipt}')
    output.finish(result.to_dict())
    return WRONG if result.state == 'failed' else 0


def _verdict(status: str | None) -> str:
    if status is None:
        return "none yet, check it with 'graphrec audit'"
    return f'{status}, the request is not fulfilled' if status in NOT_REACHED else status


@click.command()
@model_argument
@click.argument('unlearned', metavar='RESULT', type=PATH)
@data_argument
@request_options
@click.option(
    '--gold',
    'golds',
    type=PATH,
    multiple=True,
    help='A model retrained without, each another one; repeatable.',
)
@click.option('--out', type=PATH, help='Folder for audit.json and audit.html; default RESULT.')
@common_options
def audit(
    folder: Path,
    unlearned: Path,
    source: str,
    golds: tuple[Path, ...],
    out: Path | None,
    seed: int,
    output: Output,
    **given: Any,
) -> int:
    """Check what 'graphrec forget' made of MODEL in RESULT.

    The files that say what to forget are given again: the result does not hold them. Golds
    are made from MODEL by 'graphrec forget --method gold', each with another seed; without
    them the verdict is never 'passed'. Exit code 1 says that a check failed.

    \b
    Example: graphrec audit runs/tiktok runs/new ../shared/data/tiktok --users gone.txt
    """
    request = _request(given)
    report = audit_job.audit_saved(
        folder, unlearned, source, golds=golds, out=out, seed=seed, **request
    )
    output.line(str(report))
    output.line(f'Page: {(out or unlearned) / "audit.html"}')
    output.finish(report.to_dict())
    return WRONG if report.status in NOT_REACHED else 0


@click.group(cls=Commands)
def ledger() -> None:
    """Read and check the record of requests.

    \b
    Example: graphrec ledger verify forget.ledger
    """


@ledger.command('list')
@ledger_argument
@common_options
def list_requests(path: Path, seed: int, output: Output) -> None:
    """All requests of a LEDGER and where they stand.

    The verdict is that of the last audit; those of audits before it stand under 'earlier'.

    \b
    Example: graphrec ledger list forget.ledger
    """
    rows = []
    for request in read_requests(path):
        facts = request.facts()
        audits = [entry.facts() for entry in request.history if entry.state == 'audited']
        earlier = [str(_recorded(each)) for each in audits[:-1]]
        rows.append(
            {
                'request': request.id,
                'state': request.state,
                'received': request.history[0].time,
                'method': facts.get('method_used', facts.get('method')),
                'status': facts.get('status'),
                'verdict': _recorded(facts),
                'earlier': ', '.join(earlier) or None,
            }
        )
    columns = ['request', 'state', 'received', 'method', 'status', 'verdict', 'earlier']
    table = pd.DataFrame(rows, columns=columns)
    output.table(table)
    output.finish({'requests': table})


def _recorded(facts: dict[str, Any]) -> Any:
    """The verdict in the facts of a row; a program may have noted it as a word."""
    verdict = facts.get('verdict')
    return verdict.get('status') if isinstance(verdict, dict) else verdict


@ledger.command()
@ledger_argument
@click.argument('request')
@common_options
def show(path: Path, request: str, seed: int, output: Output) -> None:
    """All that a LEDGER says of one REQUEST, row by row.

    In the JSON document, 'history' has every row and 'entries' the last one of each state.

    \b
    Example: graphrec ledger show forget.ledger 3fa9c1 --json
    """
    found = read_request(path, request)
    history = []
    for entry in found.history:
        facts = entry.facts()
        history.append(
            {'state': entry.state, 'row': entry.number, 'time': entry.time, 'facts': facts}
        )
        output.line(f'{entry.state} {entry.time} (row {entry.number})')
        for name, value in facts.items():
            output.line(f'  {name}: {value}')
    last = {
        state: {'row': entry.number, 'time': entry.time, **entry.facts()}
        for state, entry in found.entries.items()
    }
    output.finish({'request': found.id, 'state': found.state, 'entries': last, 'history': history})


@ledger.command()
@ledger_argument
@key_option
@click.option('--receipt', metavar='COUNT:HASH', help='Receipt of an earlier day.')
@common_options
def verify(path: Path, private: Path | None, receipt: str | None, seed: int, output: Output) -> int:
    """Find changed, missing, added and moved rows of a LEDGER, and changed triggers.

    Exit code 1 says that something is wrong. A record that was written anew as a whole, or
    put back to an earlier day together with its head, is only found by a receipt that was
    kept elsewhere.

    \b
    Example: graphrec ledger verify forget.ledger --private key.txt
    """
    key = None if private is None else read_key(private)
    found = verify_ledger(path, key, None if receipt is None else parse_receipt(receipt))
    for problem in found.problems:
        output.line(f'wrong: {problem}')
    for text in found.notes:
        output.line(f'note: {text}')
    output.line(f'{found.entries} rows, {"intact" if found.intact else "NOT intact"}')
    output.line(f'Receipt: {found.head}')
    output.finish(found.to_dict())
    return 0 if found.intact else WRONG
