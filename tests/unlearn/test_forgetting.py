"""The one call: what it leaves alone, what it refuses, and how it says that it failed."""

import json
import math

import pytest
import torch

import graphrec
from graphrec import unlearn
from graphrec.models import LIRDRec
from graphrec.unlearn.methods import METHODS

QUICK = {'epochs': 2, 'batch_size': 512, 'lr': 1e-2, 'patience': None}
STEPS = {'steps': 3, 'check_every': 2}


def options_for(method):
    names = set(METHODS[method].options.__dataclass_fields__)
    return {key: value for key, value in STEPS.items() if key in names}


def state(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def run(learned, method='mmrecun', edit=None, **more):
    more.setdefault('fit', QUICK)
    return unlearn.forget(learned.model, learned.data, edit or learned.edit, method, **more)


@pytest.mark.parametrize('method', METHODS)
def test_every_method_leaves_its_input_alone_and_repeats_itself(learned, method):
    before = state(learned.model)
    digest = unlearn.graph_digest(learned.data)
    first = run(learned, method, seed=3, options=options_for(method))
    again = run(learned, method, seed=3, options=options_for(method))
    assert equal(state(learned.model), before)
    assert unlearn.graph_digest(learned.data) == digest
    assert equal(state(first.model), state(again.model))
    assert first.report.status in unlearn.report.STATUSES
    assert first.report.guarantee == METHODS[method].guarantee
    assert not first.model.training
    taken = {value.data_ptr() for value in learned.model.state_dict().values()}
    assert not taken & {value.data_ptr() for value in first.model.state_dict().values()}
    if METHODS[method].moves:
        assert first.report.update_norm > 0
        other = run(learned, method, seed=4, options=options_for(method))
        assert not equal(state(first.model), state(other.model))


@pytest.mark.parametrize('method', METHODS)
def test_nothing_to_forget_is_noop(learned, method):
    edit = unlearn.RemoveUsers([10**6])
    result = run(learned, method, edit, options=options_for(method))
    assert result.report.status == 'noop'
    assert equal(state(result.model), state(learned.model))


@pytest.mark.parametrize('method', ['auto', 'mmrecun'])
def test_the_second_time_is_noop(learned, method):
    first = run(learned, method)
    again = unlearn.forget(first.model, first.data, learned.edit, method, fit=QUICK)
    assert again.report.status == 'noop'
    assert equal(state(again.model), state(first.model))


def test_rows_of_removed_nodes_are_a_fresh_draw(learned):
    edit = unlearn.RemoveUsers([3, 17]) | unlearn.RemoveItems([5])
    users, rows = learned.model.num_users, [3, 17, learned.model.num_users + 5]
    kept = [row for row in range(users + learned.model.num_items) if row not in rows]
    result = run(learned, 'edit_only', edit)
    old, new = learned.model.embedding.detach(), result.model.embedding.detach()
    assert torch.equal(old[kept], new[kept])
    assert (old[rows] != new[rows]).all()
    # The spread of the initialiser, and neither zeros nor the first draw of the model.
    assert new[rows].std() == pytest.approx(learned.model.config.init_std, rel=0.3)
    first = graphrec.models.LightGCN.from_graph(learned.data, dim=32, num_layers=2)
    assert not torch.equal(new[rows], first.embedding.detach()[rows])
    # A repair leaves them at that draw.
    repaired = run(learned, 'finetune', edit, options={'steps': 4})
    assert torch.equal(repaired.model.embedding.detach()[rows], new[rows])
    assert not torch.equal(repaired.model.embedding.detach()[kept], new[kept])


def test_message_passing_is_over_the_edited_graph_in_every_step(learned, monkeypatch):
    digests = []
    cls = type(learned.model)
    for name in ('forward', 'loss', 'pair_scores'):
        original = getattr(cls, name)

        def spy(self, *args, original=original):
            adjacency = self.propagation.op
            kept = adjacency.row < self.num_users
            pairs = torch.stack([adjacency.row, adjacency.col.long() - self.num_users])[:, kept]
            digests.append(frozenset(map(tuple, pairs.t().tolist())))
            return original(self, *args)

        monkeypatch.setattr(cls, name, spy)
    edges = learned.edited.data['user', 'interacts', 'item'].edge_index
    wanted = frozenset(map(tuple, edges.t().tolist()))
    whole = frozenset(map(tuple, learned.data['user', 'interacts', 'item'].edge_index.t().tolist()))
    for method in ('mmrecun', 'heldout_match'):
        digests.clear()
        run(learned, method, options={'steps': 2})
        assert digests.count(wanted) > 4
        # The original is looked at for the figures before, on its own graph.
        assert set(digests) == {wanted, whole}
        assert digests.count(whole) == 2


def test_no_forgotten_pair_is_ever_a_positive(learned, monkeypatch):
    cls, seen = type(learned.model), []
    original = cls.loss

    def spy(self, batch):
        seen.append(torch.stack([batch.user, batch.pos]))
        return original(self, batch)

    monkeypatch.setattr(cls, 'loss', spy)
    run(learned, 'mmrecun', options={'steps': 12, 'stop': False})
    positives = {tuple(pair) for pair in torch.cat(seen, dim=1).t().tolist()}
    edges = learned.edited.data['user', 'interacts', 'item'].edge_index
    assert positives == {tuple(pair) for pair in edges.t().tolist()}


def test_alpha_0_is_finetuning_and_alpha_1_reads_no_retained_batch(learned, monkeypatch):
    plain = run(learned, 'finetune', options={'steps': 5, 'stop': False})
    zero = run(learned, 'mmrecun', options={'steps': 5, 'stop': False, 'forget_weight': 0.0})
    assert equal(state(plain.model), state(zero.model))

    def refuse(self, batch):
        raise AssertionError('a retained batch was drawn')

    monkeypatch.setattr(type(learned.model), 'loss', refuse)
    whole = run(learned, 'mmrecun', options={'steps': 5, 'stop': False, 'forget_weight': 1.0})
    assert whole.report.update_norm > 0


def test_all_pairs_of_a_user(learned):
    edges = learned.data['user', 'interacts', 'item'].edge_index
    own = edges[:, edges[0] == 7].t().tolist()
    edit = unlearn.RemoveInteractions(own)
    result = run(learned, 'mmrecun', edit, options={'steps': 3})
    assert torch.isfinite(result.model.embedding).all()
    assert torch.isfinite(result.model.score(torch.tensor([7]))).all()
    # What is left is a row like that of a user who was never there.
    gone = run(learned, 'edit_only', unlearn.RemoveUsers([7])).model.embedding[7]
    assert torch.equal(result.model.embedding[7], gone)


def test_a_long_run_without_stop_is_over_forgotten(learned):
    result = run(
        learned,
        'ascent_retain',
        options={'steps': 120, 'forget_weight': 0.5, 'stop': False, 'retain_weight': 0.1},
        fit=learned.fit,
    )
    assert result.report.status in ('over_forgotten', 'utility_loss')
    assert result.report.metrics['forget_auc']['after'] < 0.45


def test_the_stop_rule_ends_the_same_run_near_a_half(learned):
    result = run(
        learned,
        'ascent_retain',
        options={'steps': 120, 'check_every': 4, 'forget_weight': 0.5, 'retain_weight': 0.1},
        fit=learned.fit,
    )
    after = result.report.metrics['forget_auc']
    assert abs(after['after'] - 0.5) < abs(after['before'] - 0.5) / 4
    assert result.report.steps < 120


def test_what_is_not_finite_is_failed(learned, monkeypatch):
    monkeypatch.setattr(type(learned.model), 'loss', lambda self, batch: self.embedding.sum() / 0)
    result = run(learned, 'finetune', options={'steps': 2})
    assert result.report.status == 'failed'
    assert 'loss is' in result.report.reason


def test_a_run_that_changed_nothing_is_failed(learned):
    result = run(learned, 'finetune', options={'steps': 0})
    assert result.report.status == 'failed'
    assert 'no parameter changed' in result.report.reason
    spent = run(learned, 'mmrecun', options={'steps': 0})
    assert spent.report.status == 'failed'


def test_the_edit_alone_has_failed_where_no_score_changed(learned):
    model = graphrec.models.MF.from_graph(learned.data, dim=8)
    graphrec.fit(model, learned.data, progress=False, **QUICK)
    result = unlearn.forget(model, learned.data, learned.edit, 'edit_only', fit=QUICK)
    assert result.report.status == 'failed'
    assert result.report.reason == 'the graph alone was edited; no parameter changed'
    found = unlearn.audit(
        model, result.model, data=learned.data, edit=learned.edit, forget_report=result.report
    )
    assert found.status == 'failed'
    # Message passing over fewer edges is a change; so is the row of a removed user.
    assert run(learned, 'edit_only').report.status == 'under_forgotten'
    gone = unlearn.forget(model, learned.data, unlearn.RemoveUsers([3]), 'edit_only', fit=QUICK)
    assert gone.report.status == 'passed'


@pytest.mark.parametrize('method', ['grad_ascent', 'rrl', 'edit_only'])
def test_rows_that_were_drawn_anew_are_no_step(learned, method):
    result = run(learned, method, unlearn.RemoveUsers([3, 17]))
    report = result.report
    assert not torch.equal(result.model.embedding, learned.model.embedding)
    assert report.update_norm == 0
    assert report.steps == 0
    assert report.status == 'passed'
    assert 'only rows were drawn anew, no step was taken' in report.reason


def test_an_idle_repair_is_seen_beside_rows_that_were_drawn_anew(learned):
    edit = learned.edit | unlearn.RemoveUsers([3, 17])
    report = run(learned, 'mmrecun', edit, options={'steps': 0}).report
    assert report.status == 'failed'
    assert 'no parameter changed besides' in report.reason


def test_an_audit_knows_that_a_run_found_no_need_to_change(learned):
    model = graphrec.models.MF.from_graph(learned.data, dim=8)  # It has learned nothing yet.
    edges = learned.data['user', 'interacts', 'item'].edge_index
    lowest = model.pair_scores(*edges).argsort()
    for place in lowest.tolist():
        edit = unlearn.RemoveInteractions([tuple(edges[:, place].tolist())])
        result = unlearn.forget(model, learned.data, edit, fit=QUICK)
        if result.report.needless:
            break
    assert equal(state(result.model), state(model))
    more = {'data': learned.data, 'edit': edit}
    found = unlearn.audit(model, result.model, forget_report=result.report, **more)
    assert found.status == 'not_measurable'
    assert any('the run found no need' in text for text in found.limits)
    assert unlearn.audit(model, result.model, **more).status == 'failed'


def test_suppression_marks_and_does_not_forget(learned):
    edit = unlearn.RemoveUsers([3]) | unlearn.RemoveItems([5])
    result = run(learned, 'suppress', edit)
    assert equal(state(result.model), state(learned.model))
    assert result.report.guarantee == 'S'
    assert result.report.status == 'under_forgotten'
    assert result.data['item'].is_removed.nonzero().tolist() == [[5]]
    assert result.data['user'].is_removed.nonzero().tolist() == [[3]]
    assert 'is_removed' not in learned.data['item']
    served = result.model.score(torch.tensor([0]))
    torch.testing.assert_close(served, learned.model.score(torch.tensor([0])))


def test_gold_is_training_on_the_edited_graph(learned):
    result = run(learned, 'gold', seed=2)
    config = {'dim': 32, 'num_layers': 2, 'reg': 1e-5, 'seed': 2}
    model = graphrec.models.LightGCN.from_graph(learned.edited.data, **config)
    graphrec.fit(model, learned.edited.data, progress=False, seed=2, **QUICK)
    assert equal(state(result.model), state(model))
    assert result.report.status == 'passed'
    assert result.report.guarantee == 'E'


@pytest.mark.parametrize('name', ['Popularity', 'ItemKNN', 'EASE'])
def test_closed_forms_are_built_anew(learned, name):
    model = getattr(graphrec.models, name).from_graph(learned.data)
    result = unlearn.forget(model, learned.data, learned.edit, 'mmrecun')
    rebuilt = getattr(graphrec.models, name).from_graph(learned.edited.data)
    users = torch.arange(20)
    torch.testing.assert_close(result.model.score(users), rebuilt.score(users))
    assert result.report.guarantee == 'E'
    assert result.report.status == 'passed'


def test_few_pairs_are_not_measurable(learned):
    edges = learned.data['user', 'interacts', 'item'].edge_index[:, :2].t().tolist()
    result = run(learned, 'heldout_match', unlearn.RemoveInteractions(edges), options=STEPS)
    assert result.report.status == 'not_measurable'
    assert 'forget_auc' not in result.report.metrics


def test_evaluation_repeats_itself(learned):
    result = run(learned, 'mmrecun', options=STEPS)
    users = torch.arange(10)
    assert torch.equal(result.model.score(users), result.model.score(users))
    assert torch.equal(
        result.model.score(users), result.model.train().score(users)
    )  # Serving does not see the mode.


def test_the_report_is_plain_and_names_no_node(learned):
    report = run(learned, 'mmrecun', options=STEPS).report
    document = json.loads(report.to_json())
    assert document['digests']['before'] != document['digests']['after']
    assert document['counts']['pairs'] == learned.edited.forget.pairs.size(1)
    assert document['settings']['options']['forget_weight'] == 0.01
    assert report.seconds['repair'] > 0
    text = str(report)
    assert report.status in text
    assert 'forget_auc' in text
    report.metrics['forget_auc']['after'] = math.nan
    assert json.loads(report.to_json())['metrics']['forget_auc']['after'] is None


def test_reports_of_earlier_versions_are_read(learned):
    report = run(learned, 'edit_only').report
    document = report.to_dict()
    for name in ('received_at', 'unlearned_at', 'needless'):
        assert document.pop(name) is not None
    old = unlearn.ForgetReport(**document)
    assert (old.received_at, old.unlearned_at, old.needless) == (None, None, False)
    assert old.status == report.status


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        ({'method': 'amnesia'}, 'there is no method'),
        ({'options': {'alpha': 1}}, "no option 'alpha'"),
        ({'options': 3}, 'must be a MMRecUnOptions'),
        ({'options': {'forget_weight': 2.0}}, 'forget_weight'),
        ({'options': {'retain_weight': -1.0}}, 'retain_weight'),
        ({'method': 'ascent_retain', 'options': {'retain_weight': -1.0}}, 'retain_weight'),
        ({'method': 'distil', 'options': {'forget_weight': -1.0}}, 'forget_weight'),
        ({'options': {'steps': -1}}, 'steps'),
        ({'options': {'check_every': 0}}, 'check_every'),
        ({'options': {'hops': -1}}, 'hops'),
        ({'options': {'trainable': 'some'}}, 'trainable'),
        ({'options': {'lr': 0.0}}, 'lr'),
        ({'options': {'lr_relative': 0.0}}, 'lr_relative'),
        ({'options': {'shared_scale': -0.1}}, 'shared_scale'),
        ({'fit': {'sampler': None}}, "'fit' has 'sampler'"),
        ({'method': 'auto', 'options': {'steps': 1}}, "'auto' has no option"),
    ],
)
def test_bad_input_is_named(learned, more, message):
    with pytest.raises(graphrec.GraphError, match=message):
        run(learned, more.pop('method', 'mmrecun'), **more)


@pytest.mark.parametrize('method', ['auto', 'edit_only', 'gold', 'mmrecun'])
@pytest.mark.parametrize('kind', ['users', 'items', 'training interactions', 'users and items'])
def test_an_edit_that_leaves_nothing_is_refused(learned, method, kind):
    pairs = learned.data['user', 'interacts', 'item'].edge_index.t().tolist()
    users, items = unlearn.RemoveUsers(range(150)), unlearn.RemoveItems(range(120))
    every = {
        'users': users,
        'items': items,
        'training interactions': unlearn.RemoveInteractions(pairs),
        'users and items': users | items,
    }
    with pytest.raises(graphrec.GraphError, match=f"'edit' takes all {kind}: nothing is left"):
        run(learned, method, every[kind])
    if method == 'edit_only':
        with pytest.raises(graphrec.GraphError, match=f"'edit' takes all {kind}"):
            unlearn.audit(learned.model, learned.model, data=learned.data, edit=every[kind])


def test_few_items_are_left(learned):
    edit = unlearn.RemoveItems(range(9, 120))
    result = run(learned, 'edit_only', edit)
    assert 'valid_recall@9' in result.report.metrics
    unlearn.audit(learned.model, result.model, data=learned.data, edit=edit)


def test_retrained_models_of_another_graph_are_refused(learned):
    with pytest.raises(graphrec.GraphError, match="'golds' was built for other training edges"):
        run(learned, golds=[learned.model] * 3)


def test_touched_rows_alone_move(learned):
    edges = learned.data['user', 'interacts', 'item'].edge_index[:, :40].t().tolist()
    result = run(
        learned,
        'mmrecun',
        unlearn.RemoveInteractions(edges),
        options={'steps': 3, 'trainable': 'touched', 'hops': 0},
    )
    moved = (result.model.embedding != learned.model.embedding).any(1).nonzero().squeeze(1)
    users = learned.model.num_users
    touched = {pair[0] for pair in edges} | {pair[1] + users for pair in edges}
    assert set(moved.tolist()) == touched


def test_the_rate_as_a_share_of_the_rows(learned):
    size = learned.model.embedding.detach().double().square().mean().sqrt()
    share = run(learned, 'finetune', options={'steps': 1, 'lr_relative': 0.05})
    step = (share.model.embedding - learned.model.embedding).detach().abs()
    # The first step of Adam moves every number that has a gradient by the rate itself.
    assert float(step.max()) == pytest.approx(0.05 * float(size), rel=1e-3)
    assert float(step.median()) == pytest.approx(0.05 * float(size), rel=1e-3)
    plain = run(learned, 'finetune', options={'steps': 1, 'lr_relative': 0.05, 'lr': 1e-3})
    assert float((plain.model.embedding - learned.model.embedding).detach().abs().max()) < 2e-3


@pytest.mark.parametrize('factor', [1.0, 0.1, 0.0])
def test_parameters_without_rows_have_a_rate_of_their_own(factor):
    data = graphrec.datasets.planted(40, 30, num_interactions=300, num_communities=2, seed=0)
    model = LIRDRec.from_graph(data, dim=8)
    pairs = data['user', 'interacts', 'item'].edge_index[:, :9].t().tolist()
    result = unlearn.forget(
        model,
        data,
        unlearn.RemoveInteractions(pairs),
        'finetune',
        options={'steps': 1, 'lr': 1e-3, 'shared_scale': factor},
    )
    before = dict(model.named_parameters())
    moved = {
        name: (parameter - before[name]).detach().abs()
        for name, parameter in result.model.named_parameters()
    }
    # The median: a user that is left with nothing has a row that was drawn anew.
    assert float(moved['user'].median()) == pytest.approx(1e-3, rel=1e-2)
    shared = [float(step.max()) for name, step in moved.items() if name not in model.node_rows()]
    assert max(shared) == pytest.approx(1e-3 * factor, rel=1e-2)
