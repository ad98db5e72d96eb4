"""The audit as a whole, on models small enough to train in a test."""

import copy
import dataclasses
import json
import re

import pytest
import torch

from graphrec import evaluate, fit, models, unlearn
from graphrec.datasets import planted
from graphrec.errors import GraphError
from graphrec.graphs.schema import HOLDOUT_TEST, train_edges
from graphrec.unlearn.case import ask, make_case
from graphrec.unlearn.utility import per_user_metrics

USERS, ITEMS = 60, 40
FIT = {'epochs': 15, 'batch_size': 256, 'lr': 0.05}
# Ids that no count or digest would hold by chance.
USER_IDS = [f'customer-{n}-x' for n in range(USERS)]
ITEM_IDS = [f'article-{n}-y' for n in range(ITEMS)]


def trained(data, seed, model='LightGCN', **config):
    made = getattr(models, model).from_graph(
        data, **{'dim': 16, 'num_layers': 1, 'seed': seed, **config}
    )
    fit(made, data, **FIT, seed=seed, patience=None, progress=False)
    return made


@pytest.fixture(scope='module')
def data():
    data = planted(USERS, ITEMS, num_interactions=1000, num_communities=3, modalities={}, seed=1)
    data['user'].id, data['item'].id = USER_IDS, ITEM_IDS
    return data


@pytest.fixture(scope='module')
def edit(data):
    edges = train_edges(data)
    chosen = torch.randperm(edges.size(1), generator=torch.Generator().manual_seed(0))[:70]
    pairs = edges[:, chosen].t().tolist()
    return unlearn.RemoveInteractions(tuple((USER_IDS[u], ITEM_IDS[i]) for u, i in pairs))


@pytest.fixture(scope='module')
def original(data):
    return trained(data, 0)


@pytest.fixture(scope='module')
def golds(data, edit):
    edited = edit.apply(data).data
    return [trained(edited, seed) for seed in range(1, 7)]


@pytest.fixture(scope='module')
def report(data, edit, original, golds):
    return unlearn.audit(original, golds[0], data=data, edit=edit, golds=golds[1:])


def test_gold_passes_its_own_audit(report):
    assert report.status == 'passed', str(report)
    assert all(check.passed is not False for check in report.checks)
    assert report.gold_self_check['golds'] == 5


def test_most_golds_are_within_the_bands_of_the_others(report):
    count = dict(report.gold_self_check)
    size = count.pop('golds')
    assert set(count) == {'recall@20', 'median_rank', 'score KS', 'membership AUC', 'all'}
    assert sum(count.values()) - count['all'] >= 0.85 * size * 4


def test_a_memorising_original_fails_though_the_graph_was_edited(data, edit, original, golds):
    kept = unlearn.forget(original, data, edit, method='edit_only').model
    found = unlearn.audit(original, kept, data=data, edit=edit, golds=golds)
    assert found.status == 'under_forgotten'
    assert found.membership.auc.side == 1
    assert all(check.passed is not False for check in found.checks)


def test_the_original_itself_fails_for_what_it_holds(data, edit, original, golds):
    found = unlearn.audit(original, original, data=data, edit=edit, golds=golds)
    assert found.status == 'failed'
    assert any('nothing changed' in reason for reason in found.verdict.reasons)
    assert any('residue: walk' in reason for reason in found.verdict.reasons)


def pushed_away(data, edit, model):
    """A gold whose parameters are fitted to its own scores, but for the forgotten pairs, which
    go below everything else."""
    pairs = edit.apply(data).forget.pairs
    model = copy.deepcopy(model)
    target = model.ranker()(torch.arange(USERS))
    target[pairs[0], pairs[1]] = target.min() - 1
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        z = model.forward()
        (z['user'] @ z['item'].t() - target).square().mean().backward()
        optimizer.step()
    return model


def test_over_forgetting_fails_two_sided(data, edit, original, golds):
    model = pushed_away(data, edit, golds[0])
    found = unlearn.audit(original, model, data=data, edit=edit, golds=golds[1:])
    assert found.status == 'over_forgotten'
    recall = next(m for m in found.completeness.ranking if m.name == 'recall@20')
    assert recall.unlearned < recall.gold
    assert found.membership.advantage > 0.3


def test_a_ruined_model_with_the_right_residue_is_a_loss(data, edit, original, golds):
    model = copy.deepcopy(golds[0])
    with torch.no_grad():
        model.embedding[:USERS] *= -1
    found = unlearn.audit(original, model, data=data, edit=edit, golds=golds[1:])
    assert found.status != 'passed'
    assert found.utility.equivalence[0].outcome == 'worse'


def test_nan_fails(data, edit, original, golds):
    model = copy.deepcopy(golds[0])
    model.ranker = lambda: lambda users: torch.full((users.numel(), ITEMS), float('inf'))
    found = unlearn.audit(original, model, data=data, edit=edit, golds=golds[1:])
    assert found.status == 'failed'
    assert any('not finite' in reason for reason in found.verdict.reasons)


def test_without_gold_nothing_passes(data, edit, original, golds):
    found = unlearn.audit(original=original, unlearned=golds[0], gold=None, data=data, edit=edit)
    assert found.status == 'not_measurable'
    assert 'at least 3 are needed' in found.verdict.not_measured[-1]
    assert found.membership.auc.unlearned is not None
    assert found.utility.quality[0].original is not None
    kept = unlearn.forget(original, data, edit, method='edit_only').model
    assert unlearn.audit(original, kept, data=data, edit=edit).status == 'under_forgotten'


def test_one_gold_gives_values_and_no_band(data, edit, original, golds):
    found = unlearn.audit(original, golds[0], golds[1], data, edit)
    assert found.completeness.distribution.unlearned is not None
    assert found.completeness.distribution.inside is None
    assert found.status == 'not_measurable'


def test_test_rows_are_the_same_for_all_models_and_agree_with_evaluate(data, edit, original, golds):
    result = edit.apply(data)
    case = make_case(data, result.data, result.forget)
    assert case.truth.size(1) == result.data[HOLDOUT_TEST].edge_index.size(1)
    for model in (original, golds[0]):
        _, served = ask(model, case)
        expected = evaluate(model, result.data, split='test', k=20)
        values = per_user_metrics(served.lists, case.truth, ITEMS)
        assert len(values['recall@20']) == expected.num_users
        for name in ('recall@20', 'ndcg@20'):
            assert float(values[name].mean()) == pytest.approx(expected[name])


def test_candidates_leave_out_removed_items_and_keep_forgotten_ones(data, original):
    edit = unlearn.RemoveItems(ITEM_IDS[3:5]) | unlearn.RemoveUsers(USER_IDS[:2])
    result = edit.apply(data)
    case = make_case(data, result.data, result.forget)
    _, served = ask(original, case)
    assert not torch.isin(served.lists, torch.tensor([3, 4])).any()
    assert case.users[0] == 2
    assert set(case.served[torch.isin(case.pairs[1], torch.tensor([3, 4]))].tolist()) == {False}
    assert not (case.truth[1] == 3).any()


def test_forgotten_pairs_are_not_masked(data, edit, original):
    result = edit.apply(data)
    case = make_case(data, result.data, result.forget)
    _, served = ask(original, case)
    row = {int(user): n for n, user in enumerate(case.users)}
    found = sum(int(i) in served.lists[row[int(u)]].tolist() for u, i in case.pairs.t())
    assert found > 0.5 * case.pairs.size(1)  # A model that remembers lists them again.


def test_non_members_are_held_out_positives_only(data, edit):
    result = edit.apply(data)
    case = make_case(data, result.data, result.forget)
    held = torch.cat(
        [data[t].edge_index for t in data.edge_types if t[1].startswith('holdout_')], 1
    )
    key = case.heldout[0] * ITEMS + case.heldout[1]
    assert torch.isin(key, held[0] * ITEMS + held[1]).all()
    assert not torch.isin(key, case.pairs[0] * ITEMS + case.pairs[1]).any()
    known = torch.cat([train_edges(data), held], 1)
    random = case.random[0] * ITEMS + case.random[1]
    assert not torch.isin(random, known[0] * ITEMS + known[1]).any()


@pytest.mark.parametrize(
    'edit',
    [unlearn.RemoveUsers(tuple(USER_IDS[3:9])), unlearn.RemoveItems(tuple(ITEM_IDS[3:5]))],
    ids=['users', 'items'],
)
def test_requests_for_nodes(data, original, edit):
    runs = [
        unlearn.forget(original, data, edit, method='gold', fit=FIT, seed=seed)
        for seed in range(1, 4)
    ]
    found = unlearn.audit(
        original,
        runs[0].model,
        data=data,
        edit=edit,
        golds=[run.model for run in runs[1:]],
        forget_report=runs[0].report,
        gold_reports=[run.report for run in runs[1:]],
    )
    assert found.status == 'not_measurable'  # Two golds are too few for a pass.
    assert {c.name: c.passed for c in found.checks}['removed rows']
    assert found.guarantee.startswith('class E')
    assert found.cost.speed_up > 0
    reset = unlearn.forget(original, data, edit, method='edit_only').model
    kept = copy.deepcopy(reset)
    with torch.no_grad():
        kept.embedding.copy_(original.embedding)
    failed = unlearn.audit(original, kept, data=data, edit=edit)
    assert failed.status == 'failed'
    assert any('removed rows' in reason for reason in failed.verdict.reasons)
    assert failed.membership.auc.unlearned > found.membership.auc.unlearned


def test_a_request_for_nothing(data, original):
    edit = unlearn.RemoveUsers(('nobody',))
    model = unlearn.forget(original, data, edit, method='edit_only').model
    found = unlearn.audit(original, copy.deepcopy(model), data=data, edit=edit)
    assert found.status in ('noop', 'failed')
    assert found.completeness is None
    json.loads(found.to_json())


def test_canaries(data):
    planted_data, pairs = unlearn.insert_canaries(data, 100, seed=0)
    edit = unlearn.RemoveInteractions(
        tuple((USER_IDS[u], ITEM_IDS[i]) for u, i in pairs.t().tolist())
    )
    before = trained(planted_data, 0)
    clean = trained(edit.apply(planted_data).data, 1)
    found = unlearn.audit(before, clean, data=planted_data, edit=edit, canaries=pairs)
    assert found.canaries.p_value > 0.001
    kept = unlearn.forget(before, planted_data, edit, method='edit_only').model
    remembered = unlearn.audit(before, kept, data=planted_data, edit=edit, canaries=pairs)
    assert remembered.canaries.p_value < found.canaries.p_value
    # Whatever the other attacks say of these pairs, the canaries tell.
    assert remembered.canaries.original < 0.001
    assert remembered.status == 'under_forgotten'
    assert any('canaries' in reason for reason in remembered.verdict.reasons)
    assert '| p < 0.001 | a trace, remembers |' in remembered.to_markdown()
    assert 'Nothing was found against the model' not in remembered.to_html()
    assert found.canaries.side == 0
    with_gold = unlearn.audit(before, kept, clean, data=planted_data, edit=edit, canaries=pairs)
    assert with_gold.canaries.golds == (found.canaries.p_value,)


def test_nothing_is_changed_and_the_same_seed_gives_the_same_report(data, edit, original, golds):
    before = {k: v.clone() for k, v in original.state_dict().items()}
    reports = [
        unlearn.audit(original, golds[0], data=data, edit=edit, golds=golds[1:4], seed=3).to_dict()
        for _ in range(2)
    ]
    for document in reports:
        document['run'].pop('audited_at')
    assert reports[0] == reports[1]
    assert all(torch.equal(before[k], v) for k, v in original.state_dict().items())


def test_no_raw_id_in_any_form_of_the_report(report):
    forms = [
        report.to_json(),
        str(report),
        report.to_markdown(),
        report.to_html(),
        repr(report.request),
    ]
    for text in forms:
        assert not re.search(r'customer-\d+|article-\d+', text)


def test_protected_groups_are_numbered_not_named(data, edit, original, golds):
    grouped = copy.copy(data)
    grouped['user'].community = torch.arange(USERS) % 2
    found = unlearn.audit(original, golds[0], data=grouped, edit=edit, groups='community')
    assert set(found.utility.groups) == {'community 1', 'community 2'}
    assert 'recall@20, community 2' in found.to_markdown()
    grouped['user'].street = torch.arange(USERS) % 12
    many = unlearn.audit(original, golds[0], data=grouped, edit=edit, groups='street')
    assert len(many.utility.groups) == 12
    assert not any('groups of users' in text for text in many.verdict.not_measured)
    grouped['user'].house = torch.arange(USERS)
    most = unlearn.audit(original, golds[0], data=grouped, edit=edit, groups='house')
    assert '10 groups of users beyond the first 50' in most.verdict.not_measured
    with pytest.raises(GraphError, match='groups'):
        unlearn.audit(original, golds[0], data=data, edit=edit, groups='religion')


def test_missing_arguments_and_other_sizes(data, edit, original):
    with pytest.raises(GraphError, match="'edit' is missing"):
        unlearn.audit(original, original, data=data)
    other = models.LightGCN.from_graph(planted(20, 20, modalities={}), dim=4)
    with pytest.raises(GraphError, match='num_users'):
        unlearn.audit(original, other, data=data, edit=edit)


def test_a_failed_run_is_failed(data, edit, original, golds):
    run = unlearn.forget(original, data, edit, method='edit_only')
    failed = dataclasses.replace(run.report, status='failed', reason='time limit')
    found = unlearn.audit(
        original, golds[0], data=data, edit=edit, golds=golds[1:], forget_report=failed
    )
    assert found.status == 'failed'
    assert any('time limit' in reason for reason in found.verdict.reasons)
