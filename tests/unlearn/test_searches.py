"""Removed queries and users leave no word behind, in the graph and in models of searches."""

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from graphrec import graphs, models, unlearn
from graphrec.errors import GraphError
from graphrec.graphs.schema import FINDS, SEARCHES
from graphrec.graphs.words import query_words
from graphrec.unlearn.residue import residue

USERS, ITEMS = 23, 17
WORDS = ['red', 'blue', 'warm', 'shoe', 'hat', 'lamp']
RARE = 'unmentionable'
CONFIGS = {
    'HyperSaR': {'dim': 4},
    'QueryBilinear': {'dim': 4},
    'UDITSR': {'dim': 4},
    'UnionLightGCN': {'dim': 4},
}
NAMES = list(CONFIGS)


def log():
    """Rows (user, item, query); ids of queries are their texts. Users 4 and 9 alone, and the
    last query alone, have a word of their own."""
    rng = np.random.default_rng(3)
    cells = rng.permutation(USERS * ITEMS)[:150]
    user, item = np.divmod(cells, ITEMS)
    queries = [' '.join(rng.choice(WORDS, 2, replace=False)) for _ in cells]
    table = pd.DataFrame({'user': user, 'item': item, 'query': queries})
    table.loc[::3, 'query'] = None
    table.loc[table.user.isin([4, 9]), 'query'] = 'purple shoe'
    table.loc[1, 'query'] = f'{RARE} lamp'
    return table


@pytest.fixture(scope='module')
def data():
    return graphs.from_search_log(log())


def without(data, event):
    """The graph rebuilt by hand without the chosen events and the queries of nobody."""
    out = copy.copy(data)
    (user, query), item = data[SEARCHES].edge_index[:, ~event], data[FINDS].edge_index[1, ~event]
    asked, query = query.unique(return_inverse=True)
    del out[SEARCHES], out[FINDS]
    out['query'].text = data['query'].text[asked.numpy()]
    out['query'].id = data['query'].id[asked.numpy()]
    out['query'].num_nodes = asked.numel()
    out[SEARCHES].edge_index = torch.stack([user, query])
    out[FINDS].edge_index = torch.stack([query, item])
    return out


def build(data, name):
    return getattr(models, name).from_graph(data, **CONFIGS[name]).eval()


def same_models(one, two):
    assert one.words.words == two.words.words
    for part in ('user', 'item'):
        assert getattr(one.words, part).tolist() == getattr(two.words, part).tolist()
    users = torch.arange(USERS)
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key]), key
    assert torch.equal(one.score(users), two.score(users))
    for text in ('red shoe', 'lamp', f'purple {RARE}'):
        assert torch.equal(one.score(users, query=text), two.score(users, query=text))


@pytest.mark.parametrize('name', NAMES)
def test_removed_queries_are_as_if_never_asked(data, name):
    gone = [f'{RARE} lamp', 'purple shoe', str(data['query'].id[0])]
    edited = unlearn.RemoveQueries(gone).apply(data).data
    index = torch.tensor([list(data['query'].id).index(text) for text in gone])
    never = without(data, torch.isin(data[SEARCHES].edge_index[1], index))
    one = build(edited, name)
    same_models(one, build(never, name))
    assert {RARE, 'purple'}.isdisjoint(one.words.words)
    moved = build(data, name)  # Built before the edit.
    assert RARE in moved.words.words
    moved.refresh(edited)
    assert moved.words.words == one.words.words


@pytest.mark.parametrize('name', NAMES)
def test_removed_users_leave_no_word_statistic(data, name):
    edited = unlearn.RemoveUsers([4, 9]).apply(data).data
    never = without(data, torch.isin(data[SEARCHES].edge_index[0], torch.tensor([4, 9])))
    pairs = data['user', 'interacts', 'item'].edge_index
    kept = ~torch.isin(pairs[0], torch.tensor([4, 9]))
    never['user', 'interacts', 'item'].edge_index = pairs[:, kept]
    one = build(edited, name)
    same_models(one, build(never, name))
    assert 'purple' not in one.words.words


def test_text_and_ids_that_are_text_go(data):
    edit = unlearn.RemoveQueries([f'{RARE} lamp'])
    result = edit.apply(data)
    (number,) = result.forget.queries.tolist()
    store = result.data['query']
    assert store.text[number] is None
    assert store.id[number] == f'<removed query {number}>'
    assert not any(RARE in str(value) for value in [*store.text, *store.id])
    assert result.summary.rows == {'query.text': 1, 'query.id': 1}
    assert data['query'].id[number] == f'{RARE} lamp'
    again = edit.apply(result.data)
    assert again.summary.noop
    assert again.summary.digest_after == result.summary.digest_after
    graphs.validate(result.data)


def test_a_query_goes_with_its_last_search(data):
    (number,) = np.flatnonzero(data['query'].id == 'purple shoe')
    one = unlearn.RemoveUsers([4]).apply(data)
    assert number not in one.forget.queries.tolist()  # User 9 asks it too.
    assert one.data['query'].text[number] == 'purple shoe'
    both = unlearn.RemoveUsers([4, 9]).apply(data)
    after = unlearn.RemoveUsers([9]).apply(one.data)
    assert number in both.forget.queries.tolist()
    for result in (both, after):
        store = result.data['query']
        assert not any('purple' in str(value) for value in [*store.text, *store.id])
    assert after.summary.digest_after == both.summary.digest_after


def test_number_ids_of_queries_stay(graph):
    edited = unlearn.RemoveQueries([2]).apply(graph).data
    assert edited['query'].id.tolist() == [0, 1, 2, 3]
    assert edited['query'].text[2] is None


def test_words_counted_beforehand_are_refused(data):
    counted = graphs.with_words(data, query_words(data))
    for edit in (unlearn.RemoveQueries(['purple shoe']), unlearn.RemoveUsers([4])):
        with pytest.raises(GraphError, match=r'searched.*counted from search events'):
            edit.apply(counted)


EDITS = {
    'queries': unlearn.RemoveQueries([f'{RARE} lamp', 'purple shoe']),
    'users': unlearn.RemoveUsers([4, 9]),
}


@pytest.fixture
def setting_of(setting_after):
    def make(data, name, kind='queries'):
        return setting_after(build(data, name), data, EDITS[kind])

    return make


def failing(setting):
    return {check.name for check in residue(setting) if check.passed is False}


@pytest.mark.parametrize('kind', EDITS)
@pytest.mark.parametrize('name', NAMES)
def test_an_honest_run_leaves_nothing(data, name, kind, setting_of):
    setting = setting_of(data, name, kind)
    setting.unlearned.encode_queries(['red'])  # Caches are made on first use.
    generator = torch.Generator().manual_seed(0)
    batch = next(setting.unlearned.make_sampler(setting.edited, 64).epoch(generator))
    setting.unlearned.train().loss(batch).backward()
    setting.unlearned.zero_grad()
    setting.unlearned.eval()
    assert failing(setting) == set()


def test_words_that_stay_keep_their_row(data, setting_of):
    setting = setting_of(data, 'HyperSaR')
    before, after = setting.original, setting.unlearned
    assert set(before.words.words) - set(after.words.words) == {RARE, 'purple'}
    for number, word in enumerate(after.words.words):
        old = before.word_embedding[before.words.words.index(word)]
        assert torch.equal(after.word_embedding[number], old)


def test_an_event_left_in_the_graph(data, setting_of):
    setting = setting_of(data, 'HyperSaR')
    edited = setting.edited.clone()
    user, query, item = setting.forget.events[:, :1]
    for edge_type, pair in ((SEARCHES, [user, query]), (FINDS, [query, item])):
        old = edited[edge_type].edge_index
        edited[edge_type].edge_index = torch.cat([old, torch.stack(pair)], dim=1)
    checks = {c.name: c for c in residue(dataclasses.replace(setting, edited=edited))}
    assert checks['structure'].passed is False
    assert checks['structure'].counts['search events (train)'] == 1


@pytest.mark.parametrize('field', ['text', 'id'])
def test_a_query_left_in_the_graph(data, field, setting_of):
    setting = setting_of(data, 'HyperSaR')
    edited = setting.edited.clone()
    number = int(setting.forget.queries[0])
    edited['query'][field] = edited['query'][field].copy()
    edited['query'][field][number] = data['query'][field][number]
    checks = {c.name: c for c in residue(dataclasses.replace(setting, edited=edited))}
    assert checks['structure'].counts['texts of queries'] == 1


@pytest.mark.parametrize('leak', ['words', 'numbers', 'query lists', 'table', 'note'])
def test_a_word_left_in_the_model(data, leak, setting_of):
    setting = setting_of(data, 'UDITSR')
    model, before = setting.unlearned, setting.original
    if leak == 'words':
        model.words = before.words
    elif leak == 'numbers':
        model.known = dict(before.words.numbers)
    elif leak == 'query lists':
        model.lists = before.query_lists
    elif leak == 'table':
        model.word_embedding = torch.nn.Parameter(before.word_embedding.detach().clone())
    else:
        model.last_query = f'{RARE} lamp'
    assert 'walk' in failing(setting)


def test_an_audit_of_a_search_model(data, setting_of):
    setting = setting_of(data, 'UDITSR')
    report = unlearn.audit(
        original=setting.original, unlearned=setting.unlearned, data=data, edit=setting.edit
    )
    bad = [check.name for check in report.checks if check.passed is False]
    assert bad == []
