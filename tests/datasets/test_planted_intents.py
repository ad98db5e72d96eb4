import numpy as np
import pytest
import torch

from graphrec.datasets.planted import planted
from graphrec.datasets.planted_intents import Intents, draw_demands, draw_intents
from graphrec.graphs.schema import INTERACTS, holdout, validate
from graphrec.graphs.search import search_events

SIZES = {'num_users': 400, 'num_items': 320, 'num_communities': 4, 'num_interactions': 4000}


def demands(data):
    """Share of each intent among all pairs of each user, and all pairs."""
    pairs = torch.cat(
        [data[t].edge_index for t in (INTERACTS, holdout('valid'), holdout('test'))], dim=1
    )
    shares = torch.zeros_like(data['user'].demand)
    shares.index_put_(
        (pairs[0], data['item'].intent[pairs[1]]), torch.tensor(1.0).double(), accumulate=True
    )
    return shares / shares.sum(1, keepdim=True), pairs


def test_taste_and_demand_together_decide_the_item():
    data = planted(**SIZES, num_intents=5, community_strength=0.9, seed=1)
    validate(data)
    assert data['user'].demand.sum(1).numpy() == pytest.approx(1)
    shares, pairs = demands(data)
    both = np.corrcoef(shares.flatten(), data['user'].demand.flatten())[0, 1]
    assert both > 0.8
    inside = data['user'].community[pairs[0]] == data['item'].community[pairs[1]]
    assert inside.double().mean() > 0.7
    # Demands are no taste: within the own community they still follow the user.
    own = torch.arange(5).repeat(400, 1) == data['user'].demand.argmax(1, keepdim=True)
    assert shares[own].mean() > 2 * shares[~own].mean()


def test_queries_speak_of_the_intent_of_their_item():
    data = planted(**SIZES, num_intents=5, num_queries=40, seed=1)
    for split in ('train', 'valid', 'test'):
        events = search_events(data, split)
        assert events.user.numel() > 0
        assert torch.equal(data['query'].intent[events.query], data['item'].intent[events.item])
    assert 'community' not in data['query']
    words = [set(text.split()) for text in data['query'].text]
    for one, a in zip(words, data['query'].intent, strict=True):
        for two, b in zip(words, data['query'].intent, strict=True):
            assert a == b or not one & two


def test_silent_users_never_search():
    talking = planted(**SIZES, num_intents=5, num_queries=40, seed=1)
    data = planted(**SIZES, num_intents=5, num_queries=40, silent_share=0.5, seed=1)
    assert torch.equal(data[INTERACTS].edge_index, talking[INTERACTS].edge_index)
    asked = [search_events(graph).user.unique() for graph in (data, talking)]
    assert 150 < asked[0].numel() < 250
    assert asked[1].numel() > 390
    everyone = planted(**SIZES, num_queries=40, silent_share=1.0, seed=1)
    assert search_events(everyone).user.numel() == 0


def test_copies_serve_the_intent_of_their_original():
    data = planted(**SIZES, num_intents=5, duplicate_share=0.2, seed=2)
    copy = data['item'].duplicate_of >= 0
    original = data['item'].duplicate_of[copy]
    assert torch.equal(data['item'].intent[copy], data['item'].intent[original])


def test_intents_are_spread_over_every_community():
    community = np.arange(60) % 3
    intents = draw_intents(10, 4, community, np.random.default_rng(0))
    assert np.bincount(community * 4 + intents.item).tolist() == [5] * 12
    degree = np.array([0, 3, 7] + [0] * 7)
    drawn = draw_demands(intents, degree, np.random.default_rng(0))
    assert len(drawn) == 10
    assert (np.diff(drawn[:3]) >= 0).all()
    assert (np.diff(drawn[3:]) >= 0).all()
    sure = Intents(intents.item, np.eye(4)[np.arange(10) % 4])
    assert draw_demands(sure, degree, np.random.default_rng(0)).tolist() == [1] * 3 + [2] * 7
