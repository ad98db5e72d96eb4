"""Batches of search and recommendation events with a negative each."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.event_pairs import TrainingEvents, union_graph
from graphrec.graphs.sampling import BPRSampler


class SearchBatch(NamedTuple):
    """Events with a negative, one entry each :math:`(B)`: node numbers of the user, the item,
    another item and the query; only where :obj:`is_search` the query is read."""

    user: Tensor
    pos: Tensor
    neg: Tensor
    query: Tensor
    is_search: Tensor


class SearchSampler:
    r"""Every training event once an epoch, shuffled, searches and recommendations mixed, each
    with one item drawn uniformly among those that its user neither has nor found.

    Users with every item have no negative: their events are left out with a warning.

    Args:
        data: The graph.
        events: Its training events, see :func:`graphrec.graphs.event_pairs.training_events`.
        batch_size: Events a batch.

    Raises:
        GraphError: If the batch size is below 1 or no user has a negative.
    """

    def __init__(self, data: HeteroData, events: TrainingEvents, batch_size: int = 2048) -> None:
        if batch_size < 1:
            raise GraphError(f"'batch_size' must be at least 1 (got {batch_size})")
        self.batch_size = batch_size
        self._negatives = BPRSampler(union_graph(data, events), batch_size)
        kept = ~self._negatives.saturated[events.user]
        self.events = TrainingEvents(*(each[kept] for each in events))

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.events.user.numel() // self.batch_size)

    def epoch(self, generator: torch.Generator, start: int = 0) -> Iterator[SearchBatch]:
        """Yields the batches of one epoch; the same generator state gives the same batches.
        The first :obj:`start` are skipped (a resumed run)."""
        user = self.events.user
        order = torch.randperm(user.numel(), generator=generator, device=user.device)
        user, pos, query = (each[order] for each in self.events)
        neg = self._negatives.draw_negatives(user, generator).squeeze(1)
        for low in range(start * self.batch_size, user.numel(), self.batch_size):
            rows = slice(low, low + self.batch_size)
            yield SearchBatch(user[rows], pos[rows], neg[rows], query[rows], query[rows] >= 0)
