from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

import graphrec
from graphrec import unlearn
from graphrec.graphs.schema import train_edges
from graphrec.unlearn.check import Setting
from graphrec.unlearn.fresh_rows import copy_on, fresh_rows, fresh_seed, put_rows
from graphrec.unlearn.monitor import Monitor
from graphrec.unlearn.task import Task, fit_settings

USERS, ITEMS, QUERIES = 7, 8, 4
FIT = {'epochs': 60, 'batch_size': 512, 'lr': 1e-2, 'patience': None, 'eval_every': 60}


def rich_graph(seed=0, text_ids=False):
    """A small graph with one of everything that an edit has to follow. Users have text ids,
    items are numbered from 100 and queries from 0, or have text ids as well."""
    rng = np.random.default_rng(seed)
    data = HeteroData()
    data.name = 'rich'
    data.repairs = {'duplicates': 3}
    for kind, ids in (
        ('user', _ids('u', USERS)),
        ('item', _ids('i', ITEMS) if text_ids else np.arange(100, 100 + ITEMS)),
        ('query', _ids('search ', QUERIES) if text_ids else np.arange(QUERIES)),
        ('session', np.arange(5)),
        ('entity', np.arange(6)),
        ('word', np.array(['red', 'fast'], dtype=object)),
    ):
        data[kind].num_nodes = len(ids)
        data[kind].id = ids
    cells = rng.permutation(USERS * ITEMS)[:36]
    pairs = np.stack(np.divmod(cells, ITEMS))
    _add_pairs(data, pairs, rng)
    _add_searches(data, pairs, rng)
    owner = rng.integers(USERS, size=5)
    data['session'].user = torch.from_numpy(owner)
    session = rng.integers(5, size=12)
    item = np.array([rng.choice(pairs[1, :24]) for _ in session])
    data['session', 'contains', 'item'].edge_index = torch.from_numpy(np.stack([session, item]))
    data['session', 'contains', 'item'].position = torch.arange(12)
    data['user', 'knows', 'user'].edge_index = torch.from_numpy(rng.integers(USERS, size=(2, 9)))
    data['query', 'contains', 'word'].edge_index = torch.tensor([[0, 1, 2, 3], [0, 1, 1, 0]])
    data['entity'].item = torch.tensor([0, 3, -1, 5, -1, -1])
    facts = data['entity', 'relates', 'entity']
    facts.edge_index = torch.from_numpy(rng.integers(6, size=(2, 10)))
    facts.relation_name = [f'relation {n}' for n in range(10)]  # As long as the edges.
    _add_attributes(data, torch.Generator().manual_seed(seed))
    return data


def _ids(prefix, count):
    return np.array([f'{prefix}{n}' for n in range(count)], dtype=object)


def _add_pairs(data, pairs, rng):
    parts = {
        'interacts': slice(0, 24),
        'holdout_valid': slice(24, 30),
        'holdout_test': slice(30, 36),
    }
    for verb, part in parts.items():
        store = data['user', verb, 'item']
        store.edge_index = torch.from_numpy(pairs[:, part])
        store.time = torch.arange(part.start, part.stop) + 1000
    train = data['user', 'interacts', 'item']
    train.edge_label_index = torch.from_numpy(  # As many labels as edges.
        np.stack([rng.integers(USERS, size=24), rng.integers(ITEMS, size=24)])
    )
    train.edge_label = torch.arange(24)
    train.item_weight = torch.arange(1.0, ITEMS + 1)
    train.legend = [f'kind {n}' for n in range(24)]
    train.vocabularies = ['legend']
    train.note = [f'note {n}' for n in range(24)]
    data['item', 'rev_interacts', 'user'].edge_index = train.edge_index.flip(0)
    views = rng.integers(USERS * ITEMS, size=20)
    views = np.stack(np.divmod(np.concatenate([views, views[:5]]), ITEMS))  # With copies.
    data['user', 'views', 'item'].edge_index = torch.from_numpy(views)
    data['user', 'views', 'item'].count = torch.from_numpy(rng.integers(1, 5, size=25))
    data['user', 'holdout_test_views', 'item'].edge_index = torch.from_numpy(
        np.stack([rng.integers(USERS, size=4), rng.integers(ITEMS, size=4)])
    )


def _add_searches(data, pairs, rng):
    for label, size in (('train', 15), ('test', 6)):
        searches = ('user', 'searches' if label == 'train' else 'holdout_test', 'query')
        finds = ('query', 'finds' if label == 'train' else 'holdout_test', 'item')
        chosen = pairs[:, rng.integers(36, size=size)]
        query = rng.integers(QUERIES, size=size)
        data[searches].edge_index = torch.from_numpy(np.stack([chosen[0], query]))
        data[finds].edge_index = torch.from_numpy(np.stack([query, chosen[1]]))
        data[searches].time = torch.arange(size)


def _add_attributes(data, generator):
    items = data['item']
    items.x_visual = torch.rand(ITEMS, 3, generator=generator) + 0.1
    items.has_visual = torch.arange(ITEMS) != 2
    items.x_visual[2] = 0
    items.x_text = torch.rand(ITEMS, 2, generator=generator) + 0.1
    items.code_text = torch.randint(9, (ITEMS, 2), generator=generator)
    items.knn_image_index = torch.stack(
        [torch.randperm(ITEMS, generator=generator)[:3] for _ in range(ITEMS)]
    )
    items.knn_image_similarity = torch.rand(ITEMS, 3, generator=generator) + 0.1
    items.x_image_spectral = torch.rand(ITEMS, 2, generator=generator) + 0.1
    items.title = np.array([f'Title {n}' for n in range(ITEMS)], dtype=object)
    items.price = torch.arange(1.0, ITEMS + 1)
    items.duplicate_of = torch.tensor([-1, 0, -1, -1, 3, -1, 7, -1])
    items.genres = [f'genre {n}' for n in range(ITEMS)]  # A vocabulary as long as the items.
    items.vocabularies = ('genres',)
    items.tags = [[f'tag {n}', n] for n in range(ITEMS)]
    data['user'].age = torch.arange(20, 20 + USERS)
    data['user'].email = tuple(f'u{n}@example.org' for n in range(USERS))
    data['query'].text = np.array(['red shoe', 'fast car', 'car', 'shoe'], dtype=object)


@pytest.fixture(scope='session')
def rich_graphs():
    """Graphs of :func:`rich_graph`, three with numbers and three with text for ids; edits leave
    them as they are."""
    return [rich_graph(seed, text_ids) for text_ids in (False, True) for seed in range(3)]


@pytest.fixture(scope='session')
def graph(rich_graphs):
    return rich_graphs[0]


@pytest.fixture(scope='session')
def learned():
    """Data, a LightGCN that learned it by heart, its training settings, and an edit that takes out
    a tenth of the training pairs."""
    data = graphrec.datasets.planted(
        150,
        120,
        num_interactions=3000,
        community_strength=0.6,
        noise_share=0.3,
        num_communities=4,
        seed=0,
    )
    model = graphrec.models.LightGCN.from_graph(data, dim=32, num_layers=2, reg=1e-5)
    graphrec.fit(model, data, progress=False, **FIT)
    pairs = data['user', 'interacts', 'item'].edge_index
    chosen = torch.randperm(pairs.size(1), generator=torch.Generator().manual_seed(0))
    edit = unlearn.RemoveInteractions(pairs[:, chosen[: pairs.size(1) // 10]].t().tolist())
    return SimpleNamespace(data=data, model=model, fit=FIT, edit=edit, edited=edit.apply(data))


@pytest.fixture(scope='session')
def gold_result(learned):
    return unlearn.forget(learned.model, learned.data, learned.edit, 'gold', fit=learned.fit)


@pytest.fixture
def make_task():
    """A function from a model, its graph and an edit to what a method gets."""

    def make(model, data, edit, fit=None, seed=0):
        edited = edit.apply(data)
        copy, features = copy_on(model, edited.data)
        rows = fresh_rows(copy, edited.forget, fresh_seed(seed), features)
        put_rows(copy, rows)
        monitor = Monitor(edited.data, edited.forget, seed=seed)
        settings = fit_settings(fit)
        return Task(copy, edited.data, edited.forget, model, data, settings, seed, monitor, rows)

    return make


@pytest.fixture
def task(learned, make_task):
    return make_task(learned.model, learned.data, learned.edit, learned.fit)


@pytest.fixture(scope='module')
def data():
    """Planted data with the edges of items, too; a file may have data of its own."""
    data = graphrec.datasets.planted(41, 29, num_interactions=500, num_communities=3, seed=2)
    data['item', 'rev_interacts', 'user'].edge_index = train_edges(data).flip(0)
    return data


@pytest.fixture
def setting_of_run():
    """From a graph, a model and an edit to what checks for residue are given after a whole run
    of a method."""

    def make(data, original, edit, **run):
        found, result = unlearn.forget(original, data, edit, **run), edit.apply(data)
        return Setting(
            data=data,
            edited=found.data,
            edit=edit,
            forget=result.forget,
            digest=result.summary.digest_after,
            original=original,
            unlearned=found.model,
            seed=found.report.seed,
            method=found.report.method,
        )

    return make


@pytest.fixture
def setting_after(setting_of_run):
    """From a model, taken as trained, to what checks for residue are given after the edit
    alone."""

    def make(original, data, edit):
        with torch.no_grad():  # Away from any draw.
            for parameter in original.parameters():
                parameter.mul_(3).add_(0.1)
        return setting_of_run(data, original, edit, method='edit_only', seed=4)

    return make


@pytest.fixture(scope='session')
def edit_of():
    """From a graph and a kind to an edit that takes out some of it."""

    def make(data, kind='pairs'):
        if kind == 'pairs':
            return unlearn.RemoveInteractions(
                tuple(map(tuple, train_edges(data)[:, ::20].t().tolist()))
            )
        if kind == 'users':
            return unlearn.RemoveUsers((3, 8))
        if kind == 'items':
            return unlearn.RemoveItems((5, 6))
        return unlearn.RemoveModality('visual', items=(2, 9))

    return make


@pytest.fixture
def setting_of(setting_after, edit_of):
    """The same, after the edit alone, for a model by its name and an edit by its kind."""

    def make(data, kind='pairs', name='LightGCN', **config):
        original = getattr(graphrec.models, name).from_graph(data, **{'dim': 8, **config})
        return setting_after(original, data, edit_of(data, kind))

    return make
