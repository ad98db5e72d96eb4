r"""Hypergraphs as incidences, and the operators over them in factored form.

A hyperedge joins any number of nodes. With the incidence :math:`\mathbf{H} \in
\mathbb{R}^{n \times e}` messages go from nodes to hyperedges (:math:`\mathbf{H}^{\top}
\mathbf{x}`) and back (:math:`\mathbf{H} \cdot`): two sparse products of
:math:`\mathrm{nnz}(\mathbf{H})` each, where the :math:`n \times n` product
:math:`\mathbf{H}\mathbf{H}^{\top}` would have many times the entries.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.neighbours import NeighbourGraph
from graphrec.graphs.operators import Diagonal, Operator, Product, interaction_operator
from graphrec.graphs.sparse import Sparse

NORMALISATIONS = ('row', 'symmetric')


def user_hypergraph(data: HeteroData) -> Operator:
    r"""Co-preference of users by training edges (MMHCL): :func:`co_preference` of
    :math:`\mathbf{R}`, one hyperedge an item, joining the users who have it."""
    return co_preference(interaction_operator(data))


def co_preference(incidence: Sparse) -> Operator:
    r"""Shares of common hyperedges, of `"MMHCL: Multi-Modal Hypergraph Contrastive Learning
    for Recommendation" <https://arxiv.org/abs/2504.16576>`_:

    .. math::
        \mathbf{S}_u = \mathbf{D}^{-1} (\mathbf{G} - \mathrm{diag}\, \mathbf{G}), \qquad
        \mathbf{G} = \mathbf{R} \mathbf{R}^{\top}, \qquad
        D_{uu} = \sum_{v \neq u} G_{uv}

    evaluated as :math:`\mathbf{D}^{-1} (\mathbf{R} (\mathbf{R}^{\top} \mathbf{x}) -
    \mathbf{c} \odot \mathbf{x})` with :math:`\mathbf{c} = \mathrm{diag}\, \mathbf{G}`.
    Rows sum to 1, or to 0 for a node that shares no hyperedge; it is not symmetric. As in
    the official code hyperedges carry no weight, so a popular item counts with the square
    of its degree.

    Args:
        incidence: :math:`\mathbf{R}`, shape :math:`(n, e)`, not negative.

    Returns:
        An operator :math:`(n, n)`.
    """
    weight = incidence.weight.double()
    own = weight.new_zeros(incidence.shape[0]).index_add_(0, incidence.row, weight.square())
    scale = _inverse(_row_sums(incidence, _row_sums(incidence.T)) - own)
    return incidence.scale(rows=scale) @ incidence.T + Diagonal(-(own * scale).float())


def neighbour_incidence(graphs: Sequence[NeighbourGraph], *, positive: bool = True) -> Sparse:
    r"""The incidence :math:`\mathbf{H} = [\mathbf{K}^{1} | \mathbf{K}^{2} | \ldots] \in
    \{0, 1\}^{I \times M I}` of items and the hyperedges of :math:`M` modalities. Row
    :math:`i` of :math:`\mathbf{K}^m` marks the neighbours of :math:`i`, so hyperedge
    :math:`m I + j` joins the items that chose :math:`j`.

    Args:
        graphs: Neighbours by modality, all of the same items.
        positive: Leave out neighbours whose similarity is not above 0.

    Raises:
        GraphError: If there is no graph, or they differ in their items.
    """
    sizes = {graph.num_nodes for graph in graphs}
    if len(sizes) != 1:
        raise GraphError(
            f"'graphs' holds {len(graphs)} graphs of {sorted(sizes)} nodes; give at least one, "
            f'all of the same items'
        )
    (count,) = sizes
    parts = [graph.edges(positive=positive)[0] for graph in graphs]
    shift = [torch.tensor([[0], [m * count]], device=part.device) for m, part in enumerate(parts)]
    edge_index = torch.cat([part + s for part, s in zip(parts, shift, strict=True)], dim=1)
    return Sparse.from_edges(edge_index, shape=(count, len(graphs) * count))


def item_hypergraph(graphs: Sequence[NeighbourGraph], *, positive: bool = True) -> Operator:
    r"""Shared neighbours of items over all modalities (MMHCL):

    .. math::
        \mathbf{S}_i = \mathbf{D}^{-1/2} \mathbf{H} \mathbf{H}^{\top} \mathbf{D}^{-1/2},
        \qquad D_{ii} = \sum_j (\mathbf{H} \mathbf{H}^{\top})_{ij}

    with :math:`\mathbf{H}` of :func:`neighbour_incidence`; symmetric, not negative, of
    spectral radius 1. :math:`(\mathbf{H}\mathbf{H}^{\top})_{ij}` counts the (modality,
    neighbour) pairs that :math:`i` and :math:`j` share. An item whose only neighbour is
    itself, and that nobody chose, keeps its own row: 1 on the diagonal.

    The official code keeps the value of neighbours with a similarity of 0 or less, and
    turns the others into 1; here they are left out (:obj:`positive`) or count as 1.

    Args:
        graphs: Neighbours by modality, see :func:`graphrec.graphs.semantic_graph`.
        positive: Leave out neighbours whose similarity is not above 0.

    Returns:
        An operator :math:`(I, I)`.
    """
    incidence = neighbour_incidence(graphs, positive=positive)
    half = incidence.scale(rows=_inverse(_row_sums(incidence, _row_sums(incidence.T))).sqrt())
    return half @ half.T


def hypergraph_operator(
    incidence: Sparse, weight: Tensor | None = None, normalisation: str = 'row'
) -> Operator:
    r"""One convolution over a hypergraph, without its linear map:

    .. math::
        \text{row: } \mathbf{D}^{-1} \mathbf{H} \mathbf{W} \mathbf{B}^{-1} \mathbf{H}^{\top},
        \qquad \text{symmetric: } \mathbf{D}^{-1/2} \mathbf{H} \mathbf{W} \mathbf{B}^{-1}
        \mathbf{H}^{\top} \mathbf{D}^{-1/2}

    with :math:`D_{ii} = \sum_e W_{ee} H_{ie}` and :math:`B_{ee} = \sum_i H_{ie}`. ``'row'``
    is the equation of PyG's :class:`~torch_geometric.nn.HypergraphConv` (`"Hypergraph
    Convolution and Hypergraph Attention" <https://arxiv.org/abs/1901.08150>`_), whose code
    leaves :math:`\mathbf{W}` out of the message: both agree for equal weights.
    ``'symmetric'`` is that of `"HGNN" <https://arxiv.org/abs/1809.09401>`_. Nodes and
    hyperedges without members give zeros.

    Args:
        incidence: :math:`\mathbf{H}`, shape :math:`(n, e)`, not negative.
        weight: Diagonal of :math:`\mathbf{W}`, shape :math:`(e)`, not negative; ones if
            omitted.
        normalisation: ``'row'`` or ``'symmetric'``.

    Returns:
        An operator :math:`(n, n)`.

    Raises:
        GraphError: If the weight does not fit, or the word is not one of these.
    """
    if normalisation not in NORMALISATIONS:
        raise GraphError(f"'normalisation' must be one of {NORMALISATIONS} (got {normalisation!r})")
    edges = incidence.shape[1]
    if weight is None:
        weight = torch.ones(edges, device=incidence.weight.device)
    if weight.shape != (edges,) or bool((weight < 0).any()):
        raise GraphError(
            f"'weight' has shape {list(weight.shape)}, expected [{edges}] without negative numbers"
        )
    weight = weight.double()
    node = _inverse(_row_sums(incidence, weight))
    edge = weight * _inverse(_row_sums(incidence.T))
    if normalisation == 'row':
        return incidence.scale(rows=node, cols=edge) @ incidence.T
    half = incidence.scale(rows=node.sqrt(), cols=edge.sqrt())
    return Product([half, half.T])


def learned_hyperedges(
    x: Tensor, weight: Tensor, keep: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Soft memberships :math:`\mathbf{H} = \mathbf{X} \mathbf{W}` of nodes in hyperedges
    that are learned, of `"Hypergraph Contrastive Collaborative Filtering"
    <https://arxiv.org/abs/2204.12200>`_ (HCCF).

    Args:
        x: Embeddings :math:`(n, d)`.
        weight: :math:`\mathbf{W}`, shape :math:`(d, e)`: a direction a hyperedge.
        keep: Share of memberships kept, drawn anew at every call and scaled by
            :math:`1 / keep`; 1 outside training.
        generator: Source of randomness, on the device of :obj:`x`.

    Returns:
        :math:`\mathbf{H}`, shape :math:`(n, e)`.
    """
    if not 0 < keep <= 1:
        raise GraphError(f"'keep' needs to lie in (0, 1] (got {keep})")
    member = x @ weight
    if keep == 1:
        return member
    kept = torch.rand(member.shape, generator=generator, device=x.device) < keep
    return member * kept / keep


def pass_through_hyperedges(member: Tensor, x: Tensor, negative_slope: float = 1.0) -> Tensor:
    r"""Messages :math:`\mathbf{\Gamma} = \mathbf{H} (\mathbf{H}^{\top} \mathbf{X})` over
    dense memberships, in :math:`O(n e d)`, and never :math:`n \times n`.

    Args:
        member: :math:`\mathbf{H}`, shape :math:`(n, e)`; see :func:`learned_hyperedges`.
        x: Embeddings :math:`(n, d)`.
        negative_slope: Slope below zero of a LeakyReLU after both products, which HCCF's
            paper states and its released code leaves out; 1 is none.
    """
    if negative_slope == 1:
        return member @ (member.t() @ x)
    hyperedge = F.leaky_relu(member.t() @ x, negative_slope)
    return F.leaky_relu(member @ hyperedge, negative_slope)


def _row_sums(op: Sparse, x: Tensor | None = None) -> Tensor:
    """``op @ x`` (ones if omitted) in float64."""
    weight = op.weight.double()
    if x is not None:
        weight = weight * x.double()[op.col.long()]
    return weight.new_zeros(op.shape[0]).index_add_(0, op.row, weight)


def _inverse(x: Tensor) -> Tensor:
    return torch.where(x > 0, 1 / x, 0.0)
