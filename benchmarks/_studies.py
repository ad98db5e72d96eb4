"""Cells of a study, and its part of the page."""

import statistics
from typing import Any

from _cells import Cells, Job
from _jobs import make_job
from _suite import Study, Suite

MISSING = '\N{EN DASH}'


def study_jobs(
    suite: Suite,
    study: Study,
    data: str,
    model: str,
    validation: str,
    point: dict[str, Any],
    seeds: list[int],
    epochs: int | None = None,
) -> list[Job]:
    """All cells of a model in a study, empty where it has no part in it."""
    if data not in study.sets:
        return []
    return [
        make_job(
            suite,
            data,
            model,
            study.name,
            seed,
            point | change,
            epochs or study.epochs.get(model),
            validation,
            {'variant': label, 'column': column} | protocol,
        )
        for column, protocol in study.protocol.items()
        for label, change in study.variants.get(model, {}).items()
        for seed in seeds[: study.seeds]
    ]


def study_part(
    suite: Suite,
    study: Study,
    data: str,
    points: dict[str, dict[str, Any]],
    validation: str,
    seeds: list[int],
    epochs: int | None,
    cells: Cells,
) -> list[str]:
    """Lines of a study on a data set; none if nothing of it is stored."""
    rows: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    lacking = 0
    for model, point in points.items():
        for job in study_jobs(suite, study, data, model, validation, point, seeds, epochs):
            record = cells.read(job)
            row = rows.setdefault((model, job.protocol['variant']), {})
            row.setdefault(job.protocol['column'], [])
            if record is None or record['status'] != 'done':
                lacking += 1
            else:
                row[job.protocol['column']].append(record)
    rows = {key: row for key, row in rows.items() if any(row.values())}
    if not rows:
        return []
    parts = ('test', 'test_all') if 'cold' in study.protocol else ('test',)
    heads = [
        f'{metric}, {column}{" items of all" if part == "test_all" else ""}'
        for column in study.protocol
        for part in parts
        for metric in ('R@20', 'N@20')
    ]
    lines = [
        f'### {study.name.capitalize()}, {data}',
        '',
        study.title,
        '',
        f'| model | variant | seeds | {" | ".join(heads)} |',
        '| --- | --- | ---: |' + ' ---: |' * len(heads),
    ]
    for (model, variant), row in rows.items():
        values = [
            _spread([record[part][metric] for record in row[column]])
            for column in study.protocol
            for part in parts
            for metric in ('recall@20', 'ndcg@20')
        ]
        count = max(len(records) for records in row.values())
        lines.append(f'| {model} | {variant} | {count} | {" | ".join(values)} |')
    if lacking:
        lines += ['', f'Missing: {lacking} cells of this study.']
    return [*lines, '']


def _spread(values: list[float]) -> str:
    if not values:
        return MISSING
    mean = f'{statistics.mean(values):.4f}'
    return f'{mean} ± {statistics.stdev(values):.4f}' if len(values) > 1 else mean
