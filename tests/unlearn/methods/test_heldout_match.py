import pytest
import torch

import graphrec
from graphrec import unlearn
from graphrec.graphs.schema import HOLDOUT_VALID
from graphrec.unlearn.methods.heldout_match import (
    HeldoutMatchOptions,
    Targets,
    _Matching,
    heldout_match,
    matched_quantiles,
)
from graphrec.unlearn.standardised import user_scores
from graphrec.unlearn.teacher import Distillation, Teacher


def test_quantiles_are_those_of_the_reference():
    z = torch.tensor([5.0, 1.0, 3.0])
    reference = torch.tensor([0.0, 10.0, 20.0, 30.0, 40.0, 50.0])
    target = matched_quantiles(z, reference, torch.ones(6))
    # Quantiles 1/6, 1/2 and 5/6 of a sample whose points stand at 1/12, 3/12, ...
    assert target.tolist() == pytest.approx([45, 5, 25], abs=1e-4)
    assert matched_quantiles(z, torch.tensor([7.0]), torch.ones(1)).tolist() == [7, 7, 7]


def test_quantiles_follow_the_weights():
    z, reference = torch.linspace(0, 1, 1001), torch.tensor([0.0, 1.0])
    even = matched_quantiles(z, reference, torch.tensor([1.0, 1.0]))
    heavy = matched_quantiles(z, reference, torch.tensor([1.0, 3.0]))
    assert float(even.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(heavy.mean()) > 0.6


def test_the_matching_term_equals_standardised_scores(task):
    with torch.no_grad():
        z = task.model.forward()
    term = _Matching(task, Targets(task, Teacher.of(task)))
    term.look(z)
    term.target.zero_()
    index = torch.arange(task.served.size(1))
    wanted = user_scores(task.model.ranker(), task.data, task.served).z.square().mean()
    assert float(term(z, index)) == pytest.approx(float(wanted), rel=1e-4)


def test_distillation_leaves_forgotten_pairs_and_removed_nodes_out(learned, make_task):
    edit = learned.edit | unlearn.RemoveUsers([3]) | unlearn.RemoveItems([5])
    task = make_task(learned.model, learned.data, edit, learned.fit)
    teacher = Teacher.of(task)
    held = Distillation(task, teacher, users=10**6)
    user, item = teacher.user.clone(), teacher.item.clone()
    assert float(held({'user': user, 'item': item})) == 0
    one = torch.zeros(150, 120, dtype=torch.bool)
    one[task.served[0], task.served[1]] = True
    one[3], one[:, 5] = True, True
    moved = user + torch.randn(user.shape, generator=torch.Generator().manual_seed(0))
    kept = torch.arange(120) != 5
    spread = (user @ item.t())[:, kept].std(1, correction=0, keepdim=True)
    gap = ((moved - user) @ item.t() / spread).square()
    wanted = gap[~one].mean()
    assert float(held({'user': moved, 'item': item})) == pytest.approx(float(wanted), rel=1e-4)


def test_emphasis_weighs_the_top_of_the_scores(task):
    teacher = Teacher.of(task)
    moved = teacher.user + torch.randn(teacher.user.shape, generator=torch.manual_seed(0))
    held = Distillation(task, teacher, users=10**6, emphasis=0.7)
    taught = teacher.user @ teacher.item.t()
    spread = taught.std(1, correction=0, keepdim=True)
    weight = 1 + 0.7 * ((taught - taught.mean(1, keepdim=True)) / spread).clamp(min=0).square()
    weight[task.served[0], task.served[1]] = 0
    gap = ((moved - teacher.user) @ teacher.item.t() / spread).square()
    wanted = (weight * gap).sum() / weight.sum()
    found = float(held({'user': moved, 'item': teacher.item}))
    assert found == pytest.approx(float(wanted), rel=1e-4)


def test_distillation_knows_no_scale(task):
    teacher = Teacher.of(task)
    user = teacher.user + torch.randn(teacher.user.shape, generator=torch.manual_seed(0))
    small = Distillation(task, teacher, users=10**6)
    large = Distillation(task, Teacher(4 * teacher.user, 2 * teacher.item), users=10**6)
    wanted = float(small({'user': user, 'item': teacher.item}))
    found = float(large({'user': 4 * user, 'item': 2 * teacher.item}))
    assert found == pytest.approx(wanted, rel=1e-4)


def test_a_user_whose_scores_are_all_alike_has_no_spread(task):
    teacher = Teacher(torch.zeros(3, 4), torch.randn(5, 4, generator=torch.manual_seed(0)))
    assert teacher.spread(torch.ones(5, dtype=torch.bool)).tolist() == [1.0, 1.0, 1.0]
    alike = Teacher(torch.ones(2, 4), torch.full((5, 4), 0.3))
    assert alike.spread(torch.ones(5, dtype=torch.bool)).tolist() == [1.0, 1.0]


def test_it_reaches_the_level_of_held_out_pairs_and_keeps_the_rest(learned, gold_result):
    result = unlearn.forget(
        learned.model,
        learned.data,
        learned.edit,
        'heldout_match',
        fit=learned.fit,
        options={'steps': 150, 'forget_weight': 2.0},
    )
    after = result.report.metrics['forget_auc']['after']
    before = result.report.metrics['forget_auc']['before']
    gold = gold_result.report.metrics['forget_auc']['after']
    assert before > 0.9
    assert abs(gold - 0.5) < 0.05
    assert abs(after - 0.5) < 0.1
    recall = result.report.metrics['valid_recall@20']
    assert recall['after'] > 0.95 * recall['before']


def test_the_multiplier_waits_then_adds_up_the_mean_gap(task):
    with torch.no_grad():
        z = task.model.forward()
    targets = Targets(task, Teacher.of(task))
    plain, moved = _Matching(task, targets), _Matching(task, targets, 0.5)
    plain.look(z)
    gap = float((user_scores(task.model.ranker(), task.data, task.served).z - plain.target).mean())
    assert gap > 0.1
    for shift in (0, 0, 0.5, 1):
        moved.look(z)
        wanted = float((plain.target - moved.target).mean())
        assert wanted == pytest.approx(shift * gap, rel=1e-4, abs=1e-5)


def test_the_multiplier_brings_scores_to_the_mean_of_their_targets(learned, make_task):
    def gap(multiplier):
        task = make_task(learned.model, learned.data, learned.edit, learned.fit)
        targets = Targets(task, Teacher.of(task))
        options = HeldoutMatchOptions(
            steps=150, retain_weight=0, decay=True, stop=False, multiplier=multiplier
        )
        ranker = heldout_match(task, options).model.ranker()
        held = user_scores(ranker, task.data, targets.reference).z
        return float((user_scores(ranker, task.data, task.served).z - targets(held)).mean())

    assert abs(gap(0.5)) < gap(0.0) / 2


def test_without_validation_it_says_what_is_missing(learned):
    data = learned.data.clone()
    del data[HOLDOUT_VALID]
    with pytest.raises(graphrec.GraphError, match='validation'):
        unlearn.forget(learned.model, data, learned.edit, 'heldout_match', fit=learned.fit)


def test_marginal_targets_keep_the_order(task):
    teacher = Teacher.of(task)
    held = user_scores(teacher.ranker(), task.data, task.monitor.reference).z
    target = Targets(task, teacher, 'marginal')(held)
    z = user_scores(teacher.ranker(), task.data, task.served).z
    order = z.argsort()
    assert (target[order].diff() >= 0).all()


def test_no_target_is_above_the_score(task):
    teacher = Teacher.of(task)
    z = user_scores(teacher.ranker(), task.data, task.served).z
    held = user_scores(teacher.ranker(), task.data, task.monitor.reference).z
    for kind in ('conditional', 'marginal'):
        target = Targets(task, teacher, kind)(held)
        assert (target <= z).all()
        assert float(target.mean()) < float(z.mean()) - 0.1


def test_an_unknown_target_is_refused():
    with pytest.raises(graphrec.GraphError, match='target'):
        HeldoutMatchOptions(target='mean')


def test_targets_follow_the_level_of_held_out_pairs(task):
    teacher = Teacher.of(task)
    held = user_scores(teacher.ranker(), task.data, task.monitor.reference).z
    targets = Targets(task, teacher)
    lower = targets(held - 0.5)
    assert torch.allclose(lower, targets(held) - 0.5, atol=0.3)
    assert float((targets(held) - lower).mean()) > 0.3


def test_a_pair_that_scores_low_enough_needs_no_repair(learned):
    model = graphrec.models.LightGCN.from_graph(learned.data, dim=8)  # It has learned nothing yet.
    edges = learned.data['user', 'interacts', 'item'].edge_index
    z = user_scores(model.ranker(), learned.data, edges).z

    def run(place, method, **more):
        edit = unlearn.RemoveInteractions([tuple(edges[:, place].tolist())])
        return unlearn.forget(model, learned.data, edit, method, fit=learned.fit, **more).report

    report = run(z.argmin(), 'auto')
    assert report.update_norm == 0
    assert report.steps == 0
    assert report.status == 'not_measurable'
    assert 'already scores like held-out pairs' in report.reason
    assert run(z.argmax(), 'auto').update_norm > 0
    assert run(z.argmin(), 'heldout_match', options={'steps': 0}).status == 'failed'
