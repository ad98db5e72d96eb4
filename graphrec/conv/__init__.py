"""Message-passing layers."""

from graphrec.conv.lightgcn_conv import LightGCNConv

__all__ = ['LightGCNConv']
