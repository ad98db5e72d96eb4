import json

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError, UnknownIdError
from graphrec.explain import explain
from graphrec.graphs.operators import normalized_adjacency
from graphrec.models.ease import EASE
from graphrec.models.item_knn import ItemKNN
from graphrec.models.lightgcn import LightGCN
from graphrec.models.mf import MF
from graphrec.models.popularity import Popularity
from graphrec.models.recommender import Recommender

USERS = ['ann', 'bob', 'cyd', 'dan', 'eve']


@pytest.fixture
def data():
    """Five users with names, six items numbered from 100; eve and item 105 have no edge."""
    graph = HeteroData()
    graph['user'].num_nodes = 5
    graph['user'].id = np.array(USERS, dtype=object)
    graph['item'].num_nodes = 6
    graph['item'].id = np.arange(100, 106)
    graph['item'].title = np.array(['Pen', 'Cup', 'Hat', 'Map', 'Key', None], dtype=object)
    user = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3])
    item = torch.tensor([0, 1, 2, 1, 3, 0, 3, 4, 4])
    graph['user', 'interacts', 'item'].edge_index = torch.stack([user, item])
    return graph


def dense_parts(model, data, u, i):
    """By dense algebra in double precision: the score, and the sum over all walks
    with a given first step."""
    a_hat = normalized_adjacency(data).to_dense().double()
    e = model.embedding.detach().double()
    a = model.layer_weights.double()
    powers = [torch.linalg.matrix_power(a_hat, length) for length in range(len(a))]
    z = sum(weight * power @ e for weight, power in zip(a, powers, strict=True))
    score = z[u] @ z[i]
    through = {}
    for j in a_hat[u].nonzero().flatten().tolist():
        walk = sum(a[length] * powers[length - 1][j] for length in range(1, len(a)))
        through[j - 5] = float(a_hat[u, j] * (walk @ e) @ z[i])
    return float(score), float(a[0] * e[u] @ z[i]), through


@pytest.mark.parametrize('weights', [None, (0.1, 0.4, 0.0, 0.5), (0.5, -0.2, 0.3, 1.0)])
@pytest.mark.parametrize(('user', 'item'), [('ann', 103), ('cyd', 100), ('dan', 105), ('eve', 101)])
def test_layers_add_up_as_in_dense_algebra(data, weights, user, item):
    model = LightGCN.from_graph(data, dim=4, num_layers=3, layer_weights=weights, init_std=1.0)
    found = explain(model, data, user, item)
    score, own, through = dense_parts(model, data, USERS.index(user), 5 + item - 100)
    assert found.score == pytest.approx(score, abs=1e-5)
    assert found.layers['contribution'].sum() == pytest.approx(found.score, abs=1e-5)
    assert found.contributions['contribution'].sum() == pytest.approx(found.score, abs=1e-5)
    assert abs(found.residual) < 1e-5
    part = found.contributions.set_index('source')['contribution']
    assert part['own embedding'] == pytest.approx(own, abs=1e-5)
    items = found.contributions[found.contributions['source'] == 'item']
    got = dict(zip(items['item'] - 100, items['contribution'], strict=True))
    assert got == pytest.approx(through, abs=1e-5)


def test_layer_table_is_the_product_of_layers(data):
    model = LightGCN.from_graph(data, dim=4, num_layers=2, init_std=1.0)
    h = model.propagate_layers()
    table = explain(model, data, 'bob', 104).layers.set_index(['user_layer', 'item_layer'])
    assert len(table) == 9
    for first, second in table.index:
        expected = float(h[first][1] @ h[second][5 + 4]) / 9
        assert table.loc[(first, second), 'contribution'] == pytest.approx(expected, abs=1e-6)


def test_all_walks_and_the_own_embedding_add_up(data):
    model = LightGCN.from_graph(data, dim=4, num_layers=3, init_std=1.0)
    found = explain(model, data, 'ann', 103, num_paths=10_000)
    assert len(found.table) == found.num_paths
    own = found.contributions.set_index('source').loc['own embedding', 'contribution']
    assert found.table['contribution'].sum() + own == pytest.approx(found.score, abs=1e-5)
    assert found.covered == pytest.approx(found.table['contribution'].sum() / found.score)
    assert found.table['path'].is_unique
    strength = found.table['contribution'].abs()
    assert strength.is_monotonic_decreasing


def test_a_path_by_hand(data):
    model = LightGCN.from_graph(data, dim=4, num_layers=2, init_std=1.0)
    table = explain(model, data, 'dan', 100, num_paths=100).table.set_index('path')
    # dan has Key alone; Key has cyd (3 items) and dan.
    row = table.loc['user dan → Key · 104 → user cyd']
    weight = (1 / 3) / np.sqrt(1 * 2) / np.sqrt(2 * 3)
    match = float(model.embedding[2].detach() @ (sum(model.propagate_layers())[5] / 3))
    assert row['weight'] == pytest.approx(weight)
    assert row['match'] == pytest.approx(match, rel=1e-5)
    assert row['contribution'] == pytest.approx(weight * match, rel=1e-5)


def test_places_are_dealt_out_among_the_lengths(data):
    model = LightGCN.from_graph(data, dim=4, num_layers=3)
    table = explain(model, data, 'ann', 103, num_paths=5).table
    assert sorted(table['length']) == [1, 1, 2, 2, 3]


def test_without_layers_only_the_own_embedding_counts(data):
    model = LightGCN.from_graph(data, dim=4, num_layers=0)
    found = explain(model, data, 'ann', 103)
    assert found.num_paths == 0
    assert found.table.empty
    part = found.contributions.set_index('source')['contribution']
    assert part['own embedding'] == pytest.approx(found.score)


def test_a_thinned_or_training_model_is_explained_as_it_scores(data):
    model = LightGCN.from_graph(data, dim=4, edge_dropout=0.5, init_std=1.0).train()
    model.begin_epoch(torch.Generator().manual_seed(0))
    assert abs(explain(model, data, 'ann', 103).residual) < 1e-5
    assert model.training
    rough = LightGCN.from_graph(data, dim=4, bf16=True, init_std=1.0)
    assert explain(rough, data, 'ann', 103).score == pytest.approx(
        float(rough.score(torch.tensor([0]), torch.tensor([3])))
    )


@pytest.mark.parametrize('kind', [ItemKNN, EASE])
def test_item_weights_add_up(data, kind):
    settings = {'shrinkage': 0.0} if kind is ItemKNN else {}
    model = kind.from_graph(data, **settings)
    found = explain(model, data, 'ann', 103, num_paths=2)
    assert found.contributions['contribution'].sum() == pytest.approx(found.score, abs=1e-6)
    assert found.layers is None
    assert len(found.table) <= 2
    assert set(found.contributions['title']) == {'Pen', 'Cup', 'Hat'}
    if kind is ItemKNN:
        # Map: bob, cyd. Pen: ann, cyd. Cup: ann, bob. Each shares one of two with Map.
        part = found.contributions.set_index('title')['contribution']
        assert part.to_dict() == pytest.approx({'Pen': 0.5, 'Cup': 0.5, 'Hat': 0.0})
        assert found.num_paths == 2
        assert found.covered == pytest.approx(1.0)


def test_a_user_without_training_items(data, tmp_path):
    found = explain(ItemKNN.from_graph(data), data, 'eve', 103)
    assert found.score == 0
    assert found.contributions.empty
    assert np.isnan(found.covered)
    json.dumps(found.to_dict(), allow_nan=False)
    assert 'score 0' in str(found)
    found.draw(tmp_path / 'a.png')


def test_mf_says_that_there_is_no_path(data, tmp_path):
    found = explain(MF.from_graph(data, dim=4), data, 'ann', 103)
    assert list(found.table['path']) == ['user × item factor']
    assert found.table['contribution'].item() == pytest.approx(found.score)
    assert 'no graph path' in found.note
    assert 'no graph path' in str(found)
    assert found.draw(tmp_path / 'a.svg').exists()


def test_what_cannot_be_explained_is_refused(data):
    with pytest.raises(GraphError, match=r'Popularity cannot be explained.*LightGCN.*EASE.*MF'):
        explain(Popularity.from_graph(data), data, 'ann', 103)


def test_a_model_of_another_graph_is_refused(data):
    knn = ItemKNN.from_graph(data)
    edited = data.clone()
    edge_type = ('user', 'interacts', 'item')
    edited[edge_type].edge_index = data[edge_type].edge_index[:, 1:]
    with pytest.raises(GraphError, match='refresh'):
        explain(knn, edited, 'ann', 103)
    knn.refresh(edited)
    explain(knn, edited, 'ann', 103)
    smaller = data.clone()
    smaller['item'].num_nodes, smaller['item'].id = 7, np.arange(100, 107)
    with pytest.raises(GraphError, match='6 items'):
        explain(knn, smaller, 'ann', 103)


def test_parts_that_do_not_add_up_are_refused(data):
    class Biased(LightGCN):
        def forward(self):
            out = super().forward()
            return {'user': out['user'], 'item': out['item'] + 1.0}

    with pytest.raises(GraphError, match='add up to'):
        explain(Biased.from_graph(data, dim=4, init_std=1.0), data, 'ann', 103)


def test_the_protocol_decides_not_the_class(data):
    class Stub(Recommender):
        def __init__(self):
            super().__init__(data, None)
            self.layer_weights = torch.tensor([0.25, 0.75])
            self.adjacency = normalized_adjacency(data)
            self.embedding = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))

        def propagate_layers(self):
            return [self.embedding, self.adjacency @ self.embedding]

        def forward(self):
            first, second = self.propagate_layers()
            z = 0.25 * first + 0.75 * second
            return {'user': z[:5], 'item': z[5:]}

    score, _, _ = dense_parts(Stub(), data, 1, 9)
    found = explain(Stub(), data, 'bob', 104)
    assert found.contributions['contribution'].sum() == pytest.approx(score, abs=1e-5)


def test_bad_arguments(data):
    model = ItemKNN.from_graph(data)
    with pytest.raises(UnknownIdError, match="'zoe'"):
        explain(model, data, 'zoe', 103)
    with pytest.raises(UnknownIdError, match='999'):
        explain(model, data, 'ann', 999)
    with pytest.raises(GraphError, match='integers'):
        explain(model, data, 'ann', '103')
    with pytest.raises(GraphError, match="'num_paths'"):
        explain(model, data, 'ann', 103, num_paths=0)


def test_text_json_and_picture(data, tmp_path):
    model = LightGCN.from_graph(data, dim=4, num_layers=3, init_std=1.0)
    found = explain(model, data, 'ann', 103)
    text = str(found)
    assert text.startswith('user ann, item 103: score')
    assert 'Pen · 100' in text
    assert f'of {found.num_paths:,} paths shown' in text
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values['user'] == 'ann'
    assert values['item'] == 103
    assert len(values['layers']) == 16
    png, svg = found.draw(tmp_path / 'a.png'), found.draw(tmp_path / 'b.svg')
    assert png.read_bytes().startswith(b'\x89PNG')
    assert '</svg>' in svg.read_text()
    with pytest.raises(GraphError, match='ends in'):
        found.draw(tmp_path / 'a.jpg')
