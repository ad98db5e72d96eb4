"""Planted data, where the truth is known: what the forgotten edges alone taught is gone."""

from types import SimpleNamespace

import pytest

import graphrec
from graphrec import unlearn
from graphrec.unlearn.foreign_block import teach_block
from graphrec.unlearn.standardised import user_scores

FIT = {'epochs': 60, 'batch_size': 512, 'lr': 1e-2, 'patience': None, 'eval_every': 60}


@pytest.fixture(scope='module')
def foreign():
    """20 users of community 0 were also taught 12 items each of community 1, which nothing
    else in the data says that they like."""
    data = graphrec.datasets.planted(
        300,
        160,
        num_interactions=6000,
        num_communities=4,
        community_strength=0.9,
        popularity_skew=0.5,
        modalities={},
        seed=0,
    )
    taught, pairs = teach_block(data, seed=1)
    model = graphrec.models.LightGCN.from_graph(taught, dim=16, num_layers=2)
    graphrec.fit(model, taught, progress=False, **FIT)
    edit = unlearn.RemoveInteractions(pairs.t().tolist())
    edited = edit.apply(taught)

    def level(of):
        return float(user_scores(of.ranker(), edited.data, pairs).z.mean())

    def run(method, seed=0, **options):
        return unlearn.forget(
            model, taught, edit, method, fit=FIT, options=options, seed=seed, data_edited=edited
        )

    golds = [level(run('gold', seed).model) for seed in (1, 2)]
    return SimpleNamespace(level=level, run=run, golds=golds, original=level(model))


def test_the_block_was_taught_and_gold_does_not_know_it(foreign):
    assert foreign.original > 1
    assert max(foreign.golds) < 0
    assert abs(foreign.golds[0] - foreign.golds[1]) < 0.15


def test_the_edit_alone_leaves_what_parameters_know(foreign):
    assert foreign.level(foreign.run('edit_only').model) > 0.3


def test_the_default_brings_the_block_to_the_level_of_gold(foreign):
    result = foreign.run('auto')
    gold = sum(foreign.golds) / 2
    closed = (foreign.original - foreign.level(result.model)) / (foreign.original - gold)
    assert 0.85 < closed < 1.15
    recall = result.report.metrics['valid_recall@20']
    assert recall['after'] > 0.95 * recall['before']


def test_held_out_pairs_at_large_would_be_the_wrong_measure(foreign):
    """Without weights the foreign block would be raised to the level of held-out pairs, which
    are of the user's own taste."""
    report = foreign.run('gold', 1).report
    auc = report.metrics.get('forget_auc')
    assert auc is None or abs(auc['after'] - 0.5) < 0.2
