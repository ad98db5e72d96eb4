"""The readers of other people's formats, by name."""

from collections.abc import Callable

from torch_geometric.data import HeteroData

from graphrec.datasets.amazon import read_amazon
from graphrec.datasets.lightgcn_text import read_lightgcn
from graphrec.datasets.mmrec import read_mmrec
from graphrec.datasets.mmssl_json import read_mmssl
from graphrec.datasets.movielens import read_movielens
from graphrec.datasets.recbole import read_recbole

FORMATS: dict[str, Callable[..., HeteroData]] = {
    'amazon': read_amazon,
    'lightgcn': read_lightgcn,
    'mmrec': read_mmrec,
    'mmssl': read_mmssl,
    'movielens': read_movielens,
    'recbole': read_recbole,
}
