import pytest
import torch

import graphrec
from graphrec import unlearn
from graphrec.unlearn.stream import drift, forget_stream

FIT = {'epochs': 20, 'batch_size': 512, 'lr': 1e-2, 'patience': None}


@pytest.fixture(scope='module')
def requests(learned):
    pairs = learned.data['user', 'interacts', 'item'].edge_index[:, ::60].t().tolist()
    edits = [unlearn.RemoveInteractions(pairs[start : start + 4]) for start in range(0, 24, 4)]
    return [*edits, unlearn.RemoveUsers([11])]


def run(learned, requests, **more):
    return forget_stream(
        learned.model, learned.data, requests, method='finetune', fit=FIT,
        options={'steps': 2}, **more,
    )  # fmt: skip


def test_one_by_one_and_batched_end_at_one_graph(learned, requests):
    one, three = run(learned, requests), run(learned, requests, batch=3)
    union = requests[0]
    for edit in requests[1:]:
        union = union | edit
    wanted = unlearn.graph_digest(union.apply(learned.data).data)
    assert unlearn.graph_digest(one.data) == unlearn.graph_digest(three.data) == wanted
    assert one.history['requests'].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert three.history['requests'].tolist() == [3, 6, 7]
    assert three.history['batch'].tolist() == [3, 3, 1]
    assert (one.history['seconds'] > 0).all()
    assert three.history['steps'].tolist() == [2, 2, 2]
    assert [report.counts['users'] for report in one.reports] == [0] * 6 + [1]


def test_the_model_is_carried_on(learned, requests):
    stream = run(learned, requests[:2])
    first = unlearn.forget(
        learned.model, learned.data, requests[0], 'finetune', fit=FIT, options={'steps': 2}
    )
    second = unlearn.forget(
        first.model, first.data, requests[1], 'finetune', fit=FIT, options={'steps': 2}, seed=1
    )
    assert torch.equal(stream.model.embedding, second.model.embedding)


def test_drift_by_hand(learned):
    users = torch.arange(20)
    assert drift(learned.model, learned.model, users) == 0
    other = graphrec.models.LightGCN.from_graph(learned.data, dim=32, num_layers=2, seed=9)
    first = learned.model.score(users).topk(5, dim=1).indices
    second = other.score(users).topk(5, dim=1).indices
    overlaps = []
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        overlaps.append(len(set(a) & set(b)) / len(set(a) | set(b)))
    assert drift(learned.model, other, users, k=5) == pytest.approx(1 - sum(overlaps) / 20)


def test_drift_grows_and_gold_is_looked_at(learned, requests):
    result = run(learned, requests, golds={7: learned.model, 2: learned.model})
    history = result.history
    assert history['drift'].iloc[-1] >= history['drift'].iloc[0]
    assert history['gold_drift'].notna().tolist() == [False, True] + [False] * 4 + [True]
    assert history['gold_drift'].iloc[-1] == history['drift'].iloc[-1]


def test_bad_input(learned):
    with pytest.raises(graphrec.GraphError, match='edits'):
        run(learned, [])
    with pytest.raises(graphrec.GraphError, match='batch'):
        run(learned, [learned.edit], batch=0)
