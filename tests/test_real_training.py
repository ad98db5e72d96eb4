import pytest

import graphrec


@pytest.mark.parametrize(
    ('name', 'lr', 'epochs'), [('lastfm-2k-mm', 1e-2, 8), ('tiktok', 1e-2, 10)]
)
def test_short_training_beats_popularity(data_root, name, lr, epochs):
    data = graphrec.load(data_root / name)
    model = graphrec.models.LightGCN.from_graph(data, num_layers=2)
    graphrec.fit(model, data, epochs=epochs, lr=lr, eval_every=2, progress=False)
    popularity = graphrec.evaluate(graphrec.models.Popularity.from_graph(data), data)
    trained = graphrec.evaluate(model, data)
    assert trained['recall@20'] > 1.2 * popularity['recall@20']
    difference = graphrec.paired_test(trained, popularity, metric='ndcg@20')
    assert difference.difference > 0
    assert difference.p_value < 0.01
