import pytest
import torch

import graphrec
from graphrec.errors import GraphError
from graphrec.models import Popularity, QueryBilinear


@pytest.fixture
def model(searching):
    model = QueryBilinear.from_graph(searching(), dim=3, reg=0.1).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, dtype=torch.float64), alpha=0.3)
    return model


def textbook_score(model, u, words, i):
    item, q = model.item_embedding[i], model.word_embedding[words].sum(0)
    return model.user_embedding[u] @ item + q @ model.weight @ item + model.item_bias[i]


def test_scores_equal_the_formula(model):
    expected = torch.stack([textbook_score(model, 2, [], i) for i in range(5)])
    torch.testing.assert_close(model.score(2), expected.detach())
    words = [model.words.words.index(word) for word in ('red', 'shoe')]
    expected = torch.stack([textbook_score(model, 2, words, i) for i in range(5)])
    torch.testing.assert_close(model.score(2, query='red shoe'), expected.detach())


def test_loss_and_gradients_equal_the_formula(model, events):
    batch, slow = events(), 0.0
    lists = model.words.query.tolist()
    for u, i, j, q, is_search in zip(*(each.tolist() for each in batch), strict=True):
        words = lists[q] if is_search else []
        gap = textbook_score(model, u, words, i) - textbook_score(model, u, words, j)
        slow = slow - torch.log(torch.sigmoid(gap))
        query = model.word_embedding[words].sum(0) @ model.weight
        norms = (model.user_embedding[u] + query).square().sum() + 1  # The ones of the biases.
        for other in (i, j):
            norms = norms + model.item_embedding[other].square().sum()
            norms = norms + model.item_bias[other].square()
        slow = slow + 0.1 / 2 * norms
    slow = slow / batch.user.numel()
    fast = model.loss(batch)
    torch.testing.assert_close(fast, slow)
    grads = (torch.autograd.grad(x, list(model.parameters())) for x in (fast, slow))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_refresh_keeps_the_vectors_of_words_that_stay(searching):
    data = searching()
    model = QueryBilinear.from_graph(data, dim=3)
    before = dict(zip(model.words.words, model.word_embedding.detach(), strict=True))
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        data[edge_type].edge_index = data[edge_type].edge_index[:, [0, 4]]  # Red shoes alone.
    model.refresh(data)
    assert model.words.words == ('red', 'shoe')
    assert torch.equal(model.word_embedding[0], before['red'])
    bare = QueryBilinear.from_graph(data, dim=3, searches=False)
    assert bare.words.words == ()
    assert torch.equal(bare.score(0, query='red'), bare.score(0))


def test_training_beats_popularity_in_both_tasks(planted_searches):
    data = planted_searches
    model = QueryBilinear.from_graph(data, dim=16, recommendations='all')
    graphrec.fit(model, data, epochs=30, batch_size=256, lr=1e-2, progress=False)
    floor = graphrec.evaluate(Popularity.from_graph(data), data, k=10)['ndcg@10']
    assert graphrec.evaluate(model, data, k=10)['ndcg@10'] > 1.5 * floor
    assert graphrec.evaluate(model, data, k=10, task='search')['ndcg@10'] > 1.5 * floor


def test_bad_settings_are_named(searching):
    with pytest.raises(GraphError, match="'reg'"):
        QueryBilinear.from_graph(searching(), reg=-1.0)
