"""Settings of UDITSR."""

from dataclasses import dataclass
from typing import Any, Literal

from graphrec.errors import GraphError
from graphrec.models.query_config import QueryConfig

#: What the official code does and this package does not unless asked.
OFFICIAL: dict[str, Any] = {
    'pad_with_word': True,
    'keep_target_edges': True,
    'sg_reduction': 'batch',
    'leaky_output': True,
}


@dataclass(frozen=True)
class UDITSRConfig(QueryConfig):
    r"""Hyper-parameters of :class:`~graphrec.models.UDITSR`, with those of the official code;
    its quirks are off, :data:`OFFICIAL` turns them on. Further ones are those of
    :class:`~graphrec.models.query_config.QueryConfig`.

    Attributes:
        dim: :math:`d`.
        num_layers: :math:`L`.
        sg_weight: :math:`\lambda_{sg}` of the supervision of the generator; 0 leaves it out.
        cl_weight: :math:`\lambda_{cl}` of the contrast; 0 leaves it out.
        generator: Whether intents are generated; otherwise :math:`\hat{\mathbf{q}} = \mathbf{0}`.
        translation: Whether messages carry intents; without, propagation is a mean LightGCN
            with the layer weights :math:`1/(l+1)`.
        dropout: Share of the generator's hidden numbers left out in training.
        user_length, item_length: Words kept of a user and of an item.
        pad_with_word: Fill lists of words up with word 0, which is then embedded like any
            other.
        keep_target_edges: Keep the edges of the pairs of a batch among its messages, with the
            very query that is to be found. By default they are left out of the step.
        sg_reduction: Divide the supervision by the number of ``'search'`` events in the batch,
            or by all of the ``'batch'``, which makes its weight depend on their share.
        detach_query: Stop the gradient of the supervision at the real query, so that words
            do not move towards what is generated.
        leaky_output: LeakyReLU after the last layer of the heads.
        normalise_layers: Divide the sum of layers by the sum of their weights, so that a
            perfect translation has no distance left in the contrast.
    """

    dim: int = 100
    num_layers: int = 2
    sg_weight: float = 1.5
    cl_weight: float = 0.2
    generator: bool = True
    translation: bool = True
    dropout: float = 0.0
    user_length: int = 3
    item_length: int = 10
    pad_with_word: bool = False
    keep_target_edges: bool = False
    sg_reduction: Literal['search', 'batch'] = 'search'
    detach_query: bool = False
    leaky_output: bool = False
    normalise_layers: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ('user_length', 'item_length'):
            if getattr(self, name) < 1:
                raise GraphError(f'{name!r} must be at least 1 (got {getattr(self, name)})')
        for name in ('num_layers', 'sg_weight', 'cl_weight'):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')
        if self.sg_reduction not in ('search', 'batch'):
            raise GraphError(
                f"'sg_reduction' must be 'search' or 'batch' (got {self.sg_reduction!r})"
            )
        if not 0 <= self.dropout < 1:
            raise GraphError(f"'dropout' needs to lie in [0, 1) (got {self.dropout})")
