"""Complete recommenders, one file each."""

from graphrec.models.ease import EASE
from graphrec.models.item_knn import ItemKNN
from graphrec.models.lightgcn import LightGCN
from graphrec.models.mf import MF
from graphrec.models.popularity import Popularity
from graphrec.models.recommender import Recommender

__all__ = ['EASE', 'MF', 'ItemKNN', 'LightGCN', 'Popularity', 'Recommender']
