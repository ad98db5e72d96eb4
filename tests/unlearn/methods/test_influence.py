import dataclasses

import pytest
import torch

import graphrec
from graphrec import unlearn
from graphrec.unlearn.methods.ifru import IFRUOptions, row_mask
from graphrec.unlearn.methods.influence import (
    InfluenceOptions,
    forgotten_gradient,
    gradient_of,
    original_on,
    trained,
)
from graphrec.unlearn.objectives import ForgetSampler


class Ridge(graphrec.models.Recommender):
    r"""Ridge regression of a user's targets on fixed features of items, one weight vector a user:
    a quadratic loss, whose solution with and without a pair is known."""

    @dataclasses.dataclass(frozen=True)
    class Config:
        seed: int = 0

    config_class = Config

    def __init__(self, data, config):
        super().__init__(data, config)
        draw = torch.Generator().manual_seed(config.seed)
        self.register_buffer('x', torch.randn(self.num_items, 4, generator=draw))
        self.register_buffer('y', torch.randn(self.num_users, self.num_items, generator=draw))
        self.weight = torch.nn.Parameter(torch.zeros(self.num_users, 4))
        self.refresh(data)

    def reset_parameters(self):
        torch.nn.init.zeros_(self.weight)

    def node_rows(self):
        return {'weight': ('user',), 'x': ('item',), 'y': ('user',)}

    def forward(self):
        return {'user': self.weight, 'item': self.x}

    def loss(self, batch):
        error = (self.weight[batch.user] * self.x[batch.pos]).sum(1) - self.y[batch.user, batch.pos]
        return 0.5 * error.square().mean()

    def solution(self, pairs, ridge):
        """The weights that minimise the summed loss over pairs plus the ridge."""
        rows = []
        for user in range(self.num_users):
            item = pairs[1][pairs[0] == user]
            x, y = self.x[item].double(), self.y[user, item].double()
            rows.append(torch.linalg.solve(x.t() @ x + ridge * torch.eye(4).double(), x.t() @ y))
        return torch.stack(rows).float()


@pytest.mark.parametrize('method', ['influence', 'ifru'])
@pytest.mark.parametrize('ridge', [0.5, 5.0])
def test_the_step_is_that_of_the_closed_form(learned, method, ridge):
    """On a quadratic loss one step leads from the solution with the forgotten pairs to that
    without them, in its length as well."""
    data = learned.data
    model = Ridge.from_graph(data)
    pairs = data['user', 'interacts', 'item'].edge_index
    left = learned.edited.data['user', 'interacts', 'item'].edge_index
    with torch.no_grad():
        model.weight.copy_(model.solution(pairs, ridge))
    result = unlearn.forget(
        model,
        data,
        learned.edit,
        method,
        fit={'batch_size': pairs.size(1)},
        options={'damping': ridge, 'batches': 1, 'iterations': 100, 'tolerance': 1e-6},
    )
    wanted = model.solution(left, ridge) - model.weight.detach()
    moved = (result.model.weight - model.weight).detach()
    assert float(wanted.norm()) > 0.5
    assert float((moved - wanted).norm()) < 5e-3 * float(wanted.norm())


def run(learned, method, edit=None, **options):
    return unlearn.forget(
        learned.model, learned.data, edit or learned.edit, method, fit=learned.fit, options=options
    )


@pytest.mark.parametrize('method', ['influence', 'ifru'])
def test_a_step_lowers_what_is_forgotten_and_damping_undoes_it(learned, method):
    result = run(learned, method)
    edited = run(learned, 'edit_only')
    auc = result.report.metrics['forget_auc']
    assert auc['after'] < edited.report.metrics['forget_auc']['after']
    still = run(learned, method, damping=1e12)
    assert still.report.update_norm < 1e-6 * result.report.update_norm


def test_the_sum_of_gradients_is_that_of_single_pairs(task):
    model = original_on(task, task.original_data)
    task.fit['batch_size'] = 50
    whole = forgotten_gradient(task, model)
    batches = ForgetSampler(task, 50, task.forget.pairs).one_pass(task.generator('forgotten'))
    assert len(batches) > 3
    wanted = 0
    for batch in batches:
        (grad,) = torch.autograd.grad(model.loss(batch), [model.embedding])
        wanted = wanted + grad * batch.user.numel()
    torch.testing.assert_close(whole.view_as(wanted), wanted, rtol=1e-4, atol=1e-6)


def test_gradients_are_a_function_of_the_parameters_alone(learned, make_task):
    """Models that draw noise draw the same, and keep nothing of an evaluation."""
    for name in ('SimGCL', 'SGL', 'BUIR', 'LIRDRec'):
        model = getattr(graphrec.models, name).from_graph(learned.data, dim=8)
        task = make_task(model, learned.data, learned.edit)
        batches = [next(task.retain_batches())]
        buffers = {key: value.clone() for key, value in task.model.named_buffers()}
        gradient = gradient_of(task, task.model, batches)
        assert torch.equal(gradient(), gradient()), name
        for key, value in task.model.named_buffers():
            assert torch.equal(value, buffers[key]), (name, key)


def test_ifru_moves_touched_rows_alone(learned):
    edges = learned.data['user', 'interacts', 'item'].edge_index[:, :25].t().tolist()
    edit = unlearn.RemoveInteractions(edges)
    result = run(learned, 'ifru', edit, hops=0)
    moved = (result.model.embedding != learned.model.embedding).any(1).nonzero().squeeze(1)
    users = learned.model.num_users
    touched = {pair[0] for pair in edges} | {pair[1] + users for pair in edges}
    assert set(moved.tolist()) == touched
    pruned = run(learned, 'ifru', edit, hops=0, keep=0.5)
    fewer = (pruned.model.embedding != learned.model.embedding).any(1).sum()
    assert int(fewer) == len(touched) // 2


def test_pruning_keeps_the_largest_gradients(task):
    right = torch.rand(sum(p.numel() for p in trained(task.model)))
    mask = row_mask(task, right, IFRUOptions(hops=0, keep=0.1)).view_as(task.model.embedding)
    size = right.view_as(task.model.embedding).norm(dim=1)
    kept = mask.any(1)
    touched = row_mask(task, right, IFRUOptions(hops=0)).view_as(task.model.embedding).any(1)
    assert size[kept].min() >= size[touched & ~kept].max()


def test_spillover_counts(learned):
    with_it = run(learned, 'ifru')
    without = run(learned, 'ifru', spillover=0)
    assert not torch.equal(with_it.model.embedding, without.model.embedding)


@pytest.mark.parametrize(
    ('options', 'cls', 'message'),
    [
        ({'damping': -1.0}, InfluenceOptions, 'damping'),
        ({'iterations': 0}, InfluenceOptions, 'iterations'),
        ({'keep': 0.0}, IFRUOptions, 'keep'),
        ({'hops': -1}, IFRUOptions, 'hops'),
    ],
)
def test_bad_options(options, cls, message):
    with pytest.raises(graphrec.GraphError, match=message):
        cls(**options)
