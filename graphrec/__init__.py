"""graphrec: graph learning for recommendation on PyTorch Geometric."""

from graphrec import contrastive, conv, datasets, graphs, models, unlearn
from graphrec.datasets import load
from graphrec.errors import (
    CapacityError,
    FormatError,
    GraphError,
    OfflineError,
    TrainingError,
    UnknownIdError,
)
from graphrec.evaluation import Evaluation, evaluate
from graphrec.explain import explain
from graphrec.graphs import describe, export
from graphrec.memory import estimate
from graphrec.persistence import load_model, save
from graphrec.recommend import recommend
from graphrec.search import search
from graphrec.significance import paired_test
from graphrec.training import fit
from graphrec.vectors import build_index, check_index, export_vectors
from graphrec.version import __version__

__all__ = [
    'CapacityError',
    'Evaluation',
    'FormatError',
    'GraphError',
    'OfflineError',
    'TrainingError',
    'UnknownIdError',
    '__version__',
    'build_index',
    'check_index',
    'contrastive',
    'conv',
    'datasets',
    'describe',
    'estimate',
    'evaluate',
    'explain',
    'export',
    'export_vectors',
    'fit',
    'graphs',
    'load',
    'load_model',
    'models',
    'paired_test',
    'recommend',
    'save',
    'search',
    'unlearn',
]
