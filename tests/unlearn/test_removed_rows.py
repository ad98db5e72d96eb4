"""Rows of removed nodes are a fresh draw, and nothing of them is the original's."""

import dataclasses

import pytest
import torch

import graphrec
from graphrec import models, unlearn
from graphrec.graphs.schema import train_edges
from graphrec.unlearn import residue as checks
from graphrec.unlearn.residue import residue

USERS = 41


def failing(setting):
    return {check.name for check in residue(setting) if check.passed is False}


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


def test_rows_that_retraining_moved_are_a_draw_too(data, edit_of, setting_of_run):
    original = models.LightGCN.from_graph(data, dim=16, reg=1e-5)
    fit = {'epochs': 3, 'batch_size': 64, 'lr': 1e-2, 'weight_decay': 1e-2}
    graphrec.fit(original, data, progress=False, **fit)
    setting = setting_of_run(data, original, edit_of(data, 'users'), method='gold', fit=fit)
    found = checks.removed_rows(setting)
    assert found.counts['rows'] == 2
    assert found.counts['as the seed draws them'] == 0  # Weight decay reaches them.
    assert found.passed


def test_an_audit_knows_the_run_from_its_report(data, edit_of):
    original, edit = models.LightGCN.from_graph(data, dim=8), edit_of(data, 'users')
    found = unlearn.forget(original, data, edit, method='edit_only', seed=4)
    with torch.no_grad():
        found.model.embedding[3] += 1e-3  # Far from the original's, but not the draw.
    for report, passed in ((None, True), (found.report, False)):
        audited = unlearn.audit(original, found.model, data=data, edit=edit, forget_report=report)
        (check,) = [each for each in audited.checks if each.name == 'removed rows']
        assert check.passed is passed
