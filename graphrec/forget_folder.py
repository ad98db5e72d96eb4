"""The folder of an unlearned model: ``model/``, ``data/``, ``forget.json``, whole or not
there."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from graphrec import runs
from graphrec.datasets import write_folder
from graphrec.errors import FormatError, GraphError
from graphrec.models.recommender import Recommender
from graphrec.persistence import load_model, save
from graphrec.storage import read_json, replacing_folder, require_entries, write_json
from graphrec.unlearn import Edit, EditResult, ForgetReport, Ledger, model_digest
from graphrec.unlearn.compact_model import compact_model, expanded_model
from graphrec.unlearn.compacting import compacted

MODEL, DATA, DOCUMENT = 'model', 'data', 'forget.json'


@dataclasses.dataclass(frozen=True)
class Case:
    """A request on a model: what every step needs to know."""

    model: Recommender
    data: HeteroData
    edit: Edit
    edited: EditResult
    identity: dict[str, Any]


def make_case(
    model: Recommender,
    data: HeteroData,
    edit: Edit,
    book: Ledger | None,
    method: str,
    seed: int,
    *,
    strict: bool,
) -> Case:
    """Applies the edit; with a private ledger, the identity knows it by a keyed digest."""
    edited = edit.apply(data, strict=strict)
    identity = {
        'edit_digest': edit.digest() if book is None else book.edit_digest(edit),
        'graph_before': edited.summary.digest_before,
        'model_before': model_digest(model),
        'method': method,
        'seed': seed,
    }
    return Case(model, data, edit, edited, identity)


def read_result(out: Path, case: Case) -> ForgetReport | None:
    """The report in :obj:`out` if it is the result of this very request."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / DOCUMENT).is_file():
        raise GraphError(f"'{out}' exists and holds other things; name a new folder")
    held = read_document(out)['identity']
    differs = [name for name, value in case.identity.items() if held.get(name) != value]
    if differs:
        raise GraphError(
            f"'{out}' holds the result of another request (other {', '.join(differs)}); name a "
            'new folder'
        )
    return read_report(out)


def read_document(out: Path) -> dict[str, Any]:
    """What ``forget.json`` says: ``identity``, ``summary`` and ``report``.

    Raises:
        FormatError: If the folder holds no result, or a changed one.
    """
    if not (out / DOCUMENT).is_file():
        raise FormatError(f"there is no result of 'graphrec forget' in '{out}'")
    document = read_json(out / DOCUMENT)
    require_entries(out / DOCUMENT, document, {'identity': dict, 'report': dict})
    return document


def read_report(out: Path) -> ForgetReport:
    """The report of the run that made the folder."""
    try:
        return ForgetReport(**read_document(out)['report'])
    except TypeError as error:
        raise FormatError(f"'{out / DOCUMENT}' holds no report of a run ({error})") from None


def write_result(
    out: Path,
    case: Case,
    model: Recommender,
    data: HeteroData,
    report: ForgetReport,
    steps: runs.Steps,
    *,
    compact: bool = False,
) -> None:
    """Writes the folder under a temporary name and moves it into its place: compact if asked
    to, without removed nodes and their ids. Beside the model stands how its graph is made from
    the folder ``data`` (as it is), and what to mask in it, as :obj:`steps` did before."""
    if compact:
        data, id_map = compacted(data)
        model = compact_model(model, data, id_map)
    with replacing_folder(out) as work:
        save(model, work / MODEL)
        mask_valid = steps.carved or steps.mask_valid
        runs.write_record(work / MODEL, DATA, runs.Steps(seed=steps.seed, mask_valid=mask_valid))
        write_folder(data, work / DATA)
        document = {
            'identity': case.identity,
            'compact': compact,
            'summary': case.edited.summary.to_dict(),
            'report': report.to_dict(),
        }
        write_json(work / DOCUMENT, json.loads(json.dumps(document)))


def load_result(out: Path, case: Case) -> Recommender:
    """The unlearned model of a result, on the edited graph with all nodes in their places;
    one that was written compact gets the rows of removed nodes back, which are the draw of the
    run's seed."""
    if not read_document(out).get('compact', False):
        return load_model(out / MODEL, case.edited.data)
    graph, id_map = compacted(case.edited.data)
    part = load_model(out / MODEL, graph)
    seed = read_report(out).seed
    return expanded_model(part, case.edited.data, id_map, case.edited.forget, seed)


def model_folder(path: Path) -> Path:
    """The folder of the model in a result, or a saved model's own folder."""
    return path / MODEL if (path / DOCUMENT).is_file() else path


def clear_leftovers(out: Path) -> None:
    """Removes what a run that was killed had begun to write beside :obj:`out`."""
    for path in out.parent.glob(f'.{out.name}.*.tmp'):
        process = path.name.removeprefix(f'.{out.name}.').removesuffix('.tmp')
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
