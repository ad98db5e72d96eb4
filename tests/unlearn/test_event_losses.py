"""Influence on models of searches: their events in place of pairs."""

import numpy as np
import pandas as pd
import pytest
import torch

import graphrec
from graphrec import graphs, models, unlearn
from graphrec.unlearn.event_losses import carried, event_batches, event_change
from graphrec.unlearn.methods.influence import forgotten_gradient, original_on, trained

USERS, ITEMS = 23, 17
WORDS = ['red', 'blue', 'warm', 'shoe', 'hat', 'lamp']
NAMES = ['HyperSaR', 'QueryBilinear', 'UDITSR']


@pytest.fixture(scope='module')
def data():
    rng = np.random.default_rng(3)
    cells = rng.permutation(USERS * ITEMS)[:150]
    user, item = np.divmod(cells, ITEMS)
    queries = [' '.join(rng.choice(WORDS, 2, replace=False)) for _ in cells]
    table = pd.DataFrame({'user': user, 'item': item, 'query': queries})
    table.loc[::3, 'query'] = None
    table.loc[1, 'query'] = 'purple lamp'
    table = pd.concat([table, table.iloc[1:6]], ignore_index=True)  # Some searches twice.
    return graphs.from_search_log(table)


@pytest.fixture(scope='module')
def model(data):
    model = models.HyperSaR.from_graph(data, dim=4)
    graphrec.fit(model, data, epochs=3, batch_size=64, lr=1e-2, patience=None, progress=False)
    return model


def rows(events):
    return sorted(zip(*(each.tolist() for each in events), strict=True))


def test_events_that_went_came_and_stayed(data, model, make_task):
    query = int(model.events.query[model.events.query >= 0][0])
    edit = unlearn.RemoveQueries([str(data['query'].id[query])])
    task = make_task(model, data, edit)
    after = original_on(task, task.data)
    change = event_change(model, after)
    assert rows(change.gone)
    assert all(event[2] == query for event in rows(change.gone))
    assert len(rows(change.gone)) == sum(event[2] == query for event in rows(model.events))
    # Pairs that nobody searched for any more are recommendations now.
    assert rows(change.new) == sorted({(user, item, -1) for user, item, _ in rows(change.gone)})
    assert sorted(rows(change.kept) + rows(change.gone)) == rows(model.events)
    assert sorted(rows(change.kept) + rows(change.new)) == rows(after.events)


def test_batches_hold_every_event_once_and_no_positive_as_negative(data, model, make_task):
    pairs = data['user', 'interacts', 'item'].edge_index[:, ::4].t().tolist()
    ids = [data['user'].id, data['item'].id]
    edit = unlearn.RemoveInteractions([(ids[0][u], ids[1][i]) for u, i in pairs])
    task = make_task(model, data, edit | unlearn.RemoveItems([ids[1][3]]), {'batch_size': 7})
    gone = event_change(model, original_on(task, task.data)).gone
    batches = event_batches(task, gone, 'forgotten')
    found = [torch.cat([batch[n] for batch in batches]) for n in range(4)]
    assert rows((found[0], found[1], found[3])) == rows(gone)
    known = {event[:2] for event in rows(model.events)}
    negatives = set(zip(found[0].tolist(), found[2].tolist(), strict=True))
    assert not negatives & known
    assert 3 not in found[2]


def test_the_gradient_is_that_of_the_events_and_follows_words(data, model, make_task):
    word = model.words.words.index('purple')
    edit = unlearn.RemoveQueries(['purple lamp'])
    task = make_task(model, data, edit)
    assert 'purple' not in task.model.words.words
    before = original_on(task, data)
    gradient = forgotten_gradient(task, before)
    assert gradient.numel() == sum(p.numel() for p in trained(task.model))
    after = original_on(task, task.data)
    change = event_change(before, after)
    parts = []
    for one, events in ((before, change.gone), (after, change.new)):
        (batch,) = event_batches(task, events, 'forgotten')
        grads = torch.autograd.grad(one.eval().loss(batch), trained(one))
        parts.append([grad * batch.user.numel() for grad in grads])
    wanted = [g - n for g, n in zip(parts[0][:2], parts[1][:2], strict=True)]
    kept = [n for n in range(len(model.words.words)) if n != word]
    wanted.append(parts[0][2][kept] - parts[1][2])
    flat = torch.cat([part.reshape(-1) for part in wanted])
    torch.testing.assert_close(gradient, flat, rtol=1e-4, atol=1e-6)
    ones = carried(torch.ones(sum(p.numel() for p in trained(after))), after, before)
    assert ones.view(-1, 4)[-len(model.words.words) :][word].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('method', ['influence', 'ifru'])
def test_models_of_searches_are_stepped(data, name, method):
    model = getattr(models, name).from_graph(data, dim=4)
    graphrec.fit(model, data, epochs=3, batch_size=64, lr=1e-2, patience=None, progress=False)
    edit = unlearn.RemoveQueries(['purple lamp'])
    options = {'iterations': 2, 'batches': 1}
    report = unlearn.forget(model, data, edit, method, options=options).report
    assert report.update_norm > 0
    assert report.status != 'failed'
    still = unlearn.forget(model, data, edit, method, options={**options, 'damping': 1e12}).report
    assert still.update_norm < 1e-6
