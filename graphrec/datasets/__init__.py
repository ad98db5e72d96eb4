"""Readers of real data sets, and the planted generator."""

from graphrec.datasets.amazon import read_amazon
from graphrec.datasets.download import available, download
from graphrec.datasets.folder import read_folder, write_folder
from graphrec.datasets.frames import from_frame, from_scipy
from graphrec.datasets.lightgcn_text import read_lightgcn
from graphrec.datasets.loading import detect, load
from graphrec.datasets.mmrec import read_mmrec
from graphrec.datasets.mmssl_json import read_mmssl
from graphrec.datasets.movielens import read_movielens
from graphrec.datasets.planted import planted
from graphrec.datasets.planted_sides import Modality
from graphrec.datasets.recbole import read_recbole

__all__ = [
    'Modality',
    'available',
    'detect',
    'download',
    'from_frame',
    'from_scipy',
    'load',
    'planted',
    'read_amazon',
    'read_folder',
    'read_lightgcn',
    'read_mmrec',
    'read_mmssl',
    'read_movielens',
    'read_recbole',
    'write_folder',
]
