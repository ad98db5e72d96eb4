"""Items without a training edge, served by every model."""

import pytest
import torch

import graphrec
from graphrec import graphs, runs
from graphrec.datasets import planted
from graphrec.model_catalogue import CARDS
from graphrec.models import Popularity
from graphrec.ranking import top_k

K = 4
# BM25 needs texts. The other models of searches are also trained on interactions alone.
RECOMMENDING = [name for name in runs.MODELS if name != 'bm25']
# BM3 reads features while it trains and scores by embeddings alone: see its docstring.
FEATURED = [name for name in runs.MODELS if 'features' in CARDS[name].graphs and name != 'bm3']


@pytest.fixture(scope='module')
def data():
    """A fifth of the items lost all their edges; features tell the communities."""
    return graphs.cold_items(planted(150, 120, num_communities=6, seed=0), fraction=0.2, seed=0)


@pytest.fixture(scope='module')
def chance(data):
    """Recall of 20 random orders, one for each user."""
    generator = torch.Generator().manual_seed(0)
    return [cold_recall(Random(data, generator), data) for _ in range(20)]


def train(name, data, epochs):
    kind = runs.MODELS[name]
    small = {'dim': 16, 'k': 5} if name in FEATURED else {}
    fields = kind.config_class.__dataclass_fields__
    model = kind.from_graph(data, **{key: v for key, v in small.items() if key in fields})
    options = {'batch_size': 256, 'lr': 0.01, 'patience': None, 'eval_every': epochs}
    graphrec.fit(model, data, epochs=epochs, progress=False, **options)
    return model


def cold_recall(model, data):
    scores = graphrec.evaluate(model, data, items='cold', k=K, metrics='recall')
    return scores[f'recall@{K}']


@pytest.mark.parametrize('name', RECOMMENDING)
def test_every_model_ranks_cold_items(data, name):
    """Among themselves, and among all items."""
    model = train(name, data, epochs=1)
    cold = data['item'].is_cold
    assert bool(model.score(torch.arange(150))[:, cold].isfinite().all())
    among = graphrec.evaluate(model, data, items='cold', k=int(cold.sum()), metrics='recall')
    assert next(iter(among.values())) == 1.0  # All of them are ranked.
    assert f'{int(cold.sum())} chosen items' in among.protocol
    everything = {'items': 'cold', 'cold_against': 'all', 'k': 120, 'metrics': 'recall'}
    hard = graphrec.evaluate(model, data, **everything)
    assert next(iter(hard.values())) == 1.0
    assert '120 items' in hard.protocol


@pytest.mark.parametrize('name', FEATURED)
def test_features_find_cold_items(data, chance, name):
    """Better than any random order for each user, and than one order for all."""
    found = cold_recall(train(name, data, epochs=15), data)
    assert sum(chance) / len(chance) == pytest.approx(K / int(data['item'].is_cold.sum()), abs=0.02)
    assert found > max(chance)
    assert found > cold_recall(Popularity.from_graph(data), data)


class Random(Popularity):
    def __init__(self, data, generator):
        super().__init__(data, Popularity.config_class())
        self.table = torch.rand(self.num_users, self.num_items, generator=generator)

    def ranker(self):
        return lambda users: self.table[users].clone()


def test_negatives_of_training_items_alone_spare_cold_items(data):
    """MMHCL pushes down what it draws as negatives."""
    ranks = {}
    for pool in ('all', 'train_items'):
        kind = runs.MODELS['mmhcl']
        model = kind.from_graph(data, dim=16, negatives_from=pool)
        graphrec.fit(model, data, epochs=15, batch_size=256, lr=0.01, progress=False)
        order = top_k(model.ranker(), torch.arange(150), 120).items
        ranks[pool] = float(data['item'].is_cold[order].double().mul(torch.arange(120.0)).mean())
    assert ranks['train_items'] < ranks['all']
