"""What a suite of ``reproduce.py`` consists of."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any


def grid(**values: tuple[Any, ...]) -> list[dict[str, Any]]:
    """All combinations, the last name varying fastest."""
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


@dataclasses.dataclass(frozen=True)
class Loop:
    """Training of a model: epochs of a grid point and of a final run at most, and the
    seconds that one takes on two cores, about (for the printed plan only). What is None is
    the budget's."""

    grid_epochs: int
    epochs: int
    seconds: float
    batch_size: int = 2048
    decay: float | None = None  # Factor of the learning rate from epoch to epoch.
    eval_every: int | None = None
    patience: int | None = None


@dataclasses.dataclass(frozen=True)
class Budget:
    """Effort on one data set: the loops of the trained models, epochs between
    evaluations, evaluations without improvement before stopping (in the grid too), and
    grids other than the usual ones. ``lr`` in a grid goes to the training loop."""

    loops: Mapping[str, Loop]
    eval_every: int = 5
    patience: int = 8
    grids: Mapping[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)  # Model to reason.


@dataclasses.dataclass(frozen=True)
class Published:
    """A number from the README of a data set, or one named there."""

    method: str
    values: dict[str, float]
    difference: str


@dataclasses.dataclass(frozen=True)
class Study:
    """Further cells of chosen settings: a change of the data, or of the settings.

    Attributes:
        name: Of the study, e.g. ``'ablation'``.
        title: Heading and explanation on the page.
        sets: Data sets that it runs on.
        variants: Model to the variants that run, by label: each changes settings.
        protocol: What the cells depend on beside their settings, for each label of a column.
        seeds: So many, from the first.
        epochs: At most, of the models named; the budget's for others.
    """

    name: str
    title: str
    sets: tuple[str, ...]
    variants: Mapping[str, Mapping[str, dict[str, Any]]]
    protocol: Mapping[str, dict[str, Any]]
    seeds: int = 3
    epochs: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Suite:
    """Data sets and models whose results stand on one page.

    Attributes:
        name: As given by ``--suite``.
        table: The page.
        head: Its first part.
        sets: Cheap sets first, so that a short run has whole tables.
        models: In the order of the tables.
        deterministic: Those that seeds do not change: they run once.
        budgets: Of the sets.
        other: Budget of any other set.
        grids: The usual grid of each model.
        published: Published numbers of the sets.
        ours: The model that is no baseline; without one, all compare with the best.
        studies: What else is run with the chosen settings.
    """

    name: str
    table: str
    head: str
    sets: tuple[str, ...]
    models: tuple[str, ...]
    deterministic: tuple[str, ...]
    budgets: Mapping[str, Budget]
    other: Budget
    grids: Mapping[str, list[dict[str, Any]]]
    published: Mapping[str, list[Published]]
    ours: str | None = None
    studies: tuple[Study, ...] = ()

    def budget(self, data: str) -> Budget:
        """The effort on a data set."""
        return self.budgets.get(data, self.other)

    def points(self, data: str, model: str) -> list[dict[str, Any]]:
        """The grid of a model on a data set."""
        return self.budget(data).grids.get(model, self.grids[model])
