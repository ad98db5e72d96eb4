"""A model that learned its training pairs by heart, and a request to forget some of them."""

from types import SimpleNamespace

import pytest
import torch

import graphrec
from graphrec import unlearn
from graphrec.unlearn.fresh_rows import copy_on, fresh_rows, fresh_seed, put_rows
from graphrec.unlearn.monitor import Monitor
from graphrec.unlearn.task import Task, fit_settings

FIT = {'epochs': 60, 'batch_size': 512, 'lr': 1e-2, 'patience': None, 'eval_every': 60}


@pytest.fixture(scope='session')
def learned():
    """Data, a LightGCN that overfits it, its training settings, and an edit that takes out
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
