"""A modality is gone: what is left of it shows in the scores of the items that lost it."""

import pytest
import torch

from graphrec import fit, models, unlearn
from graphrec.datasets import planted
from graphrec.unlearn.affected import affected_items
from graphrec.unlearn.utility import Served, score_drift

FIT = {'epochs': 20, 'batch_size': 256, 'lr': 0.05}


def served(scores):
    return Served(torch.zeros(len(scores), 1, dtype=torch.long), scores)


def test_both_distances_by_hand():
    draw = torch.Generator().manual_seed(0)
    taste = torch.randn(200, 6, generator=draw).double()
    golds = [served(taste + 0.1 * torch.randn(200, 6, generator=draw).double()) for _ in range(4)]
    original = served(torch.randn(200, 6, generator=draw).double())
    chosen = torch.tensor([True, True, False, False, False, True])
    for unlearned, inside in ((served(taste), True), (original, False)):
        drift, level = affected_items(chosen, original, unlearned, golds)
        assert drift.inside is inside
        found = [
            score_drift(unlearned.scores[:, chosen], g.scores[:, chosen]).mean() for g in golds
        ]
        assert drift.unlearned == pytest.approx(float(torch.stack(found).median()), abs=0.01)
        assert drift.side == (0 if inside else 1)
        gap = (golds[0].scores - golds[1].scores).mean(0)[chosen]
        assert level.golds[0] == pytest.approx(float(gap.abs().mean()))
    raised = taste.clone()
    raised[:, 0] += 4.0  # The same users, everywhere higher.
    drift, level = affected_items(chosen, original, served(raised), golds)
    assert drift.inside
    assert not level.inside
    raised[:, 2] = -raised[:, 2]  # An item that lost nothing has no say.
    assert affected_items(chosen, original, served(raised), golds)[0] == drift


def test_nothing_is_measured_without_golds_or_items():
    scores = served(torch.zeros(3, 4))
    chosen = torch.ones(4, dtype=torch.bool)
    assert affected_items(chosen, scores, scores, []) == []
    assert affected_items(~chosen, scores, scores, [scores] * 3) == []


@pytest.fixture(scope='module')
def case():
    data = planted(80, 50, num_interactions=700, num_communities=4, seed=1)
    edit = unlearn.RemoveModality('visual')
    edited = edit.apply(data).data

    def trained(graph, seed):
        model = models.VBPR.from_graph(graph, dim=8, seed=seed)
        fit(model, graph, **FIT, seed=seed, patience=None, progress=False)
        return model

    golds = [trained(edited, seed) for seed in range(1, 7)]
    return data, edit, trained(data, 0), golds


def test_gold_passes_and_what_kept_the_features_does_not(case):
    data, edit, original, golds = case
    auditor = unlearn.Auditor(data, edit, golds[1:])
    report = auditor.audit(original, golds[0])
    assert report.status == 'passed', str(report)
    assert report.completeness is None
    assert [m.name for m in report.affected] == [
        'drift, items that lost a modality',
        'level, items that lost a modality',
    ]
    assert set(report.to_dict()['affected_items']) == {m.name for m in report.affected}
    assert report.gold_self_check['golds'] == 5
    assert 'Items concerned' in report.to_html()
    assert 'affected items' in str(report)
    # All parameters as they were, on the graph without the modality.
    left = unlearn.forget(original, data, edit, 'edit_only', fit=FIT)
    found = auditor.audit(original, left.model, forget_report=left.report)
    assert found.status == 'under_forgotten', str(found)
    # What no model has a say in is checked once.
    first, second = ({c.name: c for c in each.checks} for each in (report, found))
    assert second['structure'] is first['structure']
    assert second['commutation'] is first['commutation']
    assert second['taint'] is not first['taint']
