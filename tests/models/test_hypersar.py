import pytest
import torch

import graphrec
from graphrec.errors import GraphError
from graphrec.models import HyperSaR, Popularity


def textbook(data, model):
    """Final vectors from the incidence written out event by event, in float64."""
    number = {word: n for n, word in enumerate(model.words.words)}
    user, query = data['user', 'searches', 'query'].edge_index.tolist()
    item = data['query', 'finds', 'item'].edge_index[1].tolist()
    found = list(zip(user, item, query, strict=True))
    pairs = data['user', 'interacts', 'item'].edge_index.t().tolist()
    edges = [[u, 6 + i] for u, i in pairs if (u, i) not in {f[:2] for f in found}]
    for u, i, q in found:
        words = data['query'].text[q].split()[:3]
        edges.append([u, 6 + i, *(11 + number[word] for word in words)])
    h = torch.zeros(11 + len(number), len(edges), dtype=torch.float64)
    for column, nodes in enumerate(edges):
        h[nodes, column] = 1
    scale = h.sum(1).clamp(min=1).rsqrt()
    a = scale[:, None] * (h / h.sum(0)) @ h.t() * scale
    x = torch.cat([model.user_embedding, model.item_embedding, model.word_embedding])
    z = (x + a @ x + a @ a @ x) / 3
    return z[:6], z[6:11], z[11:]


def test_scores_and_loss_equal_the_written_out_hypergraph(searching, events):
    data = searching()
    model = HyperSaR.from_graph(data, dim=4, reg=0.1).double()
    user, item, word = textbook(data, model)
    torch.testing.assert_close(model()['user'], user, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(model()['item'], item, rtol=1e-6, atol=1e-7)
    words = [model.words.words.index(each) for each in ('lamp', 'red')]
    expected = (user[1] + word[words].sum(0)) @ item.t()
    scores = model.score(1, query='red lamp')
    torch.testing.assert_close(scores, expected.detach(), rtol=1e-6, atol=1e-7)

    batch, slow = events(), 0.0
    lists = model.words.query.tolist()
    for u, i, j, q, is_search in zip(*(each.tolist() for each in batch), strict=True):
        demand = user[u] + (word[lists[q]].sum(0) if is_search else 0)
        slow = slow - torch.log(torch.sigmoid(demand @ (item[i] - item[j])))
        slow = slow + 0.05 * sum(x.square().sum() for x in (demand, item[i], item[j]))
    fast, slow = model.loss(batch), slow / batch.user.numel()
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-7)
    grads = (torch.autograd.grad(x, list(model.parameters())) for x in (fast, slow))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_training_beats_popularity_in_both_tasks(planted_searches):
    data = planted_searches
    model = HyperSaR.from_graph(data, dim=16, recommendations='all')
    graphrec.fit(model, data, epochs=20, batch_size=512, lr=1e-2, progress=False)
    floor = graphrec.evaluate(Popularity.from_graph(data), data, k=10)['ndcg@10']
    assert graphrec.evaluate(model, data, k=10)['ndcg@10'] > 1.5 * floor
    assert graphrec.evaluate(model, data, k=10, task='search')['ndcg@10'] > 1.5 * floor


@pytest.mark.parametrize(
    ('config', 'message'),
    [({'num_layers': -1}, "'num_layers'"), ({'normalisation': 'left'}, "'normalisation'")],
)
def test_bad_settings_are_named(searching, config, message):
    with pytest.raises(GraphError, match=message):
        HyperSaR.from_graph(searching(), **config)
