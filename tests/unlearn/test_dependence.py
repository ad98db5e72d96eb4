"""What a model gives does not depend on what was forgotten, and if it does, it is found."""

import dataclasses

import pytest
import torch

from graphrec import models, unlearn
from graphrec.unlearn import node_rows
from graphrec.unlearn import residue as checks

PAIRS = 'pairs'


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
def test_results_do_not_depend_on_what_was_forgotten(
    data, cls, config, kind, setting_after, edit_of
):
    setting = setting_after(cls.from_graph(data, **config), data, edit_of(data, kind))
    assert checks.dependence(setting).passed


def test_neither_do_those_of_shards(data, edit_of, setting_of_run):
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


def test_a_buffer_of_the_graph_before_is_found(data, setting_after, edit_of):
    setting = setting_after(Centred.from_graph(data, dim=8), data, edit_of(data, 'modality'))
    assert torch.equal(setting.unlearned.mean, setting.original.mean)  # State is carried along.
    assert checks.walk(setting).passed
    found = checks.dependence(setting)
    assert found.passed is False
    assert found.counts['buffers of the graph before'] == 1
    setting.unlearned.mean.copy_(setting.edited['item'].x_visual.mean(0))
    assert checks.dependence(setting).passed


def test_features_that_a_model_kept_are_found(data, setting_after, edit_of):
    setting = setting_after(Featured.from_graph(data, dim=8), data, edit_of(data, 'modality'))
    setting.unlearned.x = setting.original.x.clone()
    assert checks.dependence(setting).passed is False


def test_outputs_that_differ_every_time_are_no_finding(data, setting_of):
    setting = setting_of(data, 'modality')
    forward = setting.unlearned.forward
    setting.unlearned.forward = lambda: {k: z + torch.rand(()) for k, z in forward().items()}
    assert checks.dependence(setting).passed is None
