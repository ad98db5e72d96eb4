"""Nothing but the rows of removed nodes goes, and an audit gets them back."""

import pytest
import torch

import graphrec
from graphrec import models, unlearn
from graphrec.unlearn.compact_model import compact_model, expanded_model
from graphrec.unlearn.compacting import compacted

USERS, ITEMS = (3, 17), (5, 30)


@pytest.fixture(scope='module')
def small():
    return graphrec.datasets.planted(41, 37, num_interactions=600, num_communities=3, seed=1)


EDIT = unlearn.RemoveUsers(USERS) | unlearn.RemoveItems(ITEMS)


@pytest.mark.parametrize(
    ('name', 'config'),
    [
        ('MF', {'dim': 4}),
        ('LightGCN', {'dim': 4}),
        ('BUIR', {'dim': 4}),
        ('LIRDRec', {'dim': 4}),
        ('VBPR', {'dim': 4, 'biases': True, 'freeze_features': False}),
        ('EASE', {}),
    ],
)
def test_the_others_keep_their_scores(small, name, config):
    model = getattr(models, name).from_graph(small, **config)
    whole = unlearn.forget(model, small, EDIT, 'edit_only')
    result = unlearn.forget(model, small, EDIT, 'edit_only', compact=True)
    users = [n for n in range(41) if n not in USERS]
    items = [n for n in range(37) if n not in ITEMS]
    assert (result.model.num_users, result.model.num_items) == (39, 35)
    expected = whole.model.score(torch.tensor(users))[:, items]
    torch.testing.assert_close(result.model.score(torch.arange(39)), expected)
    assert result.data['user'].num_nodes == 39
    assert not set(result.data['item'].id.tolist()) & set(ITEMS)
    graphrec.recommend(result.model, result.data, k=3)
    digests = [unlearn.graph_digest(graph) for graph in (whole.data, result.data)]
    assert digests[0] == digests[1]


def test_there_and_back(small):
    edited = EDIT.apply(small)
    model = models.LightGCN.from_graph(small, dim=4)
    whole = unlearn.forget(model, small, EDIT, 'edit_only', seed=6).model
    graph, id_map = compacted(edited.data)
    part = compact_model(whole, graph, id_map)
    assert part.embedding.shape == (39 + 35, 4)
    back = expanded_model(part, edited.data, id_map, edited.forget, seed=6)
    assert torch.equal(back.embedding, whole.embedding)
    other = expanded_model(part, edited.data, id_map, edited.forget, seed=7)
    differs = (other.embedding != whole.embedding).any(1).nonzero().squeeze(1)
    assert differs.tolist() == [*USERS, *(41 + item for item in ITEMS)]


def test_a_row_that_is_there_is_not_drawn_again(small):
    edges = small['user', 'interacts', 'item'].edge_index
    left = next(u for u in range(41) if u not in USERS)
    own = edges[:, edges[0] == left].t().tolist()
    edit = EDIT | unlearn.RemoveInteractions(own)
    edited = edit.apply(small)
    assert edited.forget.emptied.tolist() == [left]
    whole = unlearn.forget(models.LightGCN.from_graph(small, dim=4), small, edit, 'edit_only').model
    graph, id_map = compacted(edited.data)
    part = compact_model(whole, graph, id_map)
    other = expanded_model(part, edited.data, id_map, edited.forget, seed=7)
    assert torch.equal(other.embedding[left], whole.embedding[left])


def test_sharded_models_are_refused(small):
    model = models.MF.from_graph(small, dim=4)
    with pytest.raises(graphrec.GraphError, match='sharded'):
        unlearn.forget(
            model, small, EDIT, 'sisa', compact=True, fit={'epochs': 1}, options={'num_shards': 2}
        )
