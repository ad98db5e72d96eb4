"""Every real data set loads, obeys the schema and has the counts of its README."""

import functools

import numpy as np
import pytest

from graphrec.datasets import load
from graphrec.graphs import schema

# Distinct users and items that occur in interactions; rows of train, valid and test.
INTERACTIONS = {
    'amazon-baby': (19445, 7050, 118551, 21682, 20559),
    'amazon-beauty-seq': (22363, 12101, 153776, 22363, 22363),
    'amazon-book-kgat': (70679, 24915, 652514, 0, 193920),
    'amazon-cellphones-search': (27879, 10428, 150048, 0, 615),
    'amazon-clothing': (39387, 23033, 197338, 41189, 40150),
    'amazon-instruments-codes': (17112, 6250, 102002, 17112, 17112),
    'amazon-sports': (35598, 18357, 218409, 40029, 37899),
    'amazon-sports-seq': (35598, 18357, 225141, 35598, 35598),
    'amazon-toys-seq': (19412, 11924, 128773, 19412, 19412),
    'amazon23-toys-text': (19026, 14718, 124296, 19026, 19026),
    'citeulike-a': (5551, 16980, 164092, 20447, 20447),
    'citeulike-t': (7947, 25584, 102816, 16022, 16022),
    'cure4rec-ml-100k': (943, 1349, 79045, 0, 20242),
    'dbbook-kg': (6179, 4191, 94963, 9478, 17338),
    'gowalla': (29858, 40981, 810128, 0, 217242),
    'lastfm': (1880, 4489, 42135, 0, 10533),
    'lastfm-2k-mm': (1858, 1425, 44327, 4799, 7219),
    'microlens-50k': (50000, 19220, 259708, 50000, 50000),
    'ml-100k': (943, 1682, 79619, 9942, 10439),
    'ml-100k-mm': (943, 1682, 33220, 33346, 33434),
    'ml-1m': (6040, 3695, 720152, 0, 200041),
    'ml-1m-noisy': (5949, 3494, 429993, 130772, 57532),
    'ml-latest-small': (610, 9724, 80419, 10059, 10358),
    'modcloth-ratings': (44784, 1020, 79914, 9990, 9989),
    'tiktok': (9308, 6710, 59541, 3051, 6130),
    'yelp-sparse': (42712, 26822, 182357, 13025, 65128),
    'yelp2018': (31668, 38048, 1237259, 0, 324147),
}
# Node counts that other files of the folder raise above the distinct ids.
NODES = {'citeulike-t': (7947, 25975), 'ml-latest-small': (610, 9742)}
OTHERS = {
    'retail-rocket',
    'bundle-intents',
    'ipinyou-2997',
    'open-bandit-small',
    'polyvore-outfits-d',
    'session-diginetica',
    'session-nowplaying',
    'session-tmall',
}
SIDES = {  # Edges of further types.
    'amazon-beauty-seq': {('item', 'has', 'attribute'): 45037},
    'amazon-sports': {('item', 'has', 'attribute'): 110458},
    'amazon-sports-seq': {('item', 'has', 'attribute'): 110458},
    'amazon-toys-seq': {('item', 'has', 'attribute'): 51022},
    'amazon-cellphones-search': {
        schema.SEARCHES: 174087,
        schema.FINDS: 174087,
        ('query', 'holdout_test', 'item'): 667,
    },
    'citeulike-a': {('item', 'has', 'attribute'): 181665, ('item', 'cites', 'item'): 44661},
    'citeulike-t': {
        ('item', 'has', 'attribute'): 225415,
        ('item', 'cites', 'item'): 32173,
        ('item', 'contains', 'word'): 490708,
    },
    'dbbook-kg': {('item', 'relates', 'entity'): 13080},
    'lastfm-2k-mm': {
        ('user', 'knows', 'user'): 24960,
        ('entity', 'relates', 'entity'): 1873,
        ('user', 'holdout_none', 'query'): 46305,
    },
    'ml-latest-small': {('query', 'holdout_none', 'item'): 207},
}
SIDE_NODES = {
    'amazon-beauty-seq': {'attribute': 637},
    'amazon-sports-seq': {'attribute': 2277},
    'amazon-toys-seq': {'attribute': 1027},
    'amazon-cellphones-search': {'query': 165},
    'citeulike-a': {'attribute': 7386},
    'citeulike-t': {'attribute': 8311, 'word': 20000},
    'dbbook-kg': {'entity': 4702},
    'lastfm-2k-mm': {'query': 5691, 'entity': 397 + 906},
}
FEATURES = {  # Columns of each modality.
    'amazon-baby': {'image_spectral': 64, 'text_spectral': 64},
    'amazon-sports': {'image_spectral': 64, 'text_spectral': 64},
    'amazon23-toys-text': {'text': 128},
    'citeulike-t': {'text': 128},
    'dbbook-kg': {'text': 128},
    'lastfm-2k-mm': {'audio_vggish': 128, 'audio_whisper': 512, 'text': 384},
    'microlens-50k': {'image_spectral': 64, 'text_spectral': 64},
    'ml-100k-mm': {'image_spectral': 64, 'text': 384},
    'tiktok': {'acoustic': 128, 'visual': 128},
}
NEIGHBOURS = {  # Unknown similarities: image, text.
    'amazon-baby': (530, 50),
    'amazon-sports': (1700, 40),
    'amazon-sports-seq': (1700, 40),
}


@pytest.fixture(scope='module')
def read(data_root):
    @functools.lru_cache(maxsize=2)
    def cached(name):
        return load(data_root / name)

    return cached


def size(data, edge_type):
    return data[edge_type].edge_index.size(1) if edge_type in data.edge_types else 0


def test_the_tables_name_every_folder(data_root):
    found = {path.name for path in data_root.iterdir() if path.is_dir()}
    assert found == set(INTERACTIONS) | OTHERS


@pytest.mark.parametrize('name', sorted(INTERACTIONS))
def test_counts_equal_the_readme(read, name):
    data = read(name)
    schema.validate(data)
    users, items, *rows = INTERACTIONS[name]
    types = [schema.INTERACTS, schema.HOLDOUT_VALID, schema.HOLDOUT_TEST]
    assert [size(data, t) for t in types] == rows
    assert data.repairs == {}
    ends = [np.concatenate([data[t].edge_index[r].numpy() for t in types if t in data.edge_types])
            for r in (0, 1)]  # fmt: skip
    assert (np.bincount(ends[0]) > 0).sum() == users
    assert (np.bincount(ends[1]) > 0).sum() == items
    nodes = (schema.num_users(data), schema.num_items(data))
    assert nodes == NODES.get(name, (users, items))

    for edge_type, count in SIDES.get(name, {}).items():
        assert size(data, edge_type) == count
    for node_type, count in SIDE_NODES.get(name, {}).items():
        assert data[node_type].num_nodes == count
    widths = {m: data['item'][f'x_{m}'].size(1) for m in schema.modalities(data)}
    assert widths == FEATURES.get(name, {})
    if name in NEIGHBOURS:
        unknown = [
            int(data['item'][f'knn_{m}_similarity'].isnan().sum()) for m in ('image', 'text')
        ]
        assert tuple(unknown) == NEIGHBOURS[name]


def test_original_ids_with_gaps(read):
    data = read('lastfm')
    assert data['user'].id.max() == 1891
    assert read('ml-1m')['item'].id.max() == 3705


def test_columns_and_edge_attributes(read):
    assert read('lastfm-2k-mm')[schema.INTERACTS].plays[0] == 1972
    assert read('ml-100k')['item'].title[0] == 'Toy Story (1995)'
    assert read('ml-100k')['user'].age[0] == 24
    assert int(read('modcloth-ratings')[schema.HOLDOUT_TEST].rating.eq(5).sum()) == 5433
    assert read('amazon-instruments-codes')['item'].code_text.unique(dim=0).size(0) == 5988
    noisy = read('ml-1m-noisy')
    kept = sum(int(noisy[t].clean.sum()) for t in (schema.INTERACTS, schema.HOLDOUT_VALID))
    assert kept == 312023
    likes = load_likes(read)
    assert likes == 64282


def load_likes(read):
    data = read('dbbook-kg')
    types = [schema.INTERACTS, schema.HOLDOUT_VALID, schema.HOLDOUT_TEST]
    return sum(int(data[t].rating.sum()) for t in types)


def test_missing_modalities_are_marked(read):
    assert int((~read('citeulike-t')['item'].has_text).sum()) == 31
    assert int((~read('microlens-50k')['item'].has_image_spectral).sum()) == 19220 - 17192


def test_retail_rocket_has_three_behaviours(read):
    data = read('retail-rocket')
    schema.validate(data)
    assert (schema.num_users(data), schema.num_items(data)) == (2174, 30113)
    assert size(data, schema.HOLDOUT_TEST) == 2174
    behaviours = [schema.INTERACTS, ('user', 'views', 'item'), ('user', 'carts', 'item')]
    assert [size(data, t) for t in behaviours] == [9551, 75374, 12456]
    assert sum(size(data, t) for t in behaviours) == 97381


@pytest.mark.parametrize(
    ('name', 'train', 'clicks', 'test', 'test_clicks', 'cases', 'items'),
    [
        ('session-diginetica', 186670, 906140, 15963, 76821, 60858, 43097),
        ('session-nowplaying', 128077, 953381, 14479, 104303, 89824, 60416),
        ('session-tmall', 65286, 416554, 1027, 26925, 25898, 40727),
    ],
)
def test_sessions(read, name, train, clicks, test, test_clicks, cases, items):
    data = read(name)
    schema.validate(data)
    contains, held = ('session', 'contains', 'item'), ('session', 'holdout_test', 'item')
    assert data['session'].num_nodes == train + test
    assert data['item'].num_nodes == items
    assert (size(data, contains), size(data, held)) == (clicks, test_clicks)
    assert int((data[held].position > 0).sum()) == cases
    assert int(data[held].edge_index[0].min()) == train


def test_outfits(read):
    data = read('polyvore-outfits-d')
    schema.validate(data)
    assert data['item'].num_nodes == 152785
    assert data['item'].category.unique().numel() == 11
    assert data['outfit'].num_nodes == 2 * 35140
    for edge_type, outfits, items in (
        (('outfit', 'contains', 'item'), 16995, 71967),
        (('outfit', 'holdout_valid', 'item'), 3000, None),
        (('outfit', 'holdout_test', 'item'), 15145, 70035),
    ):
        outfit, item = data[edge_type].edge_index
        real = data['outfit'].y[outfit].bool()
        assert outfit[real].unique().numel() == outfit[~real].unique().numel() == outfits
        if items is not None:
            assert item[real].unique().numel() == items


def test_auctions(read):
    data = read('ipinyou-2997')
    schema.validate(data)
    store = data['auction']
    assert store.num_nodes == 156063
    assert int(store.click.sum()) == 530
    assert (int(store.market_price.min()), int(store.market_price.max())) == (0, 277)
    assert float(store.market_price.float().mean()) == pytest.approx(55.2, abs=0.05)
    assert float(store.pctr.double().mean()) == pytest.approx(0.00393, abs=5e-6)
    assert data.train_info['clk_train'] == 1386


def test_bandit(read, data_root):
    data = read('open-bandit-small')
    schema.validate(data)
    shows = ('impression', 'shows', 'item')
    assert data['item'].num_nodes == 34 + 46
    assert size(data, shows) == 40000
    campaign, policy = data['impression'].campaign, data['impression'].policy
    for key, clicks in {('men', 'random'): 46, ('men', 'bts'): 69,
                        ('women', 'random'): 46, ('women', 'bts'): 46}.items():  # fmt: skip
        chosen = (campaign == key[0]) & (policy == key[1])
        assert chosen.sum() == 10000
        assert int(data[shows].click[np.flatnonzero(chosen)].sum()) == clicks
    items = schema.node_ids(data, 'item')[data[shows].edge_index[1].numpy()]
    assert all(item.startswith(f'{name}/') for item, name in zip(items, campaign, strict=True))

    men = load(data_root / 'open-bandit-small', domain='men')
    assert men['item'].id.tolist() == list(range(34))
    assert size(men, shows) == 20000


BUNDLES = {  # Users, items, sessions, bundles, user-item, bundle-item, session-item, intents.
    'electronic': (1133, 4943, 1145, 1750, 6165, 6165, 6539, 1422),
    'clothing': (965, 6439, 1181, 1910, 6326, 6326, 6793, 1466),
    'food': (1114, 5072, 1161, 1784, 6395, 6395, 6547, 1155),
}


@pytest.mark.parametrize('domain', sorted(BUNDLES))
def test_bundles_of_a_domain(data_root, domain):
    data = load(data_root / 'bundle-intents', domain=domain)
    schema.validate(data)
    users, items, sessions, bundles, user_item, bundle_item, session_item, intents = BUNDLES[domain]
    nodes = [data[t].num_nodes for t in ('user', 'item', 'session', 'bundle')]
    assert nodes == [users, items, sessions, bundles]
    # One item in two bundles of a user is one edge and one counted repair.
    assert size(data, schema.INTERACTS) + data.repairs['duplicate_interactions'] == user_item
    assert size(data, ('user', 'makes', 'bundle')) == bundles
    assert size(data, ('bundle', 'contains', 'item')) == bundle_item
    assert size(data, ('session', 'contains', 'item')) == session_item
    assert size(data, ('session', 'holds', 'bundle')) == bundles
    assert len({text for text in data['bundle'].intent if text is not None}) == intents
    assert data['user'].id[0] == 0


def test_bundles_of_all_domains(read):
    data = read('bundle-intents')
    schema.validate(data)
    for position, node_type in enumerate(('user', 'item', 'session', 'bundle')):
        assert data[node_type].num_nodes == sum(row[position] for row in BUNDLES.values())
    assert schema.index_of(data, 'user', ['food/12'])[0] >= 0
    user, item = schema.train_edges(data).numpy()
    users = [u.split('/')[0] for u in schema.node_ids(data, 'user')[user]]
    items = [i.split('/')[0] for i in schema.node_ids(data, 'item')[item]]
    assert users == items
