r"""What it cost, against retraining: seconds with and without rebuilding the graph, never with
evaluation, and both absolute numbers beside every ratio."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphrec.unlearn.report import ForgetReport


@dataclass(frozen=True)
class Cost:
    """Seconds and steps of a run and of the mean of the golds' runs.

    Attributes:
        method: Of the run.
        steps: Gradient steps.
        repair: Seconds of the method alone.
        rebuild: Seconds of the edit and of what is derived from the graph.
        preparation: Seconds of what is prepared once (shards, Fisher information).
        evaluation: Seconds of stop checks, in no other number.
        gold_steps: Steps of the golds.
        gold_repair: Their seconds of training.
        gold_rebuild: Their seconds of rebuilding.
        peak_bytes: Memory that the method held at most, beyond what was held before.
        gold_peak_bytes: The most that a gold's training held.
        num_gold_reports: Runs that these means are over.
    """

    method: str
    steps: int
    repair: float
    rebuild: float
    preparation: float
    evaluation: float
    gold_steps: float | None = None
    gold_repair: float | None = None
    gold_rebuild: float | None = None
    peak_bytes: int | None = None
    gold_peak_bytes: int | None = None
    num_gold_reports: int = 0

    @property
    def seconds(self) -> float:
        """Of the run, rebuilding included."""
        return self.repair + self.rebuild

    @property
    def gold_seconds(self) -> float | None:
        """Of a gold run, rebuilding included."""
        if self.gold_repair is None:
            return None
        return self.gold_repair + (self.gold_rebuild or 0.0)

    @property
    def speed_up(self) -> float | None:
        """Gold's seconds over the run's, rebuilding included in both."""
        gold = self.gold_seconds
        return gold / self.seconds if gold and self.seconds else None

    @property
    def speed_up_without_rebuild(self) -> float | None:
        """Gold's seconds over the run's, rebuilding in neither."""
        return self.gold_repair / self.repair if self.gold_repair and self.repair else None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            **vars(self),
            'seconds_with_rebuild': self.seconds,
            'gold_seconds_with_rebuild': self.gold_seconds,
            'speed_up_with_rebuild': self.speed_up,
            'speed_up_without_rebuild': self.speed_up_without_rebuild,
        }


def cost(report: ForgetReport, gold_reports: Sequence[ForgetReport] = ()) -> Cost:
    """From the report of the run and those of the golds, which should be trained with the same
    stopping rule, machine and sampler."""
    golds = list(gold_reports)

    def mean(values: Sequence[float]) -> float | None:
        return sum(values) / len(values) if values else None

    return Cost(
        method=report.method,
        steps=report.steps,
        repair=_seconds(report, 'repair'),
        rebuild=_seconds(report, 'rebuild'),
        preparation=_seconds(report, 'preparation'),
        evaluation=_seconds(report, 'evaluation'),
        gold_steps=mean([float(gold.steps) for gold in golds]),
        gold_repair=mean([_seconds(gold, 'repair') for gold in golds]),
        gold_rebuild=mean([_seconds(gold, 'rebuild') for gold in golds]),
        peak_bytes=report.peak_bytes,
        gold_peak_bytes=max(
            (gold.peak_bytes for gold in golds if gold.peak_bytes is not None), default=None
        ),
        num_gold_reports=len(golds),
    )


def _seconds(report: ForgetReport, part: str) -> float:
    return float(report.seconds.get(part, 0.0))
