"""The validation metric of a training run; it knows no other split."""

import hashlib
from typing import Any

from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.evaluation import evaluate
from graphrec.graphs.schema import HOLDOUT_VALID, num_items
from graphrec.metrics import BEYOND, RELEVANCE
from graphrec.models.recommender import Recommender


class Validation:
    r"""Evaluates a model on the validation edges of a graph, and on nothing else.

    Args:
        data: The graph; without validation edges there is nothing to evaluate.
        metric: ``'name@k'``, the one that picks the epoch; recall and ndcg at the same
            :math:`k` come along.

    Attributes:
        active: Whether there are validation edges.

    Raises:
        GraphError: If :obj:`metric` is not of the form ``name@k``, or, before anything is
            trained, if it cannot be computed on this graph.
    """

    def __init__(self, data: HeteroData, metric: str = 'recall@20') -> None:
        self.metric = metric
        self.name, self.k = parse_metric(metric)
        self.data = data
        self.active = (
            HOLDOUT_VALID in data.edge_types and data[HOLDOUT_VALID].edge_index.size(1) > 0
        )
        if self.name not in RELEVANCE + BEYOND:
            raise GraphError(
                f"'metric' is {metric!r}, but metrics are {RELEVANCE + BEYOND}; choose one of them"
            )
        if self.active and self.k > num_items(data):
            raise GraphError(
                f"'metric' is {metric!r}, but the catalogue has {num_items(data)} items; choose "
                f"'{self.name}@{num_items(data)}' or less"
            )

    def __call__(self, model: Recommender) -> dict[str, float]:
        """Metrics by ``name@k``, the picking one first; empty if not :attr:`active`."""
        if not self.active:
            return {}
        names = tuple(dict.fromkeys((self.name, 'recall', 'ndcg')))
        scores: dict[str, Any] = evaluate(
            model, self.data, split='valid', k=(self.k,), metrics=names
        )
        wanted = [f'{name}@{self.k}' for name in names]
        if self.metric not in scores:
            raise GraphError(
                f"'metric' is {self.metric!r}, but the evaluation gives {sorted(scores)}"
            )
        return {name: float(scores[name]) for name in wanted if name in scores}

    @property
    def digest(self) -> str | None:
        """SHA-256 (hex) of the validation edges, in any order."""
        if not self.active:
            return None
        user, item = self.data[HOLDOUT_VALID].edge_index
        key = (user * num_items(self.data) + item).cpu().sort().values
        return hashlib.sha256(key.numpy().tobytes()).hexdigest()


def parse_metric(metric: str) -> tuple[str, int]:
    """``'recall@20'`` as ``('recall', 20)``.

    Raises:
        GraphError: If the text is of another form, or :math:`k < 1`.
    """
    name, sign, k = str(metric).partition('@')
    if not name.isidentifier() or not sign or not k.isdigit() or int(k) < 1:
        raise GraphError(
            f"'metric' must be written name@k, such as 'recall@20' or 'ndcg@10' (got {metric!r})"
        )
    return name, int(k)
