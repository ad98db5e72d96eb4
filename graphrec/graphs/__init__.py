"""The graph: schema, builders, splits, operators, sampling, statistics, export."""

from graphrec.graphs.cooccurrence import cooccurrence_graph
from graphrec.graphs.drawing import draw_neighbourhood
from graphrec.graphs.export import to_networkx, to_scipy
from graphrec.graphs.hypergraph import (
    co_preference,
    hypergraph_operator,
    item_hypergraph,
    learned_hyperedges,
    neighbour_incidence,
    pass_through_hyperedges,
    user_hypergraph,
)
from graphrec.graphs.interactions import from_tables
from graphrec.graphs.knn import nearest_neighbours
from graphrec.graphs.mixing import mix
from graphrec.graphs.neighbours import NeighbourGraph
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
from graphrec.graphs.search import add_events, search_events, search_history
from graphrec.graphs.search_log import from_search_log
from graphrec.graphs.search_splits import split_searches, split_training
from graphrec.graphs.semantic import (
    frozen_graph,
    frozen_modalities,
    semantic_graph,
    semantic_modalities,
)
from graphrec.graphs.splits import carve_validation, cold_items, split
from graphrec.graphs.statistics import describe, gini
from graphrec.graphs.statistics import draw as draw_statistics
from graphrec.graphs.words import query_words, with_words

__all__ = [
    'BPRBatch',
    'BPRSampler',
    'Diagonal',
    'Identity',
    'NeighbourGraph',
    'Operator',
    'Polynomial',
    'Sparse',
    'add_events',
    'bipartite_adjacency',
    'carve_validation',
    'co_preference',
    'cold_items',
    'cooccurrence_graph',
    'describe',
    'draw_neighbourhood',
    'draw_statistics',
    'from_search_log',
    'from_tables',
    'frozen_graph',
    'frozen_modalities',
    'gini',
    'hypergraph_operator',
    'interaction_operator',
    'item_hypergraph',
    'learned_hyperedges',
    'mix',
    'nearest_neighbours',
    'neighbour_incidence',
    'normalized_adjacency',
    'pass_through_hyperedges',
    'query_words',
    'search_events',
    'search_history',
    'semantic_graph',
    'semantic_modalities',
    'split',
    'split_searches',
    'split_training',
    'to_networkx',
    'to_scipy',
    'user_hypergraph',
    'validate',
    'with_words',
]
