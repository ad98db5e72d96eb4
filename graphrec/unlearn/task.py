"""What a method of unlearning gets, and what it gives back."""

import dataclasses
import inspect
import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.fit_ranges import check_ranges
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import USER, num_users, train_edges
from graphrec.models.recommender import Recommender
from graphrec.training import fit as train
from graphrec.training_run import epoch_generator
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.fresh_rows import Rows, put_rows
from graphrec.unlearn.monitor import Monitor
from graphrec.unlearn.standardised import candidate_items

#: Settings of :func:`graphrec.fit` that a request may bring along.
FIT_SETTINGS = (
    'epochs',
    'batch_size',
    'lr',
    'weight_decay',
    'metric',
    'eval_every',
    'patience',
    'optimizer',
    'schedule',
    'memory_limit',
)


def fit_settings(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Training settings with the defaults of :func:`graphrec.fit`.

    Raises:
        GraphError: If a setting is unknown, belongs to one run (seed, checkpoint, sampler), or is
            out of range.
    """
    given = dict(given or {})
    unknown = sorted(set(given) - set(FIT_SETTINGS))
    if unknown:
        raise GraphError(
            f"'fit' has {unknown[0]!r}={given[unknown[0]]!r}, but takes {list(FIT_SETTINGS)}"
        )
    defaults = inspect.signature(train).parameters
    settings = {name: given.get(name, defaults[name].default) for name in FIT_SETTINGS}
    check_ranges(settings)  # Here too: a method may never come to training.
    return settings


@dataclasses.dataclass
class Outcome:
    """What a method did.

    Attributes:
        model: The result; the task's model, repaired in place, unless a method trains anew.
        data: The graph that the result belongs to; the edited one if omitted.
        steps: Gradient steps.
        reason: Why it stopped.
        notes: For the report.
        preparation: Seconds of work that is done once and serves later requests too.
        guarantee: The guarantee class, where it depends on options.
        evaluation: Seconds of evaluation inside the method beyond those of the monitor.
        needless: Whether the method found that no parameter has to change. The status is then
            what is measured, and not that of a run that should have changed something.
    """

    model: Recommender
    steps: int = 0
    reason: str = ''
    notes: list[str] = dataclasses.field(default_factory=list)
    preparation: float = 0.0
    evaluation: float = 0.0
    guarantee: str | None = None
    data: HeteroData | None = None
    needless: bool = False


@dataclasses.dataclass
class Task:
    """One request, as a method sees it.

    Attributes:
        model: The model to repair: parameters of the original on the edited graph, rows of
            removed nodes drawn anew. In evaluation mode.
        data: The edited graph.
        forget: What was taken out of it.
        original: The model before, to be read only.
        original_data: Its graph.
        fit: Training settings, see :func:`fit_settings`.
        seed: Of every random choice.
        monitor: The cheap checks.
        rows: What the rows of removed nodes are to be.
        served: Forgotten pairs that trained rows still score :math:`(2, F)`, see
            :func:`~graphrec.unlearn.monitor.served_pairs`. Others have a row that is a fresh
            draw, which no objective may move.
        progress: Whether training shows a bar.
    """

    model: Recommender
    data: HeteroData
    forget: ForgetSet
    original: Recommender
    original_data: HeteroData
    fit: dict[str, Any]
    seed: int
    monitor: Monitor
    rows: Rows = dataclasses.field(default_factory=dict)
    progress: bool = False

    @property
    def served(self) -> Tensor:
        """See :class:`Task`."""
        return self.monitor.served

    @property
    def device(self) -> torch.device:
        """Where the graph is."""
        return train_edges(self.data).device

    @cached_property
    def sampler(self) -> Any:
        """The model's own sampler on the edited graph."""
        return self.model.make_sampler(self.data, self.fit['batch_size'])

    @cached_property
    def retained_users(self) -> Tensor:
        """Numbers of the users that were not removed."""
        keep = torch.ones(num_users(self.data), dtype=torch.bool, device=self.device)
        removed = self.data[USER].get('is_removed')
        if removed is not None:
            keep &= ~removed.to(self.device)
        return keep.nonzero().squeeze(1)

    @cached_property
    def candidates(self) -> Tensor:
        """Bool :math:`(I)`: items that were not removed."""
        return candidate_items(self.data)

    def generator(self, purpose: str) -> torch.Generator:
        """A source of randomness of its own for each purpose."""
        return epoch_generator(self.seed, 0, f'unlearn {purpose}', self.device)

    def retain_batches(self) -> Iterator[BPRBatch]:
        """Batches of retained interactions without end, as training draws them: before each
        pass the model redraws what it redraws every epoch."""
        for epoch in itertools.count(1):
            self.model.train()
            self.model.begin_epoch(epoch_generator(self.seed, epoch, 'unlearn model', self.device))
            draws = epoch_generator(self.seed, epoch, 'unlearn sampler', self.device)
            yield from self.sampler.epoch(draws)

    def step_limit(self, steps: int | None, default: int) -> int:
        """The number of steps of a repair: :obj:`steps`, or the default but at most a tenth
        of those of a full training, beyond which retraining is the better offer."""
        if steps is not None:
            return steps
        full = self.fit['epochs'] * len(self.sampler)
        return max(1, min(default, full // 10))

    def settle(self) -> None:
        """Puts rows of removed nodes back, which a term over all nodes may have moved."""
        put_rows(self.model, self.rows)
        self.model.eval()
