"""Complete recommenders, one file each."""

from graphrec.models.bm3 import BM3
from graphrec.models.bm25 import BM25
from graphrec.models.buir import BUIR
from graphrec.models.contrastive_lightgcn import ContrastiveLightGCN
from graphrec.models.directau import DirectAU
from graphrec.models.ease import EASE
from graphrec.models.freedom import FREEDOM
from graphrec.models.hypersar import HyperSaR
from graphrec.models.item_knn import ItemKNN
from graphrec.models.lattice import LATTICE
from graphrec.models.lgmrec import LGMRec
from graphrec.models.lightgcl import LightGCL
from graphrec.models.lightgcn import LightGCN
from graphrec.models.lirdrec import LIRDRec
from graphrec.models.mf import MF
from graphrec.models.mgcn import MGCN
from graphrec.models.mmhcl import MMHCL
from graphrec.models.ncl import NCL
from graphrec.models.popularity import Popularity
from graphrec.models.query_bilinear import QueryBilinear
from graphrec.models.recommender import Recommender
from graphrec.models.selfcf import SelfCF
from graphrec.models.semantic_item_graph import SemanticItemGraph
from graphrec.models.sgl import SGL
from graphrec.models.simgcl import SimGCL
from graphrec.models.uditsr import UDITSR
from graphrec.models.union_lightgcn import UnionLightGCN
from graphrec.models.vbpr import VBPR
from graphrec.models.xsimgcl import XSimGCL

__all__ = [
    'BM3',
    'BM25',
    'BUIR',
    'EASE',
    'FREEDOM',
    'LATTICE',
    'MF',
    'MGCN',
    'MMHCL',
    'NCL',
    'SGL',
    'UDITSR',
    'VBPR',
    'ContrastiveLightGCN',
    'DirectAU',
    'HyperSaR',
    'ItemKNN',
    'LGMRec',
    'LIRDRec',
    'LightGCL',
    'LightGCN',
    'Popularity',
    'QueryBilinear',
    'Recommender',
    'SelfCF',
    'SemanticItemGraph',
    'SimGCL',
    'UnionLightGCN',
    'XSimGCL',
]
