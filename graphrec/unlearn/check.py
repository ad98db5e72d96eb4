r"""One check for residue, and what all of them are about."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch_geometric.data import HeteroData

from graphrec.models.recommender import Recommender
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.forget_set import ForgetSet


@dataclass(frozen=True)
class Check:
    """One check: its name, whether it holds (:obj:`None` where it does not apply), what was
    found in a sentence, and counts."""

    name: str
    passed: bool | None
    detail: str
    counts: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Setting:
    """What the checks are about: the graph before and after, the edit, what it took out, the
    digest of the graph that it gives, and the models before and after; then seed and method of
    the run, and further stores by name."""

    data: HeteroData
    edited: HeteroData
    edit: Edit
    forget: ForgetSet
    digest: str
    original: Recommender
    unlearned: Recommender
    seed: int | None = None
    method: str | None = None
    stores: Mapping[str, Any] = field(default_factory=dict)


def listed(start: str, counts: Mapping[str, int]) -> str:
    """``start name: number, ...``"""
    return f'{start} ' + ', '.join(f'{name}: {n:,}' for name, n in counts.items())
