"""Settings that all models with queries share."""

from dataclasses import dataclass
from typing import Literal

from graphrec.errors import GraphError
from graphrec.graphs.event_pairs import RECOMMENDATIONS


@dataclass(frozen=True)
class QueryConfig:
    r"""What a model with queries reads of the graph.

    Attributes:
        dim: Size of the embeddings.
        searches: Whether the searches of the graph are read at all; without them the model is
            a recommender alone.
        recommendations: Training interactions that are recommendation events: ``'other'``,
            those that no search of the same user ended at; ``'all'``; or ``'none'``, for search
            alone.
        max_words: Size of the vocabulary at most.
        min_count: Training events that a word needs.
        query_length: Words kept of a query.
        seed: Seed of the initial draw.
    """

    dim: int = 64
    searches: bool = True
    recommendations: Literal['other', 'all', 'none'] = 'other'
    max_words: int = 5000
    min_count: int = 1
    query_length: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('dim', 'max_words', 'min_count', 'query_length'):
            if getattr(self, name) < 1:
                raise GraphError(f'{name!r} must be at least 1 (got {getattr(self, name)})')
        if self.recommendations not in RECOMMENDATIONS:
            raise GraphError(
                f"'recommendations' must be one of {RECOMMENDATIONS} (got {self.recommendations!r})"
            )
        if not self.searches and self.recommendations == 'none':
            raise GraphError(
                "'searches' is False and 'recommendations' is 'none': no event is left; "
                'keep one of them'
            )
