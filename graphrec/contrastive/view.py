"""What a view is, and one pass over the graph through its eyes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.graphs.operators import Operator, bipartite_adjacency


class Bipartite(NamedTuple):
    """Training edges :math:`(2, E)` with users in row 0, and the numbers of nodes."""

    edge_index: Tensor
    num_users: int
    num_items: int


class View:
    r"""A change of graph, embeddings or layers on the way through a graph network. It may act
    in three places, each of which a subclass overrides or leaves as it is:

    - :meth:`edges` or :meth:`operators`: the graph of each layer, redrawn every epoch;
    - :meth:`start`: the embeddings that enter;
    - :meth:`hook`: the output of each layer, redrawn every pass.

    All randomness comes from the generator: the same state, the same view. At strength 0 the
    view is the input.

    Attributes:
        fresh: Whether operators are drawn anew each epoch, or once for a graph.
        reads_main: Whether a layer reads the previous layer of the main pass in place of
            its own.
    """

    fresh: bool = True
    reads_main: bool = False

    def edges(self, graph: Bipartite, num_layers: int, generator: torch.Generator) -> list[Tensor]:
        """Edges :math:`(2, E')` of each layer; a single entry serves all of them."""
        return [graph.edge_index]

    def operators(
        self, graph: Bipartite, num_layers: int, generator: torch.Generator
    ) -> list[Operator]:
        """The operator :math:`(N, N)` of each layer, users first; a single entry serves all
        of them. By default the symmetrically normalised adjacency of :meth:`edges`, with the
        degrees of the view."""
        drawn = self.edges(graph, num_layers, generator)
        return [bipartite_adjacency(edges, graph.num_users, graph.num_items) for edges in drawn]

    def start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The embeddings :math:`(N, d)` that enter the first layer."""
        return x

    def layer(self, op: Operator, h: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        """One layer: :obj:`h` is what it reads, :obj:`x` the embeddings."""
        return op @ h

    def hook(self, h: Tensor, layer: int, generator: torch.Generator) -> Tensor:
        """What becomes of the output :math:`(N, d)` of layer 1, 2, …"""
        return h

    @property
    def keeps_graph(self) -> bool:
        """Whether all layers pass messages over the graph as it is."""
        cls = type(self)
        return (cls.edges, cls.operators) == (View.edges, View.operators)

    @property
    def is_linear(self) -> bool:
        """Whether a pass is nothing but products with its operators."""
        cls = type(self)
        own = (cls.start, cls.layer, cls.hook)
        return own == (View.start, View.layer, View.hook) and not self.reads_main


def propagate(
    view: View,
    operators: Sequence[Operator],
    x: Tensor,
    num_layers: int,
    generator: torch.Generator,
    main: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    r"""One pass: :math:`\mathbf{H}^{(0)}` from :meth:`View.start`, then
    :math:`\mathbf{H}^{(l)} = \mathrm{hook}(\mathbf{A}_l \mathbf{H}^{(l - 1)})`.

    Args:
        view: The view.
        operators: One, or one a layer, from :meth:`View.operators`.
        x: Embeddings :math:`(N, d)`.
        num_layers: :math:`L`.
        generator: Source of randomness, on the device of :obj:`x`.
        main: Layers of the main pass, for a view that reads them.

    Returns:
        The layers 0 to :math:`L`, each :math:`(N, d)`.
    """
    if len(operators) not in (1, num_layers):
        raise GraphError(f"'operators' has {len(operators)} entries, expected 1 or {num_layers}")
    if view.reads_main and main is None:
        raise GraphError(f"{type(view).__name__} reads the layers of the main pass; give 'main'")
    layers = [view.start(x, generator)]
    for number in range(1, num_layers + 1):
        op = operators[min(number, len(operators)) - 1]
        source = main[number - 1] if view.reads_main and main is not None else layers[-1]
        layers.append(view.hook(view.layer(op, source, x, generator), number, generator))
    return layers


def readout(layers: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    r""":math:`\sum_l a_l \mathbf{H}^{(l)}` :math:`(N, d)`; layers of weight 0 are left out."""
    total = None
    for h, a in zip(layers, weights, strict=True):
        if a:
            total = a * h if total is None else torch.add(total, h, alpha=a)
    return torch.zeros_like(layers[0]) if total is None else total


def check_share(name: str, value: float) -> None:
    """Raises :class:`GraphError` unless a share to drop lies in [0, 1)."""
    if not 0 <= value < 1:
        raise GraphError(f"'{name}' needs to lie in [0, 1) (got {value})")


def num_kept(size: int, p: float) -> int:
    r""":math:`\lfloor (1 - p) n \rfloor`, as exact arithmetic gives it."""
    return int(size * (1 - p) + 1e-6)
