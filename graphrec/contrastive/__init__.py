"""Contrastive views and objectives: any view goes with any objective."""

from graphrec.contrastive.alignment_uniformity import alignment, alignment_uniformity, uniformity
from graphrec.contrastive.anchor_info_nce import prototype_info_nce, structural_info_nce
from graphrec.contrastive.blockwise_info_nce import blockwise_info_nce
from graphrec.contrastive.blockwise_logsumexp import blockwise_logsumexp
from graphrec.contrastive.bootstrap import bootstrap, follow
from graphrec.contrastive.cosine_contrastive import cosine_contrastive
from graphrec.contrastive.decorrelation import decorrelation
from graphrec.contrastive.degree_edge_drop import DegreeEdgeDrop, drop_edges_by_degree
from graphrec.contrastive.edge_drop import EdgeDrop, drop_edges
from graphrec.contrastive.edge_view import EdgeView
from graphrec.contrastive.embedding_perturbation import EmbeddingPerturbation
from graphrec.contrastive.feature_mask import FeatureMask, mask_features
from graphrec.contrastive.hypergraph_view import HypergraphView
from graphrec.contrastive.info_nce import info_nce, nt_xent
from graphrec.contrastive.k_means import k_means
from graphrec.contrastive.modality_drop import ModalityDrop, draw_modalities
from graphrec.contrastive.modulus_noise import ModulusNoise, modulus_noise
from graphrec.contrastive.node_drop import NodeDrop, drop_nodes
from graphrec.contrastive.random_walk import RandomWalk
from graphrec.contrastive.rescaled_edge_drop import RescaledEdgeDrop
from graphrec.contrastive.semantic_info_nce import semantic_info_nce
from graphrec.contrastive.svd_view import LowRankAdjacency, SVDView, truncated_svd
from graphrec.contrastive.uniform_noise import UniformNoise, uniform_noise
from graphrec.contrastive.view import Bipartite, View, propagate, readout

__all__ = [
    'Bipartite',
    'DegreeEdgeDrop',
    'EdgeDrop',
    'EdgeView',
    'EmbeddingPerturbation',
    'FeatureMask',
    'HypergraphView',
    'LowRankAdjacency',
    'ModalityDrop',
    'ModulusNoise',
    'NodeDrop',
    'RandomWalk',
    'RescaledEdgeDrop',
    'SVDView',
    'UniformNoise',
    'View',
    'alignment',
    'alignment_uniformity',
    'blockwise_info_nce',
    'blockwise_logsumexp',
    'bootstrap',
    'cosine_contrastive',
    'decorrelation',
    'draw_modalities',
    'drop_edges',
    'drop_edges_by_degree',
    'drop_nodes',
    'follow',
    'info_nce',
    'k_means',
    'mask_features',
    'modulus_noise',
    'nt_xent',
    'propagate',
    'prototype_info_nce',
    'readout',
    'semantic_info_nce',
    'structural_info_nce',
    'truncated_svd',
    'uniform_noise',
    'uniformity',
]
