"""Contrastive views and objectives."""

from graphrec.contrastive.edge_drop import EdgeDrop, drop_edges

__all__ = ['EdgeDrop', 'drop_edges']
