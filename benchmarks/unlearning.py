"""Does forgetting work, at what cost: every method against models retrained from scratch.

For each data set, backbone and request, five originals and five golds are trained; every
method forgets the request from each original, and the audit compares the result with the
golds. Every cell is stored as it ends, models too, so that a run that was stopped goes on:

    python benchmarks/unlearning.py --data lastfm-2k-mm --budget-minutes 60
    python benchmarks/unlearning.py --only-table
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path

from _cells import Cells, Job
from _jobs import machine, with_validation
from _runner import CellRunner, add_run_arguments
from _unlearning_plan import (
    BACKBONES,
    METHODS,
    NUM_GOLDS,
    SETS,
    SHARDED,
    Backbone,
    make_edit,
    most_models,
    requests,
    trained,
    trained_shards,
)
from _unlearning_tables import write_page
from torch_geometric.data import HeteroData

from graphrec import models, unlearn
from graphrec.datasets import load
from graphrec.persistence import load_model, save
from graphrec.training import fit

_logger = logging.getLogger('unlearning')


class Runner(CellRunner):
    """Runs what is missing, one cell after the other."""

    def run(self) -> None:
        for name in self.args.data:
            data, validation = with_validation(load(self.args.root / name))
            self.cells.write_about(name, {'validation': validation})
            for backbone in BACKBONES[name]:
                if backbone.name in self.args.backbones:
                    for request in self.args.requests or requests(name):
                        self._run_request(name, data, backbone, request)

    def _run_request(self, name: str, data: HeteroData, backbone: Backbone, request: str) -> None:
        edit = make_edit(data, request, self.args.root / name)
        if edit is None:
            return
        most = most_models(request)
        seeds = self.args.seeds[:most]
        jobs = [
            cell(name, backbone, request, method, seed)
            for method in self.args.methods
            for seed in (seeds[:1] if method in SHARDED else seeds)
        ]
        missing = [job for job in jobs if self.is_missing(job)]
        if not missing:
            return
        edited = edit.apply(data)
        golds, reports = [], []
        for seed in range(self.args.golds)[:most]:
            model, report = self._gold(name, data, backbone, request, edit, edited, seed)
            golds.append(model)
            reports.append(report)
        auditor = unlearn.Auditor(
            data, edit, golds, gold_reports=reports, min_golds=min(len(golds), NUM_GOLDS)
        )
        for method in dict.fromkeys(job.protocol['method'] for job in missing):
            group = [job for job in jobs if job.protocol['method'] == method]
            originals = {
                job.seed: self._original(name, data, backbone, job.seed, method) for job in group
            }
            self.check_time()
            self._run_method(group, data, edit, edited, originals, auditor)

    def _run_method(
        self,
        jobs: list[Job],
        data: HeteroData,
        edit: unlearn.Edit,
        edited: unlearn.EditResult,
        originals: dict[int, models.Recommender],
        auditor: unlearn.Auditor,
    ) -> None:
        """All seeds of a method together: utility is compared over seeds on both sides."""
        found = [(job, self._forget(job, data, edit, edited, originals[job.seed])) for job in jobs]
        results = [(job, result) for job, result in found if result is not None]
        made = [result.model for _, result in results]
        for job, result in results:
            self._audit(job, result, originals[job.seed], made, auditor)
        auditor.drop(made)

    def _forget(
        self,
        job: Job,
        data: HeteroData,
        edit: unlearn.Edit,
        edited: unlearn.EditResult,
        original: models.Recommender,
    ) -> unlearn.ForgetResult | None:
        method = job.protocol['method']
        try:
            return unlearn.forget(
                original, data, edit, method, seed=job.seed, fit=job.fit, data_edited=edited
            )
        except Exception as error:
            self.store_failure(job, error)
            return None

    def _audit(
        self,
        job: Job,
        result: unlearn.ForgetResult,
        original: models.Recommender,
        made: list[models.Recommender],
        auditor: unlearn.Auditor,
    ) -> None:
        start = time.perf_counter()
        try:
            report = auditor.audit(
                original, result.model, unlearned_models=made, forget_report=result.report
            )
        except Exception as error:
            return self.store_failure(job, error)
        found = report.to_dict()
        found.pop('score_quantiles', None)
        record = {
            'forget': result.report.to_dict(),
            'audit': found,
            'audit_seconds': time.perf_counter() - start,
        }
        self.cells.write(job, {'status': 'done', 'machine': machine()} | record)
        _logger.info('%s: %s', job.name, found['status'])

    def _original(
        self, name: str, data: HeteroData, backbone: Backbone, seed: int, method: str
    ) -> models.Recommender:
        """The model before the request; for a sharded method, the sharded system."""
        kind = method if method in SHARDED else 'original'

        def make() -> models.Recommender:
            if method not in SHARDED:
                return trained(backbone, data, seed, getattr(models, backbone.name), fit)
            whole = self._original(name, data, backbone, seed, 'gold')
            self.check_time()
            return trained_shards(backbone, data, seed, method, whole)

        folder = self.args.models / name / backbone.name / f'{kind}-{seed}'
        return self.kept_model(folder, data, make)

    def _gold(
        self,
        name: str,
        data: HeteroData,
        backbone: Backbone,
        request: str,
        edit: unlearn.Edit,
        edited: unlearn.EditResult,
        seed: int,
    ) -> tuple[models.Recommender, unlearn.ForgetReport]:
        """A model retrained with a seed of its own, through the same call as all methods."""
        folder = self.args.models / name / backbone.name / f'{request}-gold-{seed}'
        path = folder.with_name(f'{folder.name}.json')
        if path.is_file():
            stored = json.loads(path.read_text())
            return load_model(folder, edited.data), unlearn.ForgetReport(**stored)
        self.check_time()
        any_original = self._original(name, data, backbone, 0, 'gold')
        result = unlearn.forget(
            any_original, data, edit, 'gold', seed=100 + seed, fit=backbone.fit, data_edited=edited
        )
        save(result.model, folder)
        path.write_text(result.report.to_json())
        seconds = sum(result.report.seconds.values())
        _logger.info('%s %s %s: gold %d in %.0f s', name, backbone.name, request, seed, seconds)
        return result.model, result.report


def cell(data: str, backbone: Backbone, request: str, method: str, seed: int) -> Job:
    """What one forgetting of a request by a method is stored under."""
    return Job(
        data=data,
        model=backbone.name,
        kind=f'{request}-{method}',
        seed=seed,
        config=backbone.config,
        fit=backbone.fit,
        protocol={'request': request, 'method': method},
    )


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--data', nargs='+', default=list(SETS), choices=SETS, metavar='SET')
    names = sorted({backbone.name for group in BACKBONES.values() for backbone in group})
    add('--backbones', nargs='+', default=names, choices=names, metavar='MODEL')
    add('--requests', nargs='+', metavar='REQUEST', help='default: all of a set')
    add('--methods', nargs='+', default=list(METHODS), choices=METHODS, metavar='METHOD')
    add('--seeds', nargs='+', type=int, default=[0, 1, 2, 3, 4], help='of the originals')
    add('--golds', type=int, default=NUM_GOLDS, help='a request; 3 for small ones')
    add('--models', type=Path, default=Path('runs/unlearning'), help='folder of trained models')
    add_run_arguments(parser, 'docs/benchmarks/unlearning', 'docs/unlearning.md')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    return Runner(args, _logger).run_and_write(lambda: write_page(args, Cells(args.out), cell))


if __name__ == '__main__':
    sys.exit(main())
