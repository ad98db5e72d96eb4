"""A sentinel in what is forgotten is found wherever an edit or a model leaves it."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from graphrec import models, unlearn
from graphrec.graphs.schema import INTERACTS, train_edges
from graphrec.unlearn import node_rows
from graphrec.unlearn import residue as checks
from graphrec.unlearn.tainted_graph import SENTINELS, tainted_graph

USERS = 41


def test_taint_puts_the_sentinel_where_the_data_was(data, setting_of):
    setting = setting_of(data, 'items')
    tainted = tainted_graph(data, setting.edit, setting.forget, SENTINELS[0])
    assert (tainted['item'].x_visual[[5, 6]] == SENTINELS[0]).all()
    assert (tainted['item'].x_visual[7] == data['item'].x_visual[7]).all()
    gone = torch.isin(train_edges(data)[1], torch.tensor([5, 6]))
    assert (tainted[INTERACTS].time == SENTINELS[0]).equal(gone)
    assert not (data['item'].x_visual == SENTINELS[0]).any()


@pytest.mark.parametrize(
    ('edit', 'changed'),
    [
        (
            unlearn.RemoveUsers(['u0', 'u3']),
            {'user age', 'user email', 'user interacts item time', 'user interacts item note'}
            | {'user views item count', 'user holdout_test item time'},
        ),
        (
            unlearn.RemoveItems([101, 105]),
            {'item x_visual', 'item code_text', 'item title', 'item price', 'item tags'}
            | {'user interacts item item_weight', 'user views item count'},
        ),
        (unlearn.RemoveQueries([0, 1]), {'query text', 'user searches query time'}),
        (unlearn.RemoveModality('text', items=[101]), {'item x_text', 'item code_text'}),
        (unlearn.RemoveAttribute('user', 'age', ids=['u1']), {'user age'}),
    ],
)
def test_taint_reaches_the_values_of_every_type(graph, edit, changed):
    forget, untouched = edit.apply(graph).forget, copy.deepcopy(graph)
    found, edited = set(), []
    for value in SENTINELS:
        tainted = tainted_graph(graph, edit, forget, value)
        for store in graph.stores:
            kind = store._key if isinstance(store._key, tuple) else (store._key,)
            other = tainted[store._key] if store._key else tainted
            for name, old in store.items():
                if repr(_plain(old)) != repr(_plain(other[name])):
                    found.add(' '.join([*map(str, kind), name]))
        edited.append(edit.apply(tainted))
    assert changed <= found
    assert edited[0].summary.digest_after == edit.apply(graph).summary.digest_after
    assert edited[0].summary.digest_after == edited[1].summary.digest_after
    for store in graph.stores:
        for name, old in store.items():
            kept = untouched[store._key][name] if store._key else untouched[name]
            assert repr(_plain(old)) == repr(_plain(kept))


def _plain(value):
    return value.tolist() if isinstance(value, (torch.Tensor, np.ndarray)) else value


@pytest.mark.parametrize('name', ['age', 'town', 'email'])
def test_taint_finds_an_attribute_that_an_edit_left(data, name, setting_after, monkeypatch):
    data = copy.copy(data)
    data['user'].age = torch.arange(USERS)
    data['user'].town = np.array([f'town {n}' for n in range(USERS)], dtype=object)
    data['user'].email = [f'{n}@example.org' for n in range(USERS)]
    original = models.LightGCN.from_graph(data, dim=8)
    edit = unlearn.RemoveUsers((3, 8))
    assert checks.taint(setting_after(original, data, edit)).passed
    blank = node_rows._blank

    def forgetful(graph, node_type, attribute, value, mask, done):
        if attribute == name:
            return mask
        return blank(graph, node_type, attribute, value, mask, done)

    monkeypatch.setattr(node_rows, '_blank', forgetful)
    found = checks.taint(setting_after(original, data, edit))
    assert found.passed is False
    assert found.counts['stores that differ'] == 1


def test_taint_finds_a_model_that_keeps_what_it_met(data, setting_of):
    class Hoarder(models.LightGCN):
        def refresh(self, data):
            super().refresh(data)
            if not hasattr(self, 'first'):
                self.first = data['item'].x_visual.clone()

    setting = setting_of(data, 'items')
    original = Hoarder(data, setting.original.config)
    unlearned = unlearn.forget(original, data, setting.edit, method='edit_only').model
    found = dataclasses.replace(setting, original=original, unlearned=unlearned)
    assert checks.taint(found).passed is False
    assert checks.taint(found).counts['stale arrays'] == 1
