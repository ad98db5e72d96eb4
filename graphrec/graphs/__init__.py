"""The graph: schema, builders, splits, operators, sampling, statistics, export."""

from graphrec.graphs.drawing import draw_neighbourhood
from graphrec.graphs.export import to_networkx, to_scipy
from graphrec.graphs.interactions import from_tables
from graphrec.graphs.operators import (
    Diagonal,
    Identity,
    Operator,
    Polynomial,
    Sparse,
    bipartite_adjacency,
    interaction_operator,
    normalized_adjacency,
)
from graphrec.graphs.sampling import BPRBatch, BPRSampler
from graphrec.graphs.schema import validate
from graphrec.graphs.splits import carve_validation, cold_items, split
from graphrec.graphs.statistics import describe, gini
from graphrec.graphs.statistics import draw as draw_statistics

__all__ = [
    'BPRBatch',
    'BPRSampler',
    'Diagonal',
    'Identity',
    'Operator',
    'Polynomial',
    'Sparse',
    'bipartite_adjacency',
    'carve_validation',
    'cold_items',
    'describe',
    'draw_neighbourhood',
    'draw_statistics',
    'from_tables',
    'gini',
    'interaction_operator',
    'normalized_adjacency',
    'split',
    'to_networkx',
    'to_scipy',
    'validate',
]
