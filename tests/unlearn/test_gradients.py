"""No gradient leads to forgotten features, and if one does, it is found."""

import dataclasses

import pytest
import torch

from graphrec import models, unlearn
from graphrec.unlearn import node_rows
from graphrec.unlearn.gradients import autograd

ITEMS = 29
LOST = unlearn.RemoveModality('visual', items=(2, 9))


class Featured(models.LightGCN):
    """Adds the features of items to their embeddings."""

    def refresh(self, data):
        super().refresh(data)
        self.x = data['item'].x_visual

    def forward(self):
        z = super().forward()
        return {**z, 'item': z['item'] + self.x[:, :8]}


class Neighbourly(Featured):
    """Adds to every item the features of the one before it."""

    def forward(self):
        z = super().forward()
        return {**z, 'item': z['item'] + self.x.roll(1, 0)[:, :8]}


MODELS = [
    (Featured, {'dim': 8}),
    (Neighbourly, {'dim': 8}),
    (models.VBPR, {'dim': 8}),
    (models.MGCN, {}),
    (models.FREEDOM, {}),
    (models.LIRDRec, {'hidden': 9}),
    (models.ItemKNN, {}),
]


@pytest.mark.parametrize(('cls', 'config'), MODELS)
def test_no_gradient_reaches_what_was_forgotten(data, cls, config, setting_after):
    for edit in (LOST, unlearn.RemoveItems((5, 6)) | LOST):
        found = autograd(setting_after(cls.from_graph(data, **config), data, edit))
        assert found.passed
        assert 'visual' in found.detail
        assert ('the edit alone' in found.detail) is (cls is models.ItemKNN)


@pytest.mark.parametrize(('cls', 'config'), MODELS)
def test_an_edit_that_keeps_the_rows_is_found(data, cls, config, setting_after, monkeypatch):
    setting = setting_after(cls.from_graph(data, **config), data, LOST)
    monkeypatch.setattr(node_rows, '_blank_modalities', lambda *args: None)
    found = autograd(setting)
    assert found.passed is False
    assert found.counts == {'visual': 2}


def test_one_that_blanks_another_row_is_found(data, setting_after, monkeypatch):
    setting = setting_after(Featured.from_graph(data, dim=8), data, LOST)

    def other(graph, targets, done):
        keep = torch.arange(ITEMS) != 2
        graph['item'].x_visual = graph['item'].x_visual * keep.unsqueeze(1)

    monkeypatch.setattr(node_rows, '_blank_modalities', other)
    assert autograd(setting).counts == {'visual': 1}


def test_without_a_forgotten_feature_there_is_nothing_to_follow(data, setting_of):
    assert autograd(setting_of(data, 'pairs')).passed is None
    setting = setting_of(data, 'modality')
    nothing = dataclasses.replace(setting.forget, modality_cells={})
    assert autograd(dataclasses.replace(setting, forget=nothing)).passed is None
