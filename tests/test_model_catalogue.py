import pytest

from graphrec import runs
from graphrec.datasets import planted
from graphrec.errors import GraphError
from graphrec.model_catalogue import CARDS, model_catalogue

# Those of searches need searches.
RECOMMENDING = [n for n in runs.MODELS if not {'searches', 'words'} & set(CARDS[n].graphs)]


@pytest.fixture(scope='module')
def featureless():
    return planted(num_users=30, num_items=20, num_communities=2, modalities={}, seed=0)


def test_every_card_is_complete():
    table = model_catalogue().set_index('name')
    assert list(table.index) == list(runs.MODELS)
    for name, card in CARDS.items():
        assert card.graphs
        assert (card.year is None) == (card.paper == '')
        assert card.about
        assert len(card.about.splitlines()) == 1
        assert table.loc[name, 'graphs'] == ', '.join(card.graphs)


@pytest.mark.parametrize('name', RECOMMENDING)
def test_a_card_names_features_where_the_model_needs_them(featureless, name):
    if 'features' in CARDS[name].graphs:
        with pytest.raises(GraphError, match=r'features|modalities'):
            runs.MODELS[name].from_graph(featureless)
    else:
        runs.MODELS[name].from_graph(featureless)
