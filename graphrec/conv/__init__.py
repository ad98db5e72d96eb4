"""Message-passing layers."""

from graphrec.conv.light_hypergraph_conv import LightHypergraphConv
from graphrec.conv.lightgcn_conv import LightGCNConv
from graphrec.conv.translation import TranslationConv

__all__ = ['LightGCNConv', 'LightHypergraphConv', 'TranslationConv']
