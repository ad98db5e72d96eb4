"""What a run of unlearning reports about itself."""

import dataclasses
import datetime
import json
import math
from typing import Any

#: How a run can end. Only ``'passed'`` says that the cheap checks held; the last word has
#: :func:`graphrec.unlearn.audit`.
STATUSES = (
    'passed',
    'under_forgotten',
    'over_forgotten',
    'utility_loss',
    'not_measurable',
    'failed',
    'noop',
)

#: What each guarantee class means, for readers who see the letter only.
GUARANTEES = {
    'E': 'exact: drawn from the same procedure as training without the forgotten data',
    'C': 'certified: a statement with its assumptions',
    'A': 'approximate: as good as its audit says, nothing is proven',
    'S': 'suppressed: a filter in serving; the model remembers as before',
}


@dataclasses.dataclass
class ForgetReport:
    r"""What was asked, what was done and what the cheap checks of
    :func:`graphrec.unlearn.forget` measured. Without any id of the graph.

    Attributes:
        request: Digest of the edit.
        method: The method that gave the model (``'auto'`` names the one that it chose).
        guarantee: ``'E'``, ``'C'``, ``'A'`` or ``'S'``, see :data:`GUARANTEES`.
        status: One of :data:`STATUSES`.
        reason: Why the repair stopped and why the status is what it is.
        steps: Gradient steps.
        seconds: ``'repair'`` (of the method alone), ``'rebuild'`` (edit and derived
            structures), ``'evaluation'`` (stop checks and validation) and, where the method
            needs one, ``'preparation'``.
        peak_bytes: Memory that the method held at most beyond what was held before, where the
            machine can tell (:mod:`graphrec.unlearn.peak_memory`).
        update_norm: Length of the change of all parameters, rows that were drawn anew left out.
        metrics: By name the value of the original (``'before'``) and of the result
            (``'after'``): ``'valid_recall@20'`` on retained validation pairs;
            ``'forget_auc'``, the probability that a forgotten pair scores above a held-out
            one (0.5 is forgotten), which has a ``'half_width'`` besides: half the 95 % interval
            over users.
        seed: Of every random choice.
        settings: Options of the method and the training settings that it used.
        digests: Of the graph before and after.
        counts: How many pairs, users, items and modality cells were forgotten, how many users
            that stay were left with nothing to learn from, and what else was asked for: held-out
            pairs, edges of other types, values of attributes.
        notes: What a reader has to know besides.
        attempts: Runs that were tried and not kept, as short dictionaries (``auto``).
        needless: Whether the method found that no parameter has to change.
        received_at: When the request came, in UTC (ISO 8601); :obj:`None` in reports of earlier
            versions.
        unlearned_at: When the run was done, likewise.
    """

    request: str
    method: str
    guarantee: str
    status: str = 'failed'
    reason: str = ''
    steps: int = 0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    peak_bytes: int | None = None
    update_norm: float = 0.0
    metrics: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    seed: int = 0
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    digests: dict[str, str] = dataclasses.field(default_factory=dict)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    attempts: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    needless: bool = False
    received_at: str | None = None
    unlearned_at: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values; what is not finite is :obj:`None`."""
        return _plain(dataclasses.asdict(self))

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, allow_nan=False)

    def brief(self) -> dict[str, Any]:
        """What is kept of an attempt that another one replaced."""
        kept = ('method', 'status', 'reason', 'steps', 'seconds', 'metrics')
        return {name: value for name, value in self.to_dict().items() if name in kept}

    def __str__(self) -> str:
        asked = ', '.join(f'{n:,} {name.replace("_", " ")}' for name, n in self.counts.items() if n)
        lines = [
            f'status     {self.status} ({self.reason})',
            f'method     {self.method}, class {self.guarantee} ({GUARANTEES[self.guarantee]})',
            f'forgotten  {asked or "nothing"}',
            f'cost       {self.steps:,} steps; '
            + ', '.join(f'{value:.2f} s {name}' for name, value in self.seconds.items()),
            f'update     {self.update_norm:.4g}',
        ]
        for name, values in self.metrics.items():
            moved = ' -> '.join(f'{values[when]:.4f}' for when in ('before', 'after'))
            lines.append(f'{name:<10} {moved}')
        return '\n'.join([*lines, *(f'note       {note}' for note in self.notes)])


def utc_now() -> str:
    """The time in UTC to the second, such as ``'2026-03-01T12:00:00+00:00'``."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
