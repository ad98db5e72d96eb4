r"""A run of the command line: the graph that a model is trained on, made from a folder in
recorded steps, so that later commands see the same graph.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch_geometric.data import HeteroData

from graphrec import models
from graphrec.datasets import load, planted
from graphrec.errors import FormatError, GraphError
from graphrec.graphs.schema import holdout, train_edges
from graphrec.graphs.splits import carve_validation, split
from graphrec.models.recommender import Recommender
from graphrec.storage import read_json, write_json

PLANTED = 'planted'
RECORD = 'run.json'
RECORD_VERSION = 1
VALID_FRACTION = 0.1
SPLITS = ('random', 'leave_one_out', 'time')

MODELS: dict[str, type[Recommender]] = {
    'popularity': models.Popularity,
    'itemknn': models.ItemKNN,
    'ease': models.EASE,
    'mf': models.MF,
    'lightgcn': models.LightGCN,
    'contrastivelightgcn': models.ContrastiveLightGCN,
    'sgl': models.SGL,
    'simgcl': models.SimGCL,
    'xsimgcl': models.XSimGCL,
    'lightgcl': models.LightGCL,
    'ncl': models.NCL,
    'directau': models.DirectAU,
    'buir': models.BUIR,
    'selfcf': models.SelfCF,
    'vbpr': models.VBPR,
    'bm3': models.BM3,
    'lirdrec': models.LIRDRec,
    'mmhcl': models.MMHCL,
    'semanticitemgraph': models.SemanticItemGraph,
    'freedom': models.FREEDOM,
    'lattice': models.LATTICE,
    'mgcn': models.MGCN,
    'lgmrec': models.LGMRec,
    'bm25': models.BM25,
    'unionlightgcn': models.UnionLightGCN,
    'querybilinear': models.QueryBilinear,
    'hypersar': models.HyperSaR,
    'uditsr': models.UDITSR,
}


@dataclasses.dataclass(frozen=True)
class LoadOptions:
    """Options of :func:`graphrec.load` that a command line can give; ``None`` leaves the
    reader's default. All but ``format`` are described at
    :func:`graphrec.datasets.folder.read_folder`."""

    format: str | None = None
    user: str | None = None
    item: str | None = None
    split: str | None = None
    time: str | None = None
    rating: str | None = None
    behavior: str | None = None
    min_rating: float | None = None
    target_behavior: str | None = None
    domain: str | None = None
    repair_features: bool | None = None
    id_type: Literal['str', 'int'] | None = None


@dataclasses.dataclass(frozen=True)
class Steps:
    """How the graph of a run was made.

    Args:
        seed: Seed of the planted generator, of the split and of the validation part.
        split: Name of the split that was made, or ``None`` for the data's own.
        carved: Whether a validation part was taken out of the training edges.
        mask_valid: Whether the data's own validation part was once taken out of the training
            edges, so that its items are no answers at test.
        load: Options of :func:`graphrec.load`, see :class:`LoadOptions`.
    """

    seed: int = 0
    split: str | None = None
    carved: bool = False
    mask_valid: bool = False
    load: dict[str, Any] = dataclasses.field(default_factory=dict)


def open_data(source: str, seed: int = 0, options: Mapping[str, Any] | None = None) -> HeteroData:
    """The folder :obj:`source`, or the planted default for the word ``planted`` (write
    ``./planted`` for a folder of that name)."""
    if source == PLANTED:
        if options:
            raise GraphError(f'planted data is not read from files (got {sorted(options)})')
        return planted(seed=seed)
    given = dict(options or {})
    if 'id_type' in given:
        given['id_type'] = {'str': str, 'int': int}[given['id_type']]
    return load(source, **given)


def prepare(
    source: str,
    how: str | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> tuple[HeteroData, Steps]:
    r"""Opens :obj:`source` and makes the parts that it lacks: all three by random choice
    where nothing is held out, a validation part of a tenth of each user's training
    edges where there is only a test part.

    Args:
        source: A folder, or ``planted``.
        how: Split to make anew from all edges: ``'random'``, ``'leave_one_out'`` or
            ``'time'``; ``None`` keeps the data's own.
        seed: Seed of every choice.
        options: Arguments of :func:`graphrec.load`.
    """
    data = open_data(source, seed, options)
    if how is None and not holds(data, 'valid') and not holds(data, 'test'):
        how = 'random'
    carved = how is None and not holds(data, 'valid')
    steps = Steps(seed=seed, split=how, carved=carved, load=dict(options or {}))
    return _apply(data, steps), steps


def repeat(source: str, steps: Steps) -> HeteroData:
    """The graph that :func:`prepare` made in these steps."""
    return _apply(open_data(source, steps.seed, steps.load), steps)


def _apply(data: HeteroData, steps: Steps) -> HeteroData:
    if steps.split is not None:
        data = split(data, how=steps.split, seed=steps.seed)
    if steps.carved:
        data = carve_validation(data, fraction=VALID_FRACTION, seed=steps.seed)
    return data


def holds(data: HeteroData, part: str) -> bool:
    """Whether the graph has held-out edges of a part."""
    edge_type = holdout(part)
    return edge_type in data.edge_types and data[edge_type].edge_index.size(1) > 0


def describe_steps(data: HeteroData, steps: Steps) -> list[str]:
    """What was made, and what was repaired while reading, in one sentence each."""
    sentences = [
        f'{count:,} {name.replace("_", " ")} repaired while reading'
        for name, count in getattr(data, 'repairs', {}).items()
        if count
    ]
    sizes = ', '.join(
        f'{data[holdout(part)].edge_index.size(1):,} {part}'
        for part in ('valid', 'test')
        if holds(data, part)
    )
    sizes = f'{train_edges(data).size(1):,} train, {sizes}'
    if steps.split is not None:
        sentences.append(f'split made: {steps.split}, seed {steps.seed} ({sizes})')
    elif steps.carved:
        sentences.append(
            f'the data has no validation part: {VALID_FRACTION:.0%} of the training edges '
            f'became one, seed {steps.seed} ({sizes})'
        )
    return sentences


def masked_parts(steps: Steps, split: str) -> tuple[str, ...]:
    """The parts whose items are out of the running: training, and at test the validation
    items too where they were taken from training."""
    masked = (steps.carved or steps.mask_valid) and split == 'test'
    return ('train', 'valid') if masked else ('train',)


def write_record(folder: Path, source: str, steps: Steps, features: str | None = None) -> None:
    """Writes the steps beside a saved model, and the digest of the features that it was trained
    with (:func:`~graphrec.feature_digest.feature_digest`)."""
    document = {'version': RECORD_VERSION, 'source': source, 'steps': dataclasses.asdict(steps)}
    write_json(folder / RECORD, {**document, 'features': features})


def read_record(folder: Path) -> Steps | None:
    """The steps beside a saved model; ``None`` for a model saved from Python."""
    document = _read_document(folder)
    return None if document is None else Steps(**document['steps'])


def read_features(folder: Path) -> str | None:
    """The digest of the features beside a saved model; ``None`` where none is recorded."""
    document = _read_document(folder)
    return None if document is None else document.get('features')


def _read_document(folder: Path) -> dict[str, Any] | None:
    if not (folder / RECORD).exists():
        return None
    document = read_json(folder / RECORD)
    if document.get('version') != RECORD_VERSION:
        raise FormatError(
            f"'{folder / RECORD}' has version {document.get('version')!r}, this graphrec reads "
            f'version {RECORD_VERSION}'
        )
    return document


def model_class(name: str) -> type[Recommender]:
    """The class of a model by its name in lower case."""
    if name not in MODELS:
        raise GraphError(f"there is no model '{name}'; there are {list(MODELS)}")
    return MODELS[name]
