"""Requests for what a model does not read: the edit alone, and a report that says so."""

import pytest
import torch

import graphrec
from graphrec import models, unlearn
from graphrec.unlearn.untouched import UNTOUCHED, is_untouched

FIT = {'epochs': 3, 'batch_size': 256, 'lr': 1e-2, 'patience': None}
USERS, ITEMS = 50, 40
VIEWS = ('user', 'views', 'item')


@pytest.fixture(scope='module')
def data():
    data = graphrec.datasets.planted(
        USERS,
        ITEMS,
        num_interactions=900,
        num_communities=3,
        num_queries=9,
        num_intents=3,
        seed=1,
    )
    data['user'].age = torch.arange(20, 20 + USERS)
    draw = torch.Generator().manual_seed(0)
    ends = [torch.randint(size, (30,), generator=draw) for size in (USERS, ITEMS)]
    data[VIEWS].edge_index = torch.stack(ends)
    return data


@pytest.fixture(scope='module')
def edits(data):
    def some(*edge_type):
        return tuple(map(tuple, data[edge_type].edge_index[:, :5].t().tolist()))

    held = ('user', 'holdout_test', 'item')
    return {
        'age': unlearn.RemoveAttribute('user', 'age'),
        'views': unlearn.RemoveInteractions(some(*VIEWS), VIEWS),
        'held-out': unlearn.RemoveInteractions(some(*held), held),
        'visual': unlearn.RemoveModality('visual', items=[3]),
        'queries': unlearn.RemoveQueries([2, 5]),
    }


@pytest.fixture(scope='module')
def trained(data):
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = getattr(models, name).from_graph(data, dim=8)
            graphrec.fit(cache[name], data, progress=False, **FIT)
        return cache[name]

    return get


@pytest.mark.parametrize(
    ('name', 'reads'),
    [
        ('MF', ''),
        ('LightGCN', ''),
        ('VBPR', 'visual'),
        ('FREEDOM', 'visual'),
        ('UDITSR', 'queries'),
    ],
)
def test_a_model_depends_on_what_it_reads_and_no_more(data, edits, name, reads):
    model = getattr(models, name).from_graph(data, dim=8)
    for what, edit in edits.items():
        edited = edit.apply(data)
        assert is_untouched(model, data, edited.data, edited.forget) == (what != reads), what
    for edit in (unlearn.RemoveUsers([3]), unlearn.RemoveItems([3])):
        edited = edit.apply(data)
        assert not is_untouched(model, data, edited.data, edited.forget)


def test_shards_depend_on_what_their_models_read(data, edits):
    for name, found in (('LightGCN', True), ('VBPR', False)):
        model = getattr(models, name).from_graph(data, dim=4)
        model = unlearn.train_shards(model, data, num_shards=2, fit=FIT)
        edited = edits['visual'].apply(data)
        assert is_untouched(model, data, edited.data, edited.forget) == found


@pytest.mark.parametrize('what', ['age', 'views', 'held-out'])
@pytest.mark.parametrize('method', ['auto', 'edit_only', 'mmrecun', 'influence'])
def test_such_a_request_gets_the_edit_alone(data, edits, trained, what, method):
    model = trained('LightGCN')
    result = unlearn.forget(model, data, edits[what], method, fit=FIT)
    report = result.report
    assert (report.status, report.guarantee, report.steps) == ('passed', 'E', 0)
    assert report.reason == UNTOUCHED
    assert report.update_norm == 0
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    assert not any('drawn anew' in note for note in report.notes)
    if method == 'auto':
        assert report.method == 'edit_only'
    found = unlearn.audit(model, result.model, data=data, edit=edits[what], forget_report=report)
    assert found.status == 'not_measurable'
    assert found.verdict.reasons == (UNTOUCHED,)
    # The graph as it was does not pass for edited.
    stale = unlearn.audit(model, result.model, data=data, edit=edits[what], edited=data)
    assert stale.status == 'failed'
    assert any('residue' in reason for reason in stale.verdict.reasons)


def test_validation_pairs_may_have_had_a_say_in_when_training_stopped(data, trained):
    held = ('user', 'holdout_valid', 'item')
    pairs = data[held].edge_index[:, :3].t().tolist()
    edit = unlearn.RemoveInteractions(pairs, held)
    report = unlearn.forget(trained('LightGCN'), data, edit, fit=FIT).report
    assert (report.status, report.guarantee) == ('passed', 'A')
    assert any('validation pairs' in note for note in report.notes)


@pytest.mark.parametrize(
    ('what', 'name', 'count'),
    [
        ('age', 'values of user.age', USERS),
        ('views', 'edges user views item', 5),
        ('held-out', 'held-out pairs (test)', 5),
    ],
)
def test_reports_name_what_was_taken(data, edits, trained, what, name, count):
    model = trained('LightGCN')
    result = unlearn.forget(model, data, edits[what], fit=FIT)
    assert result.report.counts[name] == count
    assert f'{count} {name}' in str(result.report)
    found = unlearn.audit(model, result.model, data=data, edit=edits[what])
    for text in (str(found), found.to_markdown(), found.to_html()):
        assert f'{count} {name}' in text
        assert 'nothing that the graph holds' not in text


def test_retraining_that_is_asked_for_is_done(data, edits, trained):
    model = trained('LightGCN')
    report = unlearn.forget(model, data, edits['age'], 'gold', fit=FIT, seed=4).report
    assert report.update_norm > 0
    assert report.guarantee == 'E'


def test_a_model_that_reads_the_feature_is_repaired(data, edits, trained):
    report = unlearn.forget(trained('VBPR'), data, edits['visual'], fit=FIT).report
    assert report.method == 'finetune'
    assert report.update_norm > 0
    assert 'no interaction was forgotten: the status rests on validation recall alone' in (
        report.notes
    )


def test_counts_of_nodes_do_not_name_what_went_with_them(data):
    model, edit = models.MF.from_graph(data, dim=4), unlearn.RemoveUsers([3])
    counts = unlearn.forget(model, data, edit).report.counts
    assert counts['users'] == 1
    assert not any('age' in name or 'held-out' in name for name in counts)
