r"""Models on disk: a folder with ``weights.safetensors``, ``ids.json`` and ``model.json``,
which holds class, settings and the checksums of the others. Loading executes nothing.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from torch_geometric.data import HeteroData

from graphrec import models
from graphrec.errors import FormatError, GraphError
from graphrec.graphs.schema import ITEM, USER, node_ids
from graphrec.models.recommender import Recommender
from graphrec.storage import (
    check_sha256,
    pack,
    previous_folder,
    read_json,
    read_tensors,
    replacing_folder,
    require_entries,
    unpack,
    write_json,
    write_tensors,
)
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.version import __version__

FORMAT_VERSION = 1
DOCUMENT = 'model.json'
WEIGHTS = 'weights.safetensors'
IDS = 'ids.json'


def save(model: Recommender, path: str | os.PathLike[str]) -> Path:
    r"""Saves a model as the folder :obj:`path`.

    The folder holds the parameters, the settings, the original ids of users and items in
    node order, and the digest of the training edges; closed-form models hold no
    parameters and are built again from the data when loaded. A saved model at
    :obj:`path` is replaced in one step once the new one is complete, so a failure leaves
    what was there.

    Returns:
        The folder.

    Raises:
        GraphError: If the folder holds something else than a model or cannot be written
            (disk full, no permission).
    """
    path = Path(os.path.abspath(path))  # So that '.' has a name and a parent.
    if model.training_digest is None:
        raise GraphError(
            f'{type(model).__name__} does not know its graph: its refresh() must call '
            'super().refresh(data)'
        )
    check_replaceable(path)
    config, tensors = pack(dataclasses.asdict(model.config))
    if tensors:
        raise GraphError(f'the setting {next(iter(tensors))[1:]!r} is a tensor; use a tuple')
    with replacing_folder(path) as folder:
        checksums = {
            WEIGHTS: write_tensors(folder / WEIGHTS, model.state_dict()),
            IDS: write_json(
                folder / IDS, {t: ids.tolist() for t, ids in model.ids.items()}, indent=None
            ),
        }
        document = {
            'format': 'graphrec model',
            'format_version': FORMAT_VERSION,
            'graphrec_version': __version__,
            'model': type(model).__name__,
            'config': config,
            'num_users': model.num_users,
            'num_items': model.num_items,
            'training_digest': model.training_digest,
            'sha256': checksums,
        }
        write_json(folder / DOCUMENT, document)
    return path


def load_model(
    path: str | os.PathLike[str],
    data: HeteroData,
    *,
    strict: bool = True,
    model_class: type[Recommender] | None = None,
) -> Recommender:
    r"""Loads a model saved by :func:`save` for the graph :obj:`data`.

    Args:
        path: The folder.
        data: The graph that it was trained on: the same ids in the same order.
        strict: Whether the training edges must be the same too. Without, the parameters
            are put on the edges of :obj:`data` (an edited graph).
        model_class: The class of a model of your own; classes of ``graphrec.models`` and
            :class:`~graphrec.unlearn.ShardedRecommender` are found by their name.

    Returns:
        The model, in evaluation mode.

    Raises:
        FormatError: If a file is missing, cut off, changed, or of a newer version.
        GraphError: If the model was saved for other ids or training edges, or its class
            is unknown.
    """
    folder = Path(os.path.abspath(path))
    document = _read_document(folder)
    cls = _find_class(folder, document['model'], model_class)
    check_sha256(folder / IDS, document['sha256'][IDS])
    tensors = read_tensors(folder / WEIGHTS, document['sha256'][WEIGHTS])
    ids = read_json(folder / IDS)
    require_entries(folder / IDS, ids, {USER: list, ITEM: list})
    for node_type in (USER, ITEM):
        _check_ids(folder, node_type, ids[node_type], node_ids(data, node_type))
    if strict and document['training_digest'] != cls.data_digest(data):
        raise GraphError(
            f"the model in '{folder}' was trained on other edges than those of 'data'; load the "
            'same data with the same split (in Python, strict=False puts it on these edges)'
        )
    try:
        model = cls.from_graph(data, **unpack(document['config'], {}))
    except (GraphError, TypeError, RuntimeError, MemoryError) as error:
        raise FormatError(
            f"the settings in '{folder / DOCUMENT}' make no {cls.__name__} ({error}); it was "
            f'written by graphrec {document["graphrec_version"]}'
        ) from error
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise FormatError(
            f"'{folder / WEIGHTS}' does not fit {cls.__name__} of this graphrec ({error}); it was "
            f'written by graphrec {document["graphrec_version"]}'
        ) from error
    return model.eval()


def check_replaceable(path: Path) -> None:
    """Raises :class:`GraphError` where :func:`save` would refuse to replace :obj:`path`."""
    if path.is_dir() and any(path.iterdir()) and not (path / DOCUMENT).is_file():
        raise GraphError(
            f"'{path}' is a folder with other files ({next(path.iterdir()).name!r}), not a saved "
            'model; name a new folder'
        )
    if path.exists() and not path.is_dir():
        raise GraphError(f"'{path}' is a file; a model is saved as a folder, name a new one")


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / DOCUMENT
    if not path.exists():
        previous = previous_folder(Path(os.path.realpath(folder)))
        if previous.is_dir() and not folder.exists():
            raise FormatError(
                f"there is no model in '{folder}'; the machine stopped while it was replaced: "
                f"rename '{previous}' to '{folder.name}' to have the previous one back"
            )
        raise FormatError(f"there is no model in '{folder}': '{DOCUMENT}' is missing")
    document = read_json(path)
    if document.get('format') != 'graphrec model':
        raise FormatError(f"'{path}' does not describe a graphrec model")
    require_entries(path, document, {'format_version': int, 'graphrec_version': str})
    if document['format_version'] != FORMAT_VERSION:
        raise FormatError(
            f"'{path}' has format version {document['format_version']} (written by graphrec "
            f'{document["graphrec_version"]}), this is graphrec {__version__}, which reads '
            f'version {FORMAT_VERSION}; use a graphrec that fits'
        )
    require_entries(
        path, document, {'model': str, 'config': dict, 'training_digest': str, 'sha256': dict}
    )
    require_entries(path, document['sha256'], {WEIGHTS: str, IDS: str})
    return document


def _find_class(folder: Path, name: str, given: type[Recommender] | None) -> type[Recommender]:
    if given is not None:
        if given.__name__ != name:
            raise GraphError(
                f"the model in '{folder}' is a {name!r}, not a {given.__name__!r} ('model_class')"
            )
        return given
    known = {each: getattr(models, each) for each in models.__all__}
    known = {each: cls for each, cls in known.items() if _is_model(cls)}
    known[ShardedRecommender.__name__] = ShardedRecommender
    if name not in known:
        raise GraphError(
            f"the model in '{folder}' is of class {name!r}, which graphrec.models does not have "
            f"({[*known]}); in Python, a class of your own goes in as 'model_class'"
        )
    return known[name]


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Recommender) and value is not Recommender


def _check_ids(folder: Path, node_type: str, saved: list[Any], ids: np.ndarray) -> None:
    found = ids.tolist()
    if saved == found:
        return
    start = f"the model in '{folder}' was saved for other {node_type} ids than those of 'data'"
    end = 'load the data that it was trained on, or train a model for these'
    if len(saved) != len(found):
        raise GraphError(f'{start}: {len(saved)} of them, now {len(found)}; {end}')
    first = next(n for n, (a, b) in enumerate(zip(saved, found, strict=True)) if a != b)
    raise GraphError(f'{start}: number {first} was {saved[first]!r}, now {found[first]!r}; {end}')
