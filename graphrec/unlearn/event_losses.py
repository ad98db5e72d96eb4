"""Which training events an edit took from a model of searches, and batches of such events."""

from typing import NamedTuple

import torch
from torch import Tensor

from graphrec.graphs.event_pairs import TrainingEvents
from graphrec.graphs.search_sampling import SearchBatch, SearchSampler
from graphrec.graphs.words import carry_table
from graphrec.models.query_recommender import QueryRecommender
from graphrec.models.recommender import Recommender
from graphrec.unlearn.task import Task


class EventChange(NamedTuple):
    """Training events of a model before and after an edit; repeated searches stay apart.

    Attributes:
        gone: Those that the edit took.
        new: Those that it made: without the search, a pair that stays is a recommendation.
        kept: Those of both.
    """

    gone: TrainingEvents
    new: TrainingEvents
    kept: TrainingEvents


def event_change(before: QueryRecommender, after: QueryRecommender) -> EventChange:
    """What became of the training events of a model on the graph before, and the same on the
    edited one."""
    both = [torch.stack(model.events) for model in (before, after)]
    distinct, place = torch.cat(both, 1).unique(dim=1, return_inverse=True)
    old, new = (
        torch.bincount(part, minlength=distinct.size(1))
        for part in place.split([events.size(1) for events in both])
    )

    def times(count: Tensor) -> TrainingEvents:
        return TrainingEvents(*distinct.repeat_interleave(count.clamp(min=0), dim=1))

    return EventChange(times(old - new), times(new - old), times(torch.minimum(old, new)))


def event_batches(task: Task, events: TrainingEvents, purpose: str) -> list[SearchBatch]:
    """Batches that hold every event once, with negatives that its user had neither before nor
    after the edit; users with every item are left out."""
    if not events.user.numel() or not isinstance(task.original, QueryRecommender):
        return []
    sampler = SearchSampler(task.data, task.original.events, task.fit['batch_size'])
    kept = ~sampler._negatives.saturated[events.user]
    sampler.events = TrainingEvents(*(each[kept] for each in events))
    return list(sampler.epoch(task.generator(purpose)))


def carried(flat: Tensor, model: Recommender, other: Recommender) -> Tensor:
    """Numbers for every parameter of a model as numbers for those of :obj:`other`, whose words
    may be fewer: rows follow their word, and are 0 for one that the model does not have."""
    words, others = model.word_rows(), other.word_rows()
    own = dict(model.named_parameters())
    parts, start = [], 0
    for name, parameter in other.named_parameters():
        if not parameter.requires_grad:
            continue
        size = own[name].numel()
        part = flat[start : start + size].view_as(own[name])
        start += size
        if name in words:
            part = carry_table(part, torch.zeros_like(parameter), words[name], others[name])
        parts.append(part.reshape(-1))
    return torch.cat(parts)
