"""Every kind of leak, planted on purpose, is found by the check whose business it is."""

import copy
import dataclasses

import pytest
import torch

from graphrec import models, unlearn
from graphrec.graphs.operators import bipartite_adjacency
from graphrec.graphs.schema import INTERACTS, train_edges
from graphrec.unlearn import residue as checks
from graphrec.unlearn.residue import halves, residue
from graphrec.unlearn.stores import leaves

USERS, ITEMS = 41, 29
PAIRS = 'pairs'


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


def test_views_that_a_repair_drew_are_no_leak(data, edit_of, setting_of_run):
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


def test_further_stores_are_searched(data, setting_of):
    setting = setting_of(data)
    for held in ({'top': torch.zeros(USERS, 5)}, [setting.forget.pairs.t().tolist()]):
        assert failing(dataclasses.replace(setting, stores={'cache': held})) == {'walk'}
    clean = dataclasses.replace(setting, stores={'settings': {'lr': 0.1, 'sizes': [64, 32]}})
    assert failing(clean) == set()


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
