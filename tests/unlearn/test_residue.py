"""Every kind of leak, planted on purpose, is found by the check whose business it is."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

import graphrec
from graphrec import models, unlearn
from graphrec.datasets import planted
from graphrec.graphs.operators import bipartite_adjacency
from graphrec.graphs.schema import INTERACTS, train_edges
from graphrec.unlearn import node_rows
from graphrec.unlearn import residue as checks
from graphrec.unlearn.check import Setting
from graphrec.unlearn.residue import halves, residue
from graphrec.unlearn.stores import leaves
from graphrec.unlearn.tainted_graph import SENTINELS, tainted_graph

USERS, ITEMS = 41, 29
PAIRS = 'pairs'


@pytest.fixture(scope='module')
def data():
    data = planted(USERS, ITEMS, num_interactions=500, num_communities=3, seed=2)
    data['item', 'rev_interacts', 'user'].edge_index = train_edges(data).flip(0)
    return data


def edit_of(data, kind=PAIRS):
    if kind == PAIRS:
        return unlearn.RemoveInteractions(
            tuple(map(tuple, train_edges(data)[:, ::20].t().tolist()))
        )
    if kind == 'users':
        return unlearn.RemoveUsers((3, 8))
    if kind == 'items':
        return unlearn.RemoveItems((5, 6))
    return unlearn.RemoveModality('visual', items=(2, 9))


@pytest.fixture
def setting_of(setting_after):
    def make(data, kind=PAIRS, name='LightGCN', **config):
        original = getattr(models, name).from_graph(data, **{'dim': 8, **config})
        return setting_after(original, data, edit_of(data, kind))

    return make


def setting_of_run(data, original, edit, **run):
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


def failing(setting):
    return {check.name for check in residue(setting) if check.passed is False}


@pytest.mark.parametrize('kind', [PAIRS, 'users', 'items', 'modality'])
@pytest.mark.parametrize(
    ('name', 'config'),
    [('LightGCN', {}), ('FREEDOM', {'k': 3}), ('FREEDOM', {'k': 3, 'freeze_features': True})],
)
def test_an_honest_run_leaves_nothing(data, kind, name, config, setting_of):
    setting = setting_of(data, kind, name, **config)
    assert failing(setting) == set()


def test_views_that_a_repair_drew_are_no_leak(data):
    model = models.SGL.from_graph(data, dim=8)
    run = {'method': 'finetune', 'options': {'steps': 2}, 'fit': {'batch_size': 128}}
    setting = setting_of_run(data, model, edit_of(data, 'users'), **run)
    assert setting.unlearned._drawn
    assert failing(setting) == set()


def test_an_edge_left_in_the_reverse_relation(data, setting_of):
    setting = setting_of(data)
    edited = copy.copy(setting.edited)
    edited['item', 'rev_interacts', 'user'].edge_index = train_edges(data).flip(0)
    found = {check.name: check for check in residue(dataclasses.replace(setting, edited=edited))}
    assert found['structure'].passed is False
    assert found['structure'].counts == {'item rev_interacts user': setting.forget.pairs.size(1)}
    assert 'storage' in failing(
        dataclasses.replace(setting, edited=with_edges(edited, train_edges(data)))
    )


def with_edges(data, edges):
    data = copy.copy(data)
    data[INTERACTS].edge_index = edges
    return data


def test_an_edge_label_left(data, setting_of):
    setting = setting_of(data)
    edited = copy.copy(setting.edited)
    edited[INTERACTS].edge_label_index = setting.forget.pairs[:, :1].clone()
    assert 'structure' in failing(dataclasses.replace(setting, edited=edited))


def test_a_cached_embedding(data, setting_of):
    setting = setting_of(data)
    setting.unlearned.cached = setting.original.forward()['user'].detach().clone()
    assert failing(setting) == {'walk'}


def test_a_top_list_in_a_closure_of_dictionaries(data, setting_of):
    setting = setting_of(data)
    setting.unlearned.served = {n: [n % ITEMS] for n in range(USERS)}
    assert failing(setting) == {'walk'}


def test_an_undeclared_buffer(data, setting_of):
    setting = setting_of(data)
    setting.unlearned.register_buffer('popularity', torch.ones(ITEMS))
    assert failing(setting) == {'walk'}


def test_a_short_list_of_forgotten_pairs(data, setting_of):
    setting = setting_of(data)
    setting.unlearned.notes = {tuple(setting.forget.pairs[:, 0].tolist())}
    assert failing(setting) == {'walk'}


def test_an_operator_of_the_graph_before(data, setting_of):
    setting = setting_of(data)
    setting.unlearned.adjacency = bipartite_adjacency(train_edges(data), USERS, ITEMS)
    assert 'walk' in failing(setting)


def test_a_draw_of_the_graph_after_is_no_leak(data, setting_of):
    setting = setting_of(data)
    kept = train_edges(setting.edited)[:, ::2]
    setting.unlearned._thinned = bipartite_adjacency(kept, USERS, ITEMS)
    assert failing(setting) == set()


def test_a_mention_in_a_frozen_neighbour_graph(data, setting_of):
    data = copy.copy(data)
    index = torch.arange(ITEMS).unsqueeze(1).add(torch.tensor([1, 2, 3])) % ITEMS
    data['item'].knn_image_index, data['item'].knn_image_similarity = index, torch.ones(ITEMS, 3)
    setting = setting_of(data, 'items')
    assert failing(setting) == set()
    edited = copy.copy(setting.edited)
    edited['item'].knn_image_index = index.clone()  # Items 2 to 4 still name item 5.
    edited['item'].knn_image_similarity = torch.ones(ITEMS, 3)
    del edited['item'].has_image
    assert 'structure' in failing(dataclasses.replace(setting, edited=edited))


def test_a_feature_row_that_stayed(data, setting_of):
    setting = setting_of(data, 'modality')
    edited = copy.copy(setting.edited)
    edited['item'].x_visual = data['item'].x_visual.clone()
    assert 'structure' in failing(dataclasses.replace(setting, edited=edited))


def test_shared_memory(data, setting_of):
    setting = setting_of(data)
    setting.unlearned.embedding.data = setting.original.embedding.data
    found = {check.name: check for check in residue(setting)}
    assert found['storage'].passed is False
    assert 'models' in found['storage'].detail


@pytest.mark.parametrize('kind', ['users', 'items'])
def test_rows_of_removed_nodes_that_were_kept_or_zeroed(data, kind, setting_of):
    setting = setting_of(data, kind)
    row = 3 if kind == 'users' else USERS + 5
    with torch.no_grad():
        setting.unlearned.embedding[row] = setting.original.embedding[row] * 0.9
    assert failing(setting) == {'removed rows'}
    with torch.no_grad():
        setting.unlearned.embedding[row] = 0.0
    assert failing(setting) == {'removed rows'}
    found = checks.removed_rows(setting)
    assert found.counts['zero by accident'] == 1


def test_a_row_with_nothing_left_is_one_of_them(data, setting_after):
    edges = train_edges(data)
    edit = unlearn.RemoveInteractions(edges[:, edges[0] == 3].t().tolist())
    setting = setting_after(models.LightGCN.from_graph(data, dim=8), data, edit)
    assert checks.removed_rows(setting).counts['as the seed draws them'] == 1
    with torch.no_grad():
        setting.unlearned.embedding[3] = setting.original.embedding[3]
    assert failing(setting) == {'removed rows'}


def test_rows_are_the_draw_of_the_runs_seed(data, setting_of):
    setting = setting_of(data, 'users')
    assert checks.removed_rows(setting).counts['as the seed draws them'] == 2
    other = checks.removed_rows(dataclasses.replace(setting, seed=5))
    assert other.passed is False
    assert other.counts['other than the draw'] == 2
    unknown = checks.removed_rows(dataclasses.replace(setting, seed=None, method=None))
    assert unknown.passed  # Unlike the original's, and no zeros.
    assert unknown.counts['as the seed draws them'] == 0


@pytest.mark.parametrize('factor', [2.0, -1.0, 1.6, 0.4])
@pytest.mark.parametrize('run', [{}, {'method': 'gold'}, {'seed': None, 'method': None}])
def test_rows_that_are_the_originals_scaled(data, factor, run, setting_of):
    setting = dataclasses.replace(setting_of(data, 'users'), **run)
    assert checks.removed_rows(setting).passed
    with torch.no_grad():
        setting.unlearned.embedding[3] = setting.original.embedding[3] * factor
    assert checks.removed_rows(setting).counts['as before'] == 1
    assert failing(setting) == {'removed rows'}


def test_rows_that_retraining_moved_are_a_draw_too(data):
    original = models.LightGCN.from_graph(data, dim=16, reg=1e-5)
    fit = {'epochs': 3, 'batch_size': 64, 'lr': 1e-2, 'weight_decay': 1e-2}
    graphrec.fit(original, data, progress=False, **fit)
    setting = setting_of_run(data, original, edit_of(data, 'users'), method='gold', fit=fit)
    found = checks.removed_rows(setting)
    assert found.counts['rows'] == 2
    assert found.counts['as the seed draws them'] == 0  # Weight decay reaches them.
    assert found.passed


def test_further_stores_are_searched(data, setting_of):
    setting = setting_of(data)
    for held in ({'top': torch.zeros(USERS, 5)}, [setting.forget.pairs.t().tolist()]):
        assert failing(dataclasses.replace(setting, stores={'cache': held})) == {'walk'}
    clean = dataclasses.replace(setting, stores={'settings': {'lr': 0.1, 'sizes': [64, 32]}})
    assert failing(clean) == set()


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


class Featured(models.LightGCN):
    """Adds the features of items to their embeddings."""

    def refresh(self, data):
        super().refresh(data)
        self.x = data['item'].x_visual.clone()

    def forward(self):
        z = super().forward()
        return {**z, 'item': z['item'] + self.x[:, :8]}


class Centred(Featured):
    """Keeps the mean of all features as state."""

    def __init__(self, data, config):
        super().__init__(data, config)
        self.register_buffer('mean', data['item'].x_visual.mean(0))

    def forward(self):
        z = super().forward()
        return {**z, 'item': z['item'] - self.mean[:8]}


@pytest.mark.parametrize(
    ('cls', 'config'),
    [
        (models.MGCN, {'freeze_features': True}),
        (models.LIRDRec, {'hidden': 9}),
        (models.ItemKNN, {}),
        (models.NCL, {'dim': 8, 'num_prototypes': 5}),
        (Featured, {'dim': 8}),
    ],
)
@pytest.mark.parametrize('kind', [PAIRS, 'modality'])
def test_results_do_not_depend_on_what_was_forgotten(data, cls, config, kind, setting_after):
    setting = setting_after(cls.from_graph(data, **config), data, edit_of(data, kind))
    assert checks.dependence(setting).passed


def test_neither_do_those_of_shards(data):
    fit = {'epochs': 1, 'batch_size': 128}
    model = models.MF.from_graph(data, dim=8)
    model = unlearn.train_shards(model, data, num_shards=2, fit=fit)
    setting = setting_of_run(data, model, edit_of(data), method='sisa', fit=fit)
    assert checks.dependence(setting).passed


def test_an_edit_that_keeps_the_rows_is_found(data, setting_after, monkeypatch):
    monkeypatch.setattr(node_rows, '_blank_modalities', lambda *args: None)
    edit = unlearn.RemoveModality('visual', items=(2, 9))
    setting = setting_after(Featured.from_graph(data, dim=8), data, edit)
    forget = dataclasses.replace(setting.forget, modality_cells={'visual': torch.tensor([2, 9])})
    setting = dataclasses.replace(setting, forget=forget)
    assert setting.edited['item'].x_visual[2].any()
    found = checks.dependence(setting)
    assert found.passed is False
    assert found.counts['outputs that differ'] == 2  # Embeddings of items and scores.


def test_a_buffer_of_the_graph_before_is_found(data, setting_after):
    setting = setting_after(Centred.from_graph(data, dim=8), data, edit_of(data, 'modality'))
    assert torch.equal(setting.unlearned.mean, setting.original.mean)  # State is carried along.
    assert checks.walk(setting).passed
    found = checks.dependence(setting)
    assert found.passed is False
    assert found.counts['buffers of the graph before'] == 1
    setting.unlearned.mean.copy_(setting.edited['item'].x_visual.mean(0))
    assert checks.dependence(setting).passed


def test_features_that_a_model_kept_are_found(data, setting_after):
    setting = setting_after(Featured.from_graph(data, dim=8), data, edit_of(data, 'modality'))
    setting.unlearned.x = setting.original.x.clone()
    assert checks.dependence(setting).passed is False


def test_outputs_that_differ_every_time_are_no_finding(data, setting_of):
    setting = setting_of(data, 'modality')
    forward = setting.unlearned.forward
    setting.unlearned.forward = lambda: {k: z + torch.rand(()) for k, z in forward().items()}
    assert checks.dependence(setting).passed is None


def test_halves_unite_to_the_edit():
    edit = unlearn.RemoveUsers((1, 2, 3)) | unlearn.RemoveItems((4,))
    first, second = halves(edit)
    assert (first | second).digest() == edit.digest()
    first, second = halves(unlearn.RemoveUsers((1, 2, 3)))
    assert (first | second).digest() == unlearn.RemoveUsers((1, 2, 3)).digest()
    assert halves(unlearn.RemoveUsers((1,))) is None


def test_commutation_is_checked_by_digests(data, setting_of):
    setting = setting_of(data)
    assert checks.commutation(setting).passed
    assert checks.commutation(dataclasses.replace(setting, edited=data)).passed is False


def test_a_sampler_that_still_draws_a_removed_item(data, setting_of):
    setting = setting_of(data, 'items')
    assert checks.samplers(setting).passed
    setting.unlearned.make_sampler = lambda graph, size: setting.original.make_sampler(data, size)
    assert checks.samplers(setting).passed is False


def test_a_check_that_breaks_down_fails_without_naming_ids(data, setting_of):
    setting = setting_of(data)

    def broken(graph, size):
        raise RuntimeError('user u17')

    setting.unlearned.make_sampler = broken
    (check,) = [c for c in residue(setting) if c.name == 'samplers']
    assert check.passed is False
    assert 'u17' not in check.detail
    assert list(leaves(setting.unlearned))
