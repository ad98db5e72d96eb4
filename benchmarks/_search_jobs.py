"""From the plan of ``search.py`` to cells: which there are and how one is computed."""

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _cells import Cells, Job
from _search_plan import ABLATIONS, CLASSES, DIM, SETS, UNTRAINED, WITH_WORDS, grids
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.evaluation import evaluate
from graphrec.graphs.schema import QUERY, USER, holdout, node_ids, split_edges
from graphrec.graphs.search import event_types, search_events
from graphrec.models import Recommender
from graphrec.training import fit

TASKS = ('recommend', 'search')
FULL = {'recommend': ('recall', 'ndcg'), 'search': ('hit', 'ndcg')}


def grid_jobs(data: str, model: str, epochs: int | None = None) -> list[Job]:
    """The cells of a grid, seed 0; an ablation has none of its own."""
    if model in ABLATIONS:
        return []
    return [_job(data, model, 'grid', 0, point, epochs) for point in grids(data)[model]]


def final_jobs(
    data: str, model: str, point: dict[str, Any], seeds: list[int], epochs: int | None = None
) -> list[Job]:
    """The cells of the chosen setting; one only where nothing is random."""
    if model in ABLATIONS and not SETS[data].ablations:
        return []
    point = dict(point) | ABLATIONS.get(model, {})
    if model == 'recommendation only' and point['recommendations'] == 'other':
        point['recommendations'] = 'all'  # Without searches no pair belongs to them.
    kept = seeds[:1] if model in UNTRAINED else seeds
    return [_job(data, model, 'final', seed, point, epochs) for seed in kept]


def _job(
    data: str, model: str, kind: str, seed: int, point: dict[str, Any], epochs: int | None
) -> Job:
    plan = SETS[data]
    loop_keys = ('lr', 'weight_decay')
    config = {key: value for key, value in point.items() if key not in loop_keys}
    loop: dict[str, Any] = {}
    slow = dict(plan.slow) if model == 'UDITSR' or model in ABLATIONS else {}
    validated = {'valid_users': slow.pop('valid_users')} if slow else {}
    if model not in UNTRAINED:
        config = {'dim': DIM} | config
        if model in (*WITH_WORDS, *ABLATIONS) and plan.query_length is not None:
            config = {'query_length': plan.query_length} | config
        usual = {name: getattr(plan, name) for name in ('batch_size', 'eval_every', 'patience')}
        loop = {'epochs': epochs or plan.epochs} | usual | slow
        loop['eval_every'] = min(loop['eval_every'], loop['epochs'])
        loop |= {key: point[key] for key in loop_keys if key in point}
    mask = ['train', 'valid'] if kind == 'final' and plan.carved else ['train']
    protocol = {'mask': mask, 'users': plan.users} | validated
    return Job(data, model, kind, seed, config, loop, protocol)


def choose(cells: Cells, jobs: list[Job]) -> dict[str, Any] | None:
    """The point with the best validation value, the first of equals; None while grid points
    are missing or if all failed."""
    records = [cells.read(job) for job in jobs]
    if any(record is None for record in records):
        return None
    done = [
        (record['value'], -place)
        for place, record in enumerate(records)
        if record is not None and record['status'] == 'done'
    ]
    if not done:
        return None
    job = jobs[-max(done)[1]]
    return job.config | {k: v for k, v in job.fit.items() if k in ('lr', 'weight_decay')}


class Selection:
    """A callback of the loop that keeps the state with the best validation value, the mean of
    ndcg@20 over the tasks that the model has, and stops after so many without a better one."""

    def __init__(self, score: Callable[[Recommender], dict[str, float]], job: Job) -> None:
        self.score, self.loop = score, job.fit
        self.best, self.best_epoch, self.misses = -1.0, 0, 0
        self.state: dict[str, Tensor] = {}

    def __call__(self, model: Recommender, row: dict[str, Any]) -> bool:
        epoch = row['epoch']
        if epoch % self.loop['eval_every'] and epoch != self.loop['epochs']:
            return False
        value = float(np.mean(list(self.score(model).values())))
        if value > self.best:
            self.best, self.best_epoch, self.misses = value, epoch, 0
            self.state = {name: x.clone() for name, x in model.state_dict().items()}
        else:
            self.misses += 1
        return self.misses >= self.loop['patience']


class Scored(Recommender):
    """Scores computed once, so that full and sampled ranking share them."""

    def __init__(self, data: HeteroData, model: Recommender, users: Tensor) -> None:
        super().__init__(data, None)
        self._row = torch.full((self.num_users,), -1)
        self._row[users] = torch.arange(users.numel())
        rank = model.ranker()
        self._scores = torch.cat([rank(part) for part in users.split(256)])

    def ranker(self) -> Callable[[Tensor], Tensor]:
        return lambda index: self._scores[self._row[index]]


def chosen_users(data: HeteroData, split: str, count: int | None, task: str) -> Tensor:
    """The users that a task is evaluated on: all with something held out, or so many of them
    drawn and, in search, everyone who asked a query that training does not have."""
    users, always = split_edges(data, split)[0], torch.zeros(0, dtype=torch.long)
    if task == 'search':
        events = search_events(data, split)
        users = events.user
        always = users[~torch.isin(events.query, search_events(data).query)]
    users = users.unique()
    if count is None or count >= users.numel():
        return users
    drawn = torch.randperm(users.numel(), generator=torch.Generator().manual_seed(0))
    return torch.cat([users[drawn[:count]], always]).unique()


def train(job: Job, data: HeteroData, progress: bool) -> tuple[Recommender, dict[str, Any]]:
    """The trained model of a cell, with its seconds, epochs and validation value."""
    start = time.perf_counter()
    cls = CLASSES.get(job.model, CLASSES['UDITSR'])
    seed = {} if job.model in UNTRAINED else {'seed': job.seed}
    model = cls.from_graph(data, **job.config, **seed)

    def score(trained: Recommender) -> dict[str, float]:
        return validation(trained, data, job)

    if not job.fit:
        value = float(np.mean(list(score(model).values())))
        return model, {'value': value, 'seconds': time.perf_counter() - start}
    loop = dict(job.fit)
    decay = loop.pop('weight_decay', 0.0)
    selection = Selection(score, job)
    log = fit(
        model,
        _without_heldout(data),
        epochs=loop['epochs'],
        batch_size=loop['batch_size'],
        optimizer=lambda parameters: torch.optim.AdamW(
            parameters, lr=loop['lr'], weight_decay=decay, fused=True
        ),
        seed=job.seed,
        progress=progress,
        callbacks=[selection],
    )
    model.load_state_dict(selection.state)
    return model, {
        'value': selection.best,
        'epochs': len(log),
        'best_epoch': selection.best_epoch,
        'epoch_seconds': float(log['seconds'].median()),
        'seconds': time.perf_counter() - start,
    }


def validation(model: Recommender, data: HeteroData, job: Job) -> dict[str, float]:
    """Validation ndcg@20 of every task that the model has."""
    values = {}
    for task in TASKS:
        if has_task(model, job, task):
            count = job.protocol.get('valid_users', job.protocol['users'])
            users = chosen_users(data, 'valid', count, task)
            names = node_ids(data, USER)[users.numpy()]
            found = evaluate(
                model,
                data,
                split='valid',
                k=20,
                users=names,
                task=task,
                mask=(('train',) if task == 'recommend' else ()),
            )
            values[task] = found['ndcg@20']
    return values


def has_task(model: Recommender, job: Job, task: str) -> bool:
    """Whether a cell has values of a task."""
    if task == 'recommend':
        return job.model != 'BM25'
    return model.has_queries and job.config.get('searches', True)


def measure(
    job: Job, data: HeteroData, model: Recommender
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Test values of both tasks: full ranking, one against 99, groups, and ndcg@20 of every
    user for the tests."""
    record: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    searched = torch.zeros(int(data[USER].num_nodes), dtype=torch.bool)
    searched[search_events(data).user] = True
    ids = node_ids(data, USER)
    label = ('users without searches', 'users with searches')
    for task in (task for task in TASKS if has_task(model, job, task)):
        users = chosen_users(data, 'test', job.protocol['users'], task)
        options: dict[str, Any] = {'users': ids[users.numpy()], 'mask': ()}
        groups: bool | dict[Any, str] = True
        ranked = model
        if task == 'recommend':
            ranked = Scored(data, model, users)
            options['mask'] = tuple(job.protocol['mask'])
            groups = {ids[user]: label[int(searched[user])] for user in users.tolist()}
        full = evaluate(
            ranked, data, task=task, k=(10, 20), metrics=FULL[task], groups=groups, **options
        )
        few = evaluate(
            ranked, data, task=task, k=5, metrics=('hit', 'ndcg'), num_negatives=99, **options
        )
        record[task] = {
            'full': dict(full),
            'sampled': dict(few),
            'protocol': [full.protocol, few.protocol],
            'groups': None if full.groups is None else full.groups.to_dict(orient='index'),
        }
        arrays[f'{task}_users'] = np.asarray(full.per_user['user'].tolist())
        arrays[f'{task}_ndcg20'] = full.per_user['ndcg@20'].to_numpy()
    return record, arrays


def describe(data: HeteroData) -> dict[str, int]:
    """Sizes of a set, for the heading of its table."""
    sizes = {'users': int(data[USER].num_nodes), 'items': int(data['item'].num_nodes)}
    sizes['queries'] = int(data[QUERY].num_nodes)
    for split in ('train', 'valid', 'test'):
        sizes[f'{split}_pairs'] = split_edges(data, split).size(1)
        sizes[f'{split}_searches'] = search_events(data, split).user.numel()
    return sizes


def _without_heldout(data: HeteroData) -> HeteroData:
    """A copy that the loop cannot validate on: the callback does."""
    out = copy.copy(data)
    held = [holdout('valid'), holdout('test'), *event_types('valid'), *event_types('test')]
    for edge_type in held:
        if edge_type in out.edge_types:
            del out[edge_type]
    return out
