"""From the plan to cells: which there are, which setting wins, how one is computed."""

import copy
import dataclasses
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _als import ALS
from _cells import Cells, Job
from _plan import SPEED_CONFIG, SPEED_FIT
from _suite import Suite
from torch_geometric.data import HeteroData

from graphrec import models
from graphrec.evaluation import evaluate
from graphrec.graphs.schema import HOLDOUT_VALID
from graphrec.graphs.splits import carve_validation
from graphrec.models import LightGCN, Recommender
from graphrec.training import Callback, fit

CARVED = 'carved: 0.1 of the training edges, seed 0'
OWN = "the set's own"


def with_validation(data: HeteroData) -> tuple[HeteroData, str]:
    """The graph with validation edges, and where they come from."""
    if HOLDOUT_VALID in data.edge_types and data[HOLDOUT_VALID].edge_index.size(1):
        return data, OWN
    return carve_validation(data, fraction=0.1, seed=0), CARVED


def grid_jobs(
    suite: Suite, data: str, model: str, validation: str, epochs: int | None = None
) -> list[Job]:
    """The cells of a grid, seed 0."""
    return [
        make_job(suite, data, model, 'grid', 0, point, epochs, validation)
        for point in suite.points(data, model)
    ]


def final_jobs(
    suite: Suite,
    data: str,
    model: str,
    validation: str,
    point: dict[str, Any],
    seeds: list[int],
    epochs: int | None = None,
) -> list[Job]:
    """The cells of the chosen setting; one only where seeds change nothing."""
    return [
        make_job(suite, data, model, 'final', seed, point, epochs, validation)
        for seed in (seeds[:1] if model in suite.deterministic else seeds)
    ]


def speed_job(data: str, minutes: float) -> Job:
    """LightGCN with the settings that the plan fixes, for some minutes of training."""
    return Job(
        data=data,
        model='LightGCN',
        kind='speed',
        seed=0,
        config=SPEED_CONFIG,
        fit=SPEED_FIT | {'minutes': minutes},
        protocol={'mask': ['train']},
    )


def make_job(
    suite: Suite,
    data: str,
    model: str,
    kind: str,
    seed: int,
    point: dict[str, Any],
    epochs: int | None,
    validation: str,
    protocol: dict[str, Any] | None = None,
) -> Job:
    """One cell; ``lr`` in its point goes to the training loop."""
    config = {key: value for key, value in point.items() if key != 'lr'}
    budget, loop = suite.budget(data), {}
    if model in budget.loops:
        plan = budget.loops[model]
        epochs = epochs or (plan.grid_epochs if kind == 'grid' else plan.epochs)
        loop = {
            'epochs': epochs,
            'lr': point['lr'],
            'batch_size': plan.batch_size,
            'eval_every': min(plan.eval_every or budget.eval_every, epochs),
            'patience': plan.patience or budget.patience,
        }
        if plan.decay is not None:
            loop['decay'] = plan.decay
    # Carved edges are known by then; edges that a set brings are masked as its authors do.
    mask = ['train', 'valid'] if kind != 'grid' and validation == CARVED else ['train']
    whole = {'validation': validation, 'mask': mask} | (protocol or {})
    return Job(data, model, kind, seed, config, loop, whole)


def choose(cells: Cells, jobs: list[Job]) -> dict[str, Any] | None:
    """The point with the best validation recall@20, the first of equals; None while
    grid points are missing or if all failed. One point needs no choice."""
    if len(jobs) == 1:
        return _point(jobs[0])
    records = [cells.read(job) for job in jobs]
    if any(record is None for record in records):
        return None
    scored = [
        (record['valid']['recall@20'], -place)
        for place, record in enumerate(records)
        if record is not None and record['status'] == 'done'
    ]
    return _point(jobs[-max(scored)[1]]) if scored else None


def _point(job: Job) -> dict[str, Any]:
    return job.config | ({'lr': job.fit['lr']} if 'lr' in job.fit else {})


def model_class(name: str) -> type[Recommender]:
    """The class of a model, one of the package or the peer ALS."""
    return ALS if name == 'ALS' else getattr(models, name)


def build(
    job: Job,
    data: HeteroData,
    progress: bool,
    minutes: float | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[Recommender, dict[str, Any]]:
    """The trained model of a cell, with its seconds and epochs. Training ends with the epoch
    in which :obj:`minutes` are over, or a callback says so."""
    start = time.perf_counter()

    def over(_: Recommender, row: dict[str, Any]) -> bool:
        return minutes is not None and time.perf_counter() - start >= 60 * minutes

    kind = model_class(job.model)
    fields = {field.name for field in dataclasses.fields(kind.config_class)}
    seed = {'seed': job.seed} if 'seed' in fields else {}
    model = kind.from_graph(data, **job.config, **seed)
    record: dict[str, Any] = {}
    if job.fit:
        loop = dict(job.fit)
        schedule = loop.pop('decay', None)
        options = {'progress': progress, 'callbacks': [over, *callbacks]}
        log = fit(model, data, seed=job.seed, schedule=schedule, **options, **loop)
        record = {
            'epochs': len(log),
            'best_epoch': log.attrs['best_epoch'],
            'stopped': log.attrs['stopped'],
            'epoch_seconds': statistics.median(log['seconds']),
        }
    return model, record | {'build_seconds': time.perf_counter() - start}


def measure(
    job: Job, data: HeteroData, model: Recommender
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metrics of a cell: on validation for a grid, on both splits for a final one."""
    valid = evaluate(model, data, split='valid', k=(20,), mask=('train',))
    record: dict[str, Any] = {'valid': dict(valid)}
    if job.kind == 'grid':
        return record, {}
    if 'cold_items' in job.protocol:
        for name, against in (('test', 'cold'), ('test_all', 'all')):
            found = evaluate(
                model, data, split='test', k=(10, 20), items='cold', cold_against=against
            )
            record |= {name: dict(found), 'users': found.num_users}
        return record, {}
    start = time.perf_counter()
    test = evaluate(model, data, split='test', k=(10, 20), mask=tuple(job.protocol['mask']))
    record |= {
        'test': dict(test),
        'evaluation_seconds': time.perf_counter() - start,
        'users': test.num_users,
        'dropped': test.dropped,
        'notes': test.notes,
    }
    arrays = {
        'users': np.asarray(test.per_user['user'].tolist()),
        'ndcg20': test.per_user['ndcg@20'].to_numpy().astype(np.float32),
    }
    return record, arrays


def run_speed(job: Job, data: HeteroData, progress: bool) -> dict[str, Any]:
    """Trains for the minutes of the job without looking at held-out edges, then tests."""
    bare = copy.copy(data)
    if HOLDOUT_VALID in bare.edge_types:
        del bare[HOLDOUT_VALID]
    limit, loop = 60 * job.fit['minutes'], dict(job.fit)
    del loop['minutes']
    seconds: list[float] = []

    def over(_: Recommender, row: dict[str, Any]) -> bool:
        seconds.append(row['seconds'])
        return sum(seconds) >= limit

    isolated = reset_peak_memory()
    model = LightGCN.from_graph(bare, seed=job.seed, **job.config)
    fit(model, bare, epochs=100_000, seed=job.seed, progress=progress, callbacks=[over], **loop)
    start = time.perf_counter()
    test = evaluate(model, bare, split='test', k=(10, 20), mask=tuple(job.protocol['mask']))
    return {
        'epochs': len(seconds),
        'epoch_seconds': statistics.median(seconds),
        'build_seconds': sum(seconds),
        'evaluation_seconds': time.perf_counter() - start,
        'peak_bytes': peak_memory() if isolated else None,
        'test': dict(test),
        'users': test.num_users,
    }


def reset_peak_memory() -> bool:
    """Starts the process's peak of resident memory anew; False where Linux doesn't let."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        return False
    return True


def peak_memory() -> int:
    """Peak of resident memory since the reset, bytes; data and libraries included."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM'))


def machine(device: str = 'cpu') -> dict[str, Any]:
    """What seconds depend on."""
    model = next(
        (
            line.split(':', 1)[1].strip()
            for line in _lines(Path('/proc/cpuinfo'))
            if line.startswith('model name')
        ),
        platform.processor(),
    )
    used = {
        'processor': model,
        'threads': torch.get_num_threads(),
        'python': platform.python_version(),
        'torch': torch.__version__,
    }
    if torch.device(device).type == 'cuda':
        used['gpu'] = torch.cuda.get_device_name(device)
    return used


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []
