import torch

from graphrec import unlearn
from graphrec.graphs.sampling import BPRBatch
from graphrec.unlearn.objectives import forward_bpr, margins
from graphrec.unlearn.relearning import relearning, relearning_steps


def test_what_is_still_known_is_known_sooner(learned, gold_result):
    pairs = learned.edited.forget.pairs
    negatives = (pairs[1] + 7) % 120
    edited = unlearn.forget(learned.model, learned.data, learned.edit, 'edit_only').model
    before = {name: value.clone() for name, value in edited.state_dict().items()}
    more = {'lr': 1e-2, 'most': 40}
    found = relearning(learned.model, edited, [gold_result.model], pairs, negatives, **more)
    assert 0 < found.unlearned < found.golds[0]
    assert found.golds[0] <= 40
    assert found.side == 0  # One gold has no band.
    for name, value in edited.state_dict().items():
        assert torch.equal(value, before[name])


def test_steps_by_hand(learned):
    pairs = learned.edited.forget.pairs[:, :50]
    batch = BPRBatch(pairs[0], pairs[1], (pairs[1] + 7) % 120)
    level = float(forward_bpr(margins(learned.model, batch)).detach())
    assert relearning_steps(learned.model, batch, level) == 0
    assert relearning_steps(learned.model, batch, 0.0, most=3) == 3
    one = relearning_steps(learned.model, batch, level * 0.9, lr=1e-2)
    assert one < relearning_steps(learned.model, batch, level * 0.6, lr=1e-2)


def test_pairs_without_a_negative_are_left_out(learned):
    pairs = learned.edited.forget.pairs
    none = torch.full((pairs.size(1),), -1)
    assert relearning(learned.model, learned.model, [], pairs, none) is None
