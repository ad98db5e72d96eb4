"""Message-passing layers."""

from graphrec.conv.light_hypergraph_conv import LightHypergraphConv
from graphrec.conv.lightgcn_conv import LightGCNConv

__all__ = ['LightGCNConv', 'LightHypergraphConv']
