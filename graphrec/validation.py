"""The validation metric of a training run; it knows no other split."""

import hashlib
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.evaluation import evaluate
from graphrec.graphs.schema import HOLDOUT_VALID, QUERY, num_items
from graphrec.graphs.search import event_labels, search_events
from graphrec.metrics import BEYOND, RELEVANCE
from graphrec.models.recommender import Recommender

SEARCH = 'search_'


class Validation:
    r"""Evaluates a model on the validation edges of a graph, and on nothing else. A metric
    that begins with ``search_``, such as ``'search_ndcg@20'``, is one of the validation
    searches.

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
        name, self.k = parse_metric(metric)
        self.name = name.removeprefix(SEARCH)
        self.prefix = SEARCH if name.startswith(SEARCH) else ''
        self.data = data
        self.active = self._edges().size(1) > 0
        choices = RELEVANCE if self.prefix else RELEVANCE + BEYOND
        if self.name not in choices:
            raise GraphError(
                f"'metric' is {metric!r}, but metrics are {choices}; choose one of them"
            )
        if self.active and self.k > num_items(data):
            raise GraphError(
                f"'metric' is {metric!r}, but the catalogue has {num_items(data)} items; choose "
                f"'{name}@{num_items(data)}' or less"
            )

    def __call__(self, model: Recommender) -> dict[str, float]:
        """Metrics by ``name@k``, the picking one first; empty if not :attr:`active`."""
        if not self.active:
            return {}
        names = tuple(dict.fromkeys((self.name, 'recall', 'ndcg')))
        task = 'search' if self.prefix else 'recommend'
        found = evaluate(model, self.data, split='valid', k=(self.k,), metrics=names, task=task)
        scores: dict[str, Any] = {self.prefix + name: value for name, value in found.items()}
        wanted = [f'{self.prefix}{name}@{self.k}' for name in names]
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
        key, *others, item = self._edges()
        for query in others:
            key = key * int(self.data[QUERY].num_nodes) + query
        key = key * num_items(self.data) + item
        return hashlib.sha256(key.cpu().sort().values.numpy().tobytes()).hexdigest()

    def _edges(self) -> Tensor:
        """Users and items of the validation edges, or users, queries and items of the
        validation searches."""
        if self.prefix:
            if 'valid' not in event_labels(self.data):
                return torch.zeros(3, 0, dtype=torch.long)
            return torch.stack(search_events(self.data, 'valid')[:3])
        if HOLDOUT_VALID not in self.data.edge_types:
            return torch.zeros(2, 0, dtype=torch.long)
        edges: Tensor = self.data[HOLDOUT_VALID].edge_index
        return edges


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
