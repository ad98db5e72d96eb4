import pytest
import torch

import graphrec
from graphrec.models import UDITSR, HyperSaR, LightGCN, QueryBilinear, UnionLightGCN


def merged(data):
    """The graph with every found pair among the interactions."""
    user = data['user', 'searches', 'query'].edge_index[0]
    found = torch.stack([user, data['query', 'finds', 'item'].edge_index[1]])
    store = data['user', 'interacts', 'item']
    store.edge_index = torch.cat([store.edge_index, found], dim=1).unique(dim=1)
    return data


def test_equals_lightgcn_on_the_merged_graph(searching):
    model = UnionLightGCN.from_graph(searching(), dim=4)
    whole = LightGCN.from_graph(merged(searching()), dim=4)
    assert torch.equal(model()['user'], whole()['user'])
    generator = torch.Generator().manual_seed(0)
    batches = [
        next(iter(m.make_sampler(data, 64).epoch(generator.manual_seed(1))))
        for m, data in ((model, searching()), (whole, merged(searching())))
    ]
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))
    assert torch.equal(model.loss(batches[0]), whole.loss(batches[1]))


def test_every_query_has_the_ranking_of_recommendation(searching):
    model = UnionLightGCN.from_graph(searching(), dim=4)
    people = torch.tensor([0, 5])
    for query in ('red shoe', 'never heard'):
        torch.testing.assert_close(model.score(people, query=query), model.score(people))
    unknown = model.score(-1, query='lamp')
    torch.testing.assert_close(unknown, model.score(torch.arange(6)).mean(0))


def test_save_load_and_refresh(searching, tmp_path):
    data = searching()
    model = UnionLightGCN.from_graph(data, dim=4)
    graphrec.save(model, tmp_path / 'model')
    loaded = graphrec.load_model(tmp_path / 'model', data)
    assert torch.equal(loaded()['item'], model()['item'])
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        data[edge_type].edge_index = data[edge_type].edge_index[:, :0]
    model.refresh(data)
    assert torch.equal(model()['item'], LightGCN.from_graph(data, dim=4)()['item'])


def test_people_outside_the_graph_are_served_by_the_union_alone(searching):
    """A history is attached to the union graph; models that read words say that they cannot."""
    data = searching()
    found = graphrec.recommend(UnionLightGCN.from_graph(data, dim=4), data, history=[0, 3], k=2)
    assert len(found) == 2
    for kind in (UDITSR, HyperSaR, QueryBilinear):
        with pytest.raises(graphrec.GraphError, match=f'{kind.__name__} cannot serve people'):
            graphrec.recommend(kind.from_graph(data, dim=4), data, history=[0, 3], k=2)
