"""The signs, and who may be whose negative."""

import pytest
import torch

from graphrec import unlearn
from graphrec.datasets import planted
from graphrec.models import MF
from graphrec.unlearn.objectives import ForgetSampler, ascent, forward_bpr, margins, reverse_bpr


@pytest.mark.parametrize('d', [-3.0, -0.2, 0.0, 0.7, 4.0])
def test_gradients_of_the_terms(d):
    sigmoid = 1 / (1 + torch.exp(torch.tensor(-d, dtype=torch.float64)))
    for term, slope in (
        (forward_bpr, -(1 - sigmoid)),
        (reverse_bpr, sigmoid),
        (ascent, 1 - sigmoid),
    ):
        margin = torch.tensor([d], dtype=torch.float64, requires_grad=True)
        (grad,) = torch.autograd.grad(term(margin), margin)
        assert float(grad) == pytest.approx(float(slope), abs=1e-12)


def test_gradient_of_reverse_bpr_at_zero_is_a_half():
    margin = torch.zeros(1, requires_grad=True)
    assert float(torch.autograd.grad(reverse_bpr(margin), margin)[0]) == 0.5


@pytest.mark.parametrize(('term', 'direction'), [(reverse_bpr, -1), (forward_bpr, 1), (ascent, -1)])
def test_one_step_moves_a_pair_the_right_way(task, term, direction):
    batch = next(ForgetSampler(task, 1).batches(torch.Generator().manual_seed(0)))
    before = margins(task.model, batch)
    optimizer = torch.optim.SGD(task.model.parameters(), lr=1e-2)
    term(before).backward()
    optimizer.step()
    after = margins(task.model, batch)
    assert direction * float((after - before).detach()) > 0


def test_negatives_are_neither_retained_nor_forgotten(task):
    known = task.original_data['user', 'interacts', 'item'].edge_index
    known = {tuple(pair) for pair in known.t().tolist()}
    forgotten = {tuple(pair) for pair in task.forget.pairs.t().tolist()}
    sampler = ForgetSampler(task, 64)
    generator = torch.Generator().manual_seed(1)
    seen = set()
    for _, batch in zip(range(30), sampler.batches(generator), strict=False):
        seen |= set(zip(batch.user.tolist(), batch.pos.tolist(), strict=True))
        drawn = set(zip(batch.user.tolist(), batch.neg.tolist(), strict=True))
        assert not drawn & known
    assert seen == forgotten


def test_negatives_of_a_user_with_nearly_every_item(make_task):
    data = planted(6, 5, num_interactions=12, num_communities=1, modalities={}, seed=0)
    users, items = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3], [0, 1, 2, 3, 0, 1, 2, 3, 4, 0, 3, 2]
    edges = torch.tensor([users, items])
    data['user', 'interacts', 'item'].edge_index = edges
    for key in ('time', 'is_noise'):
        del data['user', 'interacts', 'item'][key]
    for split in ('valid', 'test'):
        if ('user', f'holdout_{split}', 'item') in data.edge_types:
            del data['user', f'holdout_{split}', 'item']
    edit = unlearn.RemoveInteractions([(0, 1), (1, 1), (2, 0), (3, 2)])
    task = make_task(MF.from_graph(data, dim=4), data, edit)
    sampler = ForgetSampler(task, 10)
    assert sampler.pairs.t().tolist() == [[0, 1], [2, 0]]
    # User 1 has no negative, user 3 has nothing left to learn from.
    batch = next(sampler.batches(torch.Generator().manual_seed(0)))
    assert batch.neg[batch.user == 0].tolist() == [4]
