"""What an audit found: as data, as a table, as markdown, as a page."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphrec.storage import replacing
from graphrec.unlearn.audit_rows import Row, canary_row, detail_rows, measure_row, number
from graphrec.unlearn.bands import Measure
from graphrec.unlearn.canaries import CanaryTest
from graphrec.unlearn.check import Check
from graphrec.unlearn.completeness import Completeness
from graphrec.unlearn.cost import Cost
from graphrec.unlearn.equivalence import Equivalence
from graphrec.unlearn.membership import Membership
from graphrec.unlearn.report import GUARANTEES
from graphrec.unlearn.utility import Utility
from graphrec.unlearn.verdict import Verdict

#: What no audit of a model and a graph can see.
EXCLUSIONS = (
    'backups, logs, exported files and copies of the data outside the graph and the model given',
    'third parties that received the data, and models derived from the original elsewhere',
    'what was chosen while the data was there: hyper-parameters, stopping epochs, shards',
    'predictions that were already served',
    'legal sufficiency: this is a record of measurements, not advice',
)


@dataclass(frozen=True)
class AuditReport:
    r"""The outcome of :func:`graphrec.unlearn.audit`. It holds counts, digests and means, and
    no id of a user, an item or a query.

    Attributes:
        verdict: Status, reasons, and what was not measured.
        request: What was asked: digest and counts.
        run: When, by which method and guarantee class, with how many models.
        checks: Residue, each exact or not.
        completeness: Closeness to gold; :obj:`None` if no interaction was forgotten.
        membership: Membership inference; likewise.
        utility: Quality for those who stayed.
        affected: Closeness to gold of items that lost a modality; empty if none did.
        cost: Seconds and steps, where the run's report was given.
        canaries: Uniformity of planted pairs, where there were any.
        others: Measures that were asked for besides and decide nothing.
        gold_self_check: How often a gold lies in the band of the others.
        limits: What weakens the findings, in sentences.
        scores: Quantiles (0 to 100 %) of standardised scores for plots.
    """

    verdict: Verdict
    request: dict[str, Any]
    run: dict[str, Any]
    checks: list[Check]
    completeness: Completeness | None
    membership: Membership | None
    utility: Utility
    affected: list[Measure] = field(default_factory=list)
    cost: Cost | None = None
    canaries: CanaryTest | None = None
    others: list[Measure] = field(default_factory=list)
    gold_self_check: dict[str, int] | None = None
    limits: list[str] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """One of :data:`graphrec.unlearn.verdict.STATUSES`."""
        return self.verdict.status

    @property
    def passed(self) -> bool:
        """Whether the verdict is ``'passed'``."""
        return self.verdict.passed

    @property
    def guarantee(self) -> str:
        """The guarantee class in words."""
        letter = self.run.get('guarantee')
        if letter is None:
            return 'not stated: the report of the run was not given to the audit'
        return f'class {letter} ({GUARANTEES[letter]})'

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; numbers that are not finite are :obj:`None`."""
        document = {
            'status': self.status,
            'verdict': self.verdict.to_dict(),
            'guarantee': self.guarantee,
            'request': self.request,
            'run': self.run,
            'residue': [check.to_dict() for check in self.checks],
            'completeness': self.completeness.to_dict() if self.completeness else None,
            'membership': self.membership.to_dict() if self.membership else None,
            'affected_items': {measure.name: measure.to_dict() for measure in self.affected},
            'utility': self.utility.to_dict(),
            'cost': self.cost.to_dict() if self.cost else None,
            'canaries': self.canaries.to_dict() if self.canaries else None,
            'others': {measure.name: measure.to_dict() for measure in self.others},
            'gold_self_check': self.gold_self_check,
            'limits': self.limits,
            'exclusions': list(EXCLUSIONS),
            'score_quantiles': self.scores,
        }
        finite: dict[str, Any] = _finite(document)
        return finite

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def rows(self) -> list[Row]:
        """The lines of the table, in the order of the protocol."""
        return [*self._residue(), *self._statistics()]

    def __str__(self) -> str:
        columns = ('original', 'gold', 'unlearned', 'result')
        rows = self.rows()
        texts = [(row.name, row.original, row.gold, row.unlearned, row.result) for row in rows]
        head = ('', *columns)
        shown = [text for row, text in zip(rows, texts, strict=True) if row.section != 'residue']
        width = [max(len(line[n]) for line in [head, *shown]) for n in range(len(head))]
        lines = [
            f'verdict    {self.status}',
            f'guarantee  {self.guarantee}',
            f'method     {self.run["method"]} on {self.run["model"]}',
            f'request    {counted(self.request["counts"])}',
            *(f'because    {reason}' for reason in self.verdict.reasons),
        ]
        section = ''
        for row, text in zip(rows, texts, strict=True):
            if row.section != section:
                section = row.section
                lines += ['', section if section == 'residue' else _line(head, width, section)]
            if section == 'residue':
                lines.append(f'  {row.name:<14}{row.result:<16}{row.unlearned}'.rstrip())
            else:
                lines.append(_line(text, width))
        lines += ['', *(f'not measured: {text}' for text in self.verdict.not_measured)]
        lines += [f'limit: {text}' for text in self.limits]
        return '\n'.join(lines).rstrip()

    def to_markdown(self) -> str:
        """The table in GitHub's markdown, with the verdict above and the limits below it."""
        lines = [
            f'**Verdict: `{self.status}`** · guarantee {self.guarantee} · method '
            f'`{self.run["method"]}` on {self.run["model"]} · {counted(self.request["counts"])}',
            '',
            *(f'- {reason}' for reason in self.verdict.reasons),
            '',
            '| check | original | gold | unlearned | result |',
            '|---|---|---|---|---|',
        ]
        for row in self.rows():
            cells = (f'{row.section}: {row.name}', *row[2:])
            lines.append('| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |')
        lines += ['', *(f'- not measured: {text}' for text in self.verdict.not_measured)]
        lines += [f'- limit: {text}' for text in self.limits]
        return '\n'.join(lines)

    def to_html(self) -> str:
        """One page that needs nothing else, for a reader without the code."""
        from graphrec.unlearn.audit_page import page

        return page(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report: JSON, markdown or a page, by the suffix ``.json``, ``.md`` or
        ``.html``; through a temporary name.

        Raises:
            GraphError: If the suffix is another one or the file cannot be written.
        """
        from graphrec.errors import GraphError

        target = Path(path)
        writers = {'.json': self.to_json, '.md': self.to_markdown, '.html': self.to_html}
        if target.suffix not in writers:
            raise GraphError(
                f"'path' ends in {target.suffix!r} (got {str(target)!r}); name a file that ends "
                f'in one of {list(writers)}'
            )
        text = writers[target.suffix]()
        with replacing(target) as temporary:
            temporary.write_text(text, 'utf-8')
        return target

    def _residue(self) -> Iterator[Row]:
        for check in self.checks:
            result = {True: 'exact', False: 'FAILED', None: 'does not apply'}[check.passed]
            yield Row(
                'residue', check.name, '', '', check.detail if not check.passed else '', result
            )

    def _statistics(self) -> Iterator[Row]:
        if self.completeness is not None:
            for measure in self.completeness.ranking:
                yield measure_row('forgotten pairs', measure)
            if self.completeness.distribution is not None:
                yield measure_row('forgotten pairs', self.completeness.distribution)
            for measure in self.completeness.lists:
                yield measure_row('lists', measure)
        if self.membership is not None:
            member = self.membership
            for found in (member.auc, member.likelihood, member.two_models):
                if found is not None:
                    yield measure_row('membership', found)
            if member.generalisation is not None:
                row = measure_row('membership', member.generalisation)
                yield row._replace(name='generalisation (random pairs)', result='no attack')
        for measure in self.affected:
            yield measure_row('affected items', measure)
        tests = {test.metric: test for test in self.utility.equivalence}
        for measure in self.utility.quality:
            row = measure_row('utility', measure)
            test = tests.get(measure.name)
            named = f'{self.utility.split} {measure.name}'
            yield row._replace(name=named, result=_outcome(test) if test else row.result)
        for measure in [*self.utility.others, *self.utility.drift]:
            yield measure_row('utility', measure)
        for measure in self.others:
            yield measure_row('besides', measure)
        if self.canaries is not None:
            yield canary_row(self.canaries)
        yield from detail_rows(self.completeness, self.membership, self.utility)


def counted(counts: dict[str, int]) -> str:
    """``3 users, 12 interactions``."""
    parts = [f'{n:,} {name}' for name, n in counts.items() if n]
    return ', '.join(parts) or 'nothing that the graph holds'


def _outcome(test: Equivalence) -> str:
    return f'{test.in_words} (margin {number(test.margin)})'


def _line(cells: tuple[str, ...], width: list[int], section: str = '') -> str:
    first, last = f'  {cells[0]:<{width[0]}}', cells[-1]
    if section:
        first = f'{section:<{len(first)}}'
    middle = [f'{cell:>{size}}' for cell, size in zip(cells[1:-1], width[1:-1], strict=True)]
    return '  '.join([first, *middle, last]).rstrip()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
