"""What the settings of the default method rest on: draws of their own, never the test edges.

For each question, requests are drawn that are not those of the results; test edges are taken out
of the graph before anything else. Every candidate setting forgets each request from each original,
and is held against models retrained without it, by validation edges. Each draw of a question is
stored as it ends, so that a run that was stopped goes on:

    python benchmarks/unlearning_choice.py --budget-minutes 60
    python benchmarks/unlearning_choice.py --only-table
"""

import argparse
import copy
import itertools
import logging
import statistics
import sys
from pathlib import Path
from typing import Any

import _pages as pages
from _cells import Cells, Job
from _jobs import machine, with_validation
from _runner import CellRunner, add_run_arguments
from _unlearning_plan import BACKBONES, Backbone, make_edit, trained
from _unlearning_questions import QUESTIONS, Question
from torch_geometric.data import HeteroData

from graphrec import models, unlearn
from graphrec.datasets import load
from graphrec.errors import GraphError
from graphrec.graphs.schema import HOLDOUT_TEST
from graphrec.training import fit
from graphrec.unlearn.affected import affected_items
from graphrec.unlearn.case import Case, ask, make_case
from graphrec.unlearn.completeness import score_distance
from graphrec.unlearn.membership import Attacked
from graphrec.unlearn.monitor import Monitor
from graphrec.unlearn.utility import Served

_logger = logging.getLogger('unlearning_choice')
MISSING = '\N{EN DASH}'
Told = tuple[Attacked, Served]  # See graphrec.unlearn.case.ask.
HEAD = """# What the default method's settings rest on

Made by `python benchmarks/unlearning_choice.py`; `--only-table` makes this page again from the
stored cells in `docs/benchmarks/unlearning-choice`. The settings themselves are
`graphrec.unlearn.automatic.TABLE`; what they do on the requests of the results is on
[the page of the results](unlearning.md).

Requests are drawn with seeds that the results do not use (but CURE4Rec's, which is a list), and
the test edges are taken out of the graph before anything is trained. *recall* is recall@20 of the
retained validation pairs. *AUC* is that of membership inference against validation pairs that are
alike, as a run's own check has it; what to reach is the row of the retrained models. *distance* is
the Kolmogorov-Smirnov distance of user-standardised scores of the forgotten pairs from those of a
retrained model, mean over retrained models; where features were removed, *drift* and *level* are
those of the items that lost them (`graphrec.unlearn.affected`). The row of the retrained models
has their distances from each other. Every number is a mean over originals, one a draw; *steps* are
what a run costs. Models retrained twice or thrice a draw give no band: this page is for comparing
rows.

The settings were chosen one after the other on such draws, earlier ones; here each stands beside
others once more. Not all of it still speaks for them: which rows move hardly matters within one
request, half of the steps come as near on some draws of lastfm-2k-mm, and without emphasis and
multiplier the area there is a little above that of retrained models instead of a little below. On
ml-1m and for recall both are needed.
"""


class Runner(CellRunner):
    """Runs what is missing, one draw of a question after the other."""

    def run(self) -> None:
        for question in self.args.questions:
            jobs = {draw: cell(question, draw) for draw in question.draws}
            missing = {draw: job for draw, job in jobs.items() if self.is_missing(job)}
            if missing:
                self.check_time()
                data, _ = with_validation(load(self.args.root / question.data))
                data = without_test(data)
                for draw, job in missing.items():
                    self.check_time()
                    self._run_draw(job, question, data, draw)

    def _run_draw(self, job: Job, question: Question, data: HeteroData, draw: int) -> None:
        edit = make_edit(data, question.request, self.args.root / question.data, draw)
        if edit is None:
            raise GraphError(f'{question.data} has no request {question.request!r}')
        edited = edit.apply(data)
        monitor = Monitor(edited.data, edited.forget)
        case = make_case(data, edited.data, edited.forget)
        backbone = backbone_of(question)
        originals = [
            self._model(question, backbone, data, seed, 'original')
            for seed in range(question.originals)
        ]
        retrained = [
            self._model(
                question, backbone, edited.data, 100 + seed, f'{question.request}-draw{draw}'
            )
            for seed in range(question.retrained)
        ]
        told = [ask(model, case) for model in retrained]
        record: dict[str, Any] = {
            'originals': [figures(model, monitor) for model in originals],
            'retrained': [figures(model, monitor) for model in retrained],
            'between retrained': [
                distances(one, [other], case) for one, other in itertools.combinations(told, 2)
            ],
            'answers': {},
        }
        for label, (method, options) in question.answers.items():
            found = []
            for seed, original in enumerate(originals):
                result = unlearn.forget(
                    original, data, edit, method, options=options, seed=seed, fit=backbone.fit,
                    data_edited=edited,
                )  # fmt: skip
                found.append(
                    figures(result.model, monitor)
                    | distances(ask(result.model, case), told, case)
                    | {'seconds': result.report.seconds['repair'], 'steps': result.report.steps}
                )
            record['answers'][label] = found
            _logger.info('%s: %s', job.name, label)
        self.cells.write(job, {'status': 'done', 'machine': machine()} | record)

    def _model(
        self, question: Question, backbone: Backbone, data: HeteroData, seed: int, kind: str
    ) -> models.Recommender:
        folder = self.args.models / question.data / backbone.name / f'{kind}-{seed}'
        made = getattr(models, backbone.name)
        return self.kept_model(folder, data, lambda: trained(backbone, data, seed, made, fit))


def without_test(data: HeteroData) -> HeteroData:
    """The graph without its test edges, so that nothing can look at them."""
    bare = copy.copy(data)
    del bare[HOLDOUT_TEST]
    return bare


def backbone_of(question: Question) -> Backbone:
    """The backbone with the settings that the results have."""
    return next(each for each in BACKBONES[question.data] if each.name == question.backbone)


def figures(model: models.Recommender, monitor: Monitor) -> dict[str, float]:
    """What the validation edges say of a model."""
    return {'recall': monitor.recall(model), 'auc': monitor.auc(model)}


def distances(model: Told, others: list[Told], case: Case) -> dict[str, float]:
    """Mean distances of what a model says from what others say."""
    attacked, served = model
    if case.pairs.size(1):
        forgotten = [score_distance(attacked.forgotten, other.forgotten) for other, _ in others]
        return {'distance': statistics.mean(forgotten)}
    found = affected_items(case.affected, served, served, [other for _, other in others])
    return {each.name.partition(',')[0]: float(each.unlearned or 0.0) for each in found}


def cell(question: Question, draw: int) -> Job:
    """What one draw of a question is stored under."""
    backbone = backbone_of(question)
    return Job(
        data=question.data,
        model=backbone.name,
        kind=f'{question.name}-{question.request}-draw{draw}',
        seed=0,
        config=backbone.config,
        fit=backbone.fit,
        protocol={
            'answers': {label: list(answer) for label, answer in question.answers.items()},
            'originals': question.originals,
            'retrained': question.retrained,
        },
    )


def write_page(args: argparse.Namespace, cells: Cells) -> None:
    """Writes the page to ``args.table``, whole or not at all."""
    parts, shown, missing = [HEAD], [], []
    for question in QUESTIONS:
        records = [cells.read(cell(question, draw)) for draw in question.draws]
        done = [record for record in records if record is not None and record['status'] == 'done']
        if done:
            parts.append(section(question, done, len(records)))
            shown += done
        else:
            missing.append(title(question))
    if missing:
        parts.append('\n'.join(['## Not run yet', '', *(f'- {one}' for one in missing)]) + '\n')
    pages.write_page(args.table, parts, shown)


def title(question: Question) -> str:
    """The heading of a question."""
    return f'{question.data}, {question.backbone}, {question.request}: {question.name}'


def section(question: Question, done: list[dict[str, Any]], draws: int) -> str:
    """The table of a question."""
    first = next(iter(question.answers))
    far = [name for name in ('distance', 'drift', 'level') if name in done[0]['answers'][first][0]]
    columns = ['recall', 'auc', *far]
    rows = [
        _row('originals', [record['originals'] for record in done], columns),
        _row(
            '*retrained*',
            [record['retrained'] + record['between retrained'] for record in done],
            columns,
        ),
        *(
            _row(label, [record['answers'][label] for record in done], columns)
            for label in question.answers
        ),
    ]
    shown = ' | '.join(['AUC' if name == 'auc' else name for name in columns])
    lines = [
        f'## {title(question)}',
        '',
        f'{question.about} {question.originals} originals, {question.retrained} retrained models '
        f'a draw, draws {", ".join(map(str, question.draws))}'
        + (f' ({len(done)} of {draws} were run)' if len(done) < draws else '')
        + '.',
        '',
        f'| | {shown} | steps |',
        f'| --- {"| ---: " * (len(columns) + 1)}|',
        *rows,
    ]
    return '\n'.join(lines) + '\n'


def _row(label: str, draws: list[list[dict[str, float]]], columns: list[str]) -> str:
    digits = {'recall': 4, 'steps': 0}
    shown = [
        ', '.join(_mean(found, name, digits.get(name, 3)) for found in draws)
        for name in [*columns, 'steps']
    ]
    return f'| {label} | {" | ".join(shown)} |'


def _mean(found: list[dict[str, float]], name: str, digits: int) -> str:
    values = [each[name] for each in found if name in each and each[name] == each[name]]
    return f'{statistics.mean(values):.{digits}f}' if values else MISSING


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    sets, names = ({getattr(q, key) for q in QUESTIONS} for key in ('data', 'backbone'))
    add('--data', nargs='+', default=sorted(sets), choices=sorted(sets), metavar='SET')
    add('--backbones', nargs='+', default=sorted(names), choices=sorted(names), metavar='MODEL')
    add('--models', type=Path, default=Path('runs/unlearning-choice'), help='of trained models')
    add_run_arguments(parser, 'docs/benchmarks/unlearning-choice', 'docs/unlearning-choice.md')
    args = parser.parse_args(argv)
    args.questions = [q for q in QUESTIONS if q.data in args.data and q.backbone in args.backbones]
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    return Runner(args, _logger).run_and_write(lambda: write_page(args, Cells(args.out)))


if __name__ == '__main__':
    sys.exit(main())
