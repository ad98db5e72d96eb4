import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

import graphrec
from graphrec.errors import GraphError
from graphrec.graphs.words import WordLists
from graphrec.models import UDITSR, Popularity
from graphrec.vectors import build_index

USERS, ITEMS = 6, 5

VARIANTS = [
    {},
    {'num_layers': 0},
    {'num_layers': 3, 'normalise_layers': True},
    {'pad_with_word': True},
    {'keep_target_edges': True},
    {'sg_reduction': 'batch', 'detach_query': True},
    {'leaky_output': True},
    {'generator': False},
    {'translation': False},
    {'sg_weight': 0.0},
    {'cl_weight': 0.0},
    {'recommendations': 'all'},
    {'recommendations': 'none'},
    {'searches': False},
    {'searches': False, 'generator': False},
    {'query_length': 1, 'user_length': 1, 'item_length': 2},
    UDITSR.official(),
]


class Textbook:
    """Every formula for one edge or one row at a time, on the parameters of a model."""

    def __init__(self, model: UDITSR, data: HeteroData) -> None:
        self.model, self.config, self.words = model, model.config, model.words
        user, query = data['user', 'searches', 'query'].edge_index.tolist()
        item = data['query', 'finds', 'item'].edge_index[1].tolist()
        searches = list(zip(user, item, query, strict=True))
        found = {event[:2] for event in searches}
        pairs = [tuple(pair) for pair in data['user', 'interacts', 'item'].edge_index.t().tolist()]
        chosen = {'all': pairs, 'none': [], 'other': [p for p in pairs if p not in found]}
        #: (user, item, query), query -1 for a recommendation.
        self.events = [(*pair, -1) for pair in chosen[self.config.recommendations]]
        self.events += searches if self.config.searches else []

    def vectors(self, words: list[int], length: int) -> Tensor:
        if self.config.pad_with_word and self.words.words:
            words = words + [0] * (length - len(words))
        return self.model.word_embedding[torch.tensor(words, dtype=torch.long)]

    def query(self, number: int) -> Tensor:
        words = self.words.query.tolist()[number]
        return self.vectors(words, self.config.query_length).sum(0)

    def intent(self, u: int, i: int) -> Tensor:
        config, parts, model = self.config, self.model.intent, self.model
        if not config.generator:
            return model.user_embedding.new_zeros(config.dim)
        user, item = model.user_embedding[u], model.item_embedding[i]
        own = self.vectors(self.words.user.tolist()[u], config.user_length)
        places = user.new_zeros(config.user_length, config.dim)
        places = torch.cat([own, places[len(own) :]])
        key = parts.key(torch.cat([user, places.flatten()]))
        near = self.vectors(self.words.item.tolist()[i], config.item_length)
        found = torch.zeros_like(user)
        if len(near):
            found = torch.softmax(parts.attention(near) @ key, dim=0) @ near
        hidden = torch.tanh(parts.first(torch.cat([user, item, own.sum(0), found])))
        return parts.last(torch.tanh(parts.second(hidden)))

    def final(self, without: set[tuple[int, int]] = frozenset()) -> tuple[Tensor, Tensor]:
        config, model = self.config, self.model
        edges = [event for event in self.events if event[:2] not in without]
        moves = []
        for u, i, q in edges:
            move = torch.zeros_like(model.user_embedding[0])
            if config.translation:
                move = self.query(q) if q >= 0 else self.intent(u, i)
            moves.append(move)
        user, item = list(model.user_embedding), list(model.item_embedding)
        total_user, total_item, weights = user, item, 1.0
        for layer in range(1, config.num_layers + 1):
            new_user = [[] for _ in user]
            new_item = [[] for _ in item]
            for (u, i, _), move in zip(edges, moves, strict=True):
                new_item[i].append(user[u] + move)
                new_user[u].append(item[i] - move)
            user, item = (
                [
                    torch.stack(m).mean(0) if m else torch.zeros_like(o)
                    for m, o in zip(n, old, strict=True)
                ]
                for n, old in ((new_user, user), (new_item, item))
            )
            weights += 1 / (layer + 1)
            total_user = [t + h / (layer + 1) for t, h in zip(total_user, user, strict=True)]
            total_item = [t + h / (layer + 1) for t, h in zip(total_item, item, strict=True)]
        scale = 1 / weights if config.normalise_layers else 1.0
        return torch.stack(total_user) * scale, torch.stack(total_item) * scale

    def head(self, head: torch.nn.Module, user: Tensor, item: Tensor, q: Tensor) -> Tensor:
        hidden = F.leaky_relu(head.first(torch.cat([user, item, q])), 0.01)
        score = head.last(F.leaky_relu(head.second(hidden), 0.01))[0]
        return F.leaky_relu(score, 0.01) if self.config.leaky_output else score

    def loss(self, batch) -> Tensor:
        config, model = self.config, self.model
        rows = list(zip(*(each.tolist() for each in batch), strict=True))
        without = set() if config.keep_target_edges else {(u, i) for u, i, *_ in rows}
        user, item = self.final(without)
        bpr = contrast = supervision = 0.0
        for u, i, j, q, is_search in rows:
            made = self.intent(u, i)
            if is_search:
                q_real = self.query(q)
                above = self.head(model.search_head, user[u], item[i], q_real)
                below = self.head(model.search_head, user[u], item[j], q_real)
                target = q_real.detach() if config.detach_query else q_real
                supervision = supervision + (made - target).square().mean()
            else:
                above = self.head(model.recommend_head, user[u], item[i], made)
                below = self.head(model.recommend_head, user[u], item[j], self.intent(u, j))
            bpr = bpr - torch.log(torch.sigmoid(above - below))
            moved = user[u] + (q_real if is_search else made)
            near, far = (moved - item[i]).square().mean(), (moved - item[j]).square().mean()
            contrast = contrast - torch.log(torch.sigmoid(far - near))
        size, searches = len(rows), sum(row[4] for row in rows)
        loss = (bpr + config.cl_weight * contrast) / size
        if config.generator and searches:
            whole = size if config.sg_reduction == 'batch' else searches
            loss = loss + config.sg_weight * supervision / whole
        return loss


@pytest.fixture
def make(searching):
    """A function that builds the model in double precision."""

    def build(data=None, seed=0, **config):
        data = data or searching()
        model = UDITSR.from_graph(data, dim=4, seed=seed, **config).double()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():  # Biases too.
            for parameter in model.parameters():
                draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(draw, alpha=0.3)
        return model

    return build


@pytest.mark.parametrize('config', VARIANTS, ids=str)
def test_loss_and_gradients_equal_the_formulas(make, searching, events, config):
    model = make(**config)
    rows = events(model.config.searches, model.config.recommendations != 'none')
    fast, slow = model.loss(rows), Textbook(model, searching()).loss(rows)
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-7)
    names, parameters = zip(*model.named_parameters(), strict=True)
    left = torch.autograd.grad(fast, parameters, allow_unused=True)
    right = torch.autograd.grad(slow, parameters, allow_unused=True)
    for name, a, b, p in zip(names, left, right, parameters, strict=True):
        a, b = (torch.zeros_like(p) if g is None else g for g in (a, b))
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7, msg=lambda m, n=name: f'{n}: {m}')


@pytest.mark.parametrize('config', VARIANTS, ids=str)
def test_rankings_equal_the_formulas(make, searching, config):
    model = make(**config)
    textbook = Textbook(model, searching())
    with torch.no_grad():
        user, item = textbook.final()
        z = model()
        torch.testing.assert_close(z['user'], user, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(z['item'], item, rtol=1e-6, atol=1e-7)
        expected = [
            [
                textbook.head(model.recommend_head, user[u], item[i], textbook.intent(u, i))
                for i in range(ITEMS)
            ]
            for u in (5, 0)
        ]
        scores = model.ranker()(torch.tensor([5, 0]))
        torch.testing.assert_close(scores, torch.tensor(expected), rtol=1e-6, atol=1e-7)
        if not config.get('searches', True):
            return
        people = torch.stack([user[1], user.mean(0)])  # -1 is someone unknown.
        queries = [textbook.query(1), textbook.query(3)]
        expected = [
            [textbook.head(model.search_head, p, i, q) for i in item]
            for p, q in zip(people, queries, strict=True)
        ]
        lists = model.encode_queries(['blue shoe big warm', 'unheard']).lists
        scores = model.query_ranker()(torch.tensor([1, -1]), lists)
        torch.testing.assert_close(scores, torch.tensor(expected), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('keep_bytes', [0, 2**20])
def test_blocks_and_recomputation_change_nothing(make, events, keep_bytes, monkeypatch):
    whole = make()
    expected = torch.autograd.grad(whole.loss(events()), list(whole.parameters()))
    monkeypatch.setattr('graphrec.models.pair_blocks.BLOCK_SIZE', 2)
    monkeypatch.setattr('graphrec.models.pair_blocks.KEEP_BYTES', keep_bytes)
    cut = make()
    assert len(cut._blocks) > 1
    for _ in range(2):  # The second step finds the buffers of the first.
        loss = cut.loss(events())
        loss.backward(retain_graph=True)
        for p, grad in zip(cut.parameters(), expected, strict=True):
            torch.testing.assert_close(p.grad, grad)
        cut.zero_grad()
    loss.backward()  # The hidden states are gone by now, and are made again.
    for p, grad in zip(cut.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, grad)


def test_isolated_nodes_keep_their_embedding(make):
    model = make()
    z = model()
    assert torch.equal(z['user'][5], model.user_embedding[5])
    assert torch.equal(z['item'][4], model.item_embedding[4])


def test_recommendations_never_read_their_query(make, events):
    model, rows = make(), events()
    other = rows._replace(query=torch.where(rows.is_search, rows.query, 2))
    assert torch.equal(model.loss(rows), model.loss(other))


def test_supervision_is_of_searches_alone(make, events):
    model, alone = make(sg_weight=0.0, cl_weight=0.0), make(sg_weight=2.0, cl_weight=0.0)
    rows = events(recommendations=False)
    generated = alone.generate(rows.user, rows.pos)
    real = alone.embed_batch_queries(rows.query, rows.is_search)
    expected = 2.0 * (generated - real).square().mean()
    torch.testing.assert_close(alone.loss(rows) - model.loss(rows), expected)
    by_batch = make(sg_weight=2.0, cl_weight=0.0, sg_reduction='batch')
    torch.testing.assert_close(by_batch.loss(rows), alone.loss(rows))

    rows = events(searches=False)
    torch.testing.assert_close(alone.loss(rows), model.loss(rows))
    alone.loss(rows).backward()
    assert all(p.grad is None for p in alone.search_head.parameters())


def test_lists_longer_than_any_node_fills_change_nothing(make, events):
    short, long = make(item_length=6), make(item_length=40)
    torch.testing.assert_close(short.loss(events()), long.loss(events()))


def test_only_the_order_of_a_users_words_matters(make):
    model = make()
    user, item = torch.tensor([0, 1]), torch.tensor([0, 1])  # All have several words.
    intents = model.generate(user, item)
    model.item_words = model.item_words.flip(1)
    torch.testing.assert_close(model.generate(user, item), intents)
    model.user_lists = WordLists.of([each[::-1] for each in model.user_lists.tolist()])
    assert not torch.allclose(model.generate(user, item), intents)
    lists = WordLists.of([each[::-1] for each in model.query_lists.tolist()])
    torch.testing.assert_close(model.embed_queries(lists), model.embed_queries(model.query_lists))


def test_duplicated_and_permuted_events_change_nothing(make, searching):
    data = searching()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        data[edge_type].edge_index = data[edge_type].edge_index[:, order]
    inter = data['user', 'interacts', 'item']
    inter.edge_index = inter.edge_index.flip(1)
    # Counts of words tie in this graph, so the first-seen order is kept out of it.
    model = make(data, generator=False)
    torch.testing.assert_close(model()['user'], make(generator=False)()['user'])
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        data[edge_type].edge_index = data[edge_type].edge_index.repeat(1, 2)
    twice = make(data, recommendations='none', generator=False)
    once = make(recommendations='none', generator=False)
    torch.testing.assert_close(twice()['user'], once()['user'])


def test_same_seed_same_numbers_and_dropout_is_seeded(make, events, searching):
    for seed, equal in ((0, True), (1, False)):
        a, b = (UDITSR.from_graph(searching(), dim=4, seed=n) for n in (0, seed))
        assert torch.equal(a.item_embedding, b.item_embedding) == equal
        assert torch.equal(a.intent.key.weight, b.intent.key.weight) == equal
    losses = [make(dropout=0.5).loss(events()) for _ in range(2)]
    assert torch.equal(*losses)
    model = make(dropout=0.5)
    assert not torch.equal(model.loss(events()), model.loss(events()))
    before = torch.get_rng_state()
    model.loss(events()).backward()
    assert torch.equal(before, torch.get_rng_state())
    model.eval()
    torch.testing.assert_close(model.loss(events()), make().loss(events()))


def test_dropout_has_the_gradient_of_its_loss(make, events):
    model = make(dropout=0.3, sg_weight=1.0)
    rows, weight = events(), model.intent.second.weight

    def loss():
        model.begin_epoch(torch.Generator().manual_seed(3))
        return model.loss(rows)

    (grad,) = torch.autograd.grad(loss(), weight)
    step = 1e-6
    for place in ((0, 1), (3, 2)):
        with torch.no_grad():
            weight[place] += step
            above = loss()
            weight[place] -= 2 * step
            below = loss()
            weight[place] += step
        torch.testing.assert_close((above - below) / (2 * step), grad[place], rtol=1e-4, atol=1e-8)


def test_every_parameter_learns(make, events):
    model = make()
    model.loss(events()).backward()
    for name, parameter in model.named_parameters():
        if not name.endswith('head.last.bias'):  # It shifts both items of a pair alike.
            assert parameter.grad.abs().sum() > 0, name


def test_refresh_after_an_edit_equals_building_without_the_events(searching):
    data = searching()
    model = UDITSR.from_graph(data, dim=4)
    keep = data['user', 'searches', 'query'].edge_index[0] < 2
    for edge_type in (('user', 'searches', 'query'), ('query', 'finds', 'item')):
        data[edge_type].edge_index = data[edge_type].edge_index[:, keep]
    inter = data['user', 'interacts', 'item']
    inter.edge_index = inter.edge_index[:, inter.edge_index[0] != 2]
    kept = dict(zip(model.words.words, model.word_embedding.detach().clone(), strict=True))
    model.refresh(data)
    assert 'lamp' not in model.words.words
    for word, row in zip(model.words.words, model.word_embedding.detach(), strict=True):
        assert torch.equal(row, kept[word])
    rebuilt = UDITSR.from_graph(data, dim=4)
    rebuilt.load_state_dict(model.state_dict())
    assert torch.equal(model()['user'], rebuilt()['user'])
    assert torch.equal(model.ranker()(torch.arange(USERS)), rebuilt.ranker()(torch.arange(USERS)))


def test_save_and_load(searching, tmp_path):
    data = searching()
    model = UDITSR.from_graph(data, dim=4, recommendations='all').eval()
    graphrec.save(model, tmp_path / 'model')
    loaded = graphrec.load_model(tmp_path / 'model', data)
    people = torch.arange(USERS)
    assert torch.equal(model.ranker()(people), loaded.ranker()(people))
    assert torch.equal(
        model.score(people, query='red lamp'), loaded.score(people, query='red lamp')
    )


def test_no_index_of_vectors_whose_products_are_no_scores(make):
    with pytest.raises(GraphError, match='no vectors to export'):
        build_index(make())


def test_demand_words_are_the_nearest_of_the_generated_intent(make, searching):
    model = make()
    user, item = torch.tensor([0, 4]), torch.tensor([1, 3])
    words = model.demand_words(user, item, k=2)
    textbook = Textbook(model, searching())
    intent = torch.stack([textbook.intent(0, 1), textbook.intent(4, 3)])
    cosine = torch.cosine_similarity(intent.unsqueeze(1), model.word_embedding.unsqueeze(0), dim=2)
    best = cosine.argsort(dim=1, descending=True)[:, :2]
    assert words == [[model.words.words[w] for w in row] for row in best.tolist()]


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ({'dim': 0}, "'dim'"),
        ({'sg_reduction': 'mean'}, "'sg_reduction'"),
        ({'recommendations': 'some'}, "'recommendations'"),
        ({'searches': False, 'recommendations': 'none'}, 'no event is left'),
        ({'dropout': 1.0}, "'dropout'"),
        ({'cl_weight': -1.0}, "'cl_weight'"),
    ],
)
def test_bad_settings_are_named(searching, config, message):
    with pytest.raises(GraphError, match=message):
        UDITSR.from_graph(searching(), **config)


def test_training_beats_popularity_in_both_tasks(planted_searches):
    data = planted_searches
    model = UDITSR.from_graph(data, dim=16, recommendations='all')
    graphrec.fit(model, data, epochs=12, batch_size=256, lr=1e-2, progress=False, eval_every=12)
    floor = graphrec.evaluate(Popularity.from_graph(data), data, k=10)['ndcg@10']
    assert graphrec.evaluate(model, data, k=10)['ndcg@10'] > 1.5 * floor
    assert graphrec.evaluate(model, data, k=10, task='search')['ndcg@10'] > 1.5 * floor


def test_a_model_that_generates_no_intent_gives_no_reason(searching):
    assert UDITSR.from_graph(searching(), dim=4).has_demand
    for config in ({'generator': False}, {'searches': False}):
        model = UDITSR.from_graph(searching(), dim=4, **config)
        assert not model.has_demand
        assert 'reason' not in graphrec.recommend(model, searching(), k=1)
