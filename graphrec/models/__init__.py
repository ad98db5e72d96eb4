"""Complete recommenders, one file each."""

from graphrec.models.buir import BUIR
from graphrec.models.contrastive_lightgcn import ContrastiveLightGCN
from graphrec.models.directau import DirectAU
from graphrec.models.ease import EASE
from graphrec.models.item_knn import ItemKNN
from graphrec.models.lightgcl import LightGCL
from graphrec.models.lightgcn import LightGCN
from graphrec.models.mf import MF
from graphrec.models.mmhcl import MMHCL
from graphrec.models.ncl import NCL
from graphrec.models.popularity import Popularity
from graphrec.models.recommender import Recommender
from graphrec.models.selfcf import SelfCF
from graphrec.models.sgl import SGL
from graphrec.models.simgcl import SimGCL
from graphrec.models.xsimgcl import XSimGCL

__all__ = [
    'BUIR',
    'EASE',
    'MF',
    'MMHCL',
    'NCL',
    'SGL',
    'ContrastiveLightGCN',
    'DirectAU',
    'ItemKNN',
    'LightGCL',
    'LightGCN',
    'Popularity',
    'Recommender',
    'SelfCF',
    'SimGCL',
    'XSimGCL',
]
