"""A small graph with features, and its matrices written out in float64."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch_geometric.data import HeteroData

import graphrec
from graphrec.datasets import planted
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.search_sampling import SearchBatch

USERS, ITEMS = 7, 6


@pytest.fixture
def make_graph():
    """A function that draws a small graph, see :func:`random_graph`."""
    return random_graph


def random_graph(
    users,
    items,
    share,
    *,
    lone_user=None,
    lone_item=None,
    features=None,
    featureless=None,
    draw=torch.randn,
):
    """A graph in which every pair is there with the chance :obj:`share`.

    Args:
        lone_user: One without interactions.
        lone_item: One without interactions.
        features: Widths by modality.
        featureless: An item whose features are zero.
        draw: What features are drawn by.
    """
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = users, items
    generator = torch.Generator().manual_seed(3)
    dense = torch.rand(users, items, generator=generator) < share
    if lone_user is not None:
        dense[lone_user] = False
    if lone_item is not None:
        dense[:, lone_item] = False
    data['user', 'interacts', 'item'].edge_index = dense.nonzero().t().contiguous()
    for name, width in (features or {}).items():
        x = draw(items, width, generator=generator)
        if featureless is not None:
            x[featureless] = 0
        data['item'][f'x_{name}'] = x
    return data


@pytest.fixture
def featured():
    """A graph with an isolated user 6, an isolated item 5, and item 3 without features."""
    widths = {'visual': 5, 'text': 4}
    return random_graph(USERS, ITEMS, 0.4, lone_user=6, lone_item=5, features=widths, featureless=3)


@pytest.fixture
def more_items():
    """A graph of 6 users and 7 items: an isolated user 5, an isolated item 6, and item 4
    without features."""
    widths = {'visual': 5, 'text': 3}
    return random_graph(6, 7, 0.4, lone_user=5, lone_item=6, features=widths, featureless=4)


@pytest.fixture
def positive_features():
    """A graph as large, denser, with an isolated user 6 and item 5, and features above 0."""
    return random_graph(
        USERS,
        ITEMS,
        0.45,
        lone_user=6,
        lone_item=5,
        features={'visual': 4, 'text': 3},
        draw=lambda *size, generator: torch.rand(*size, generator=generator) + 0.1,
    )


@pytest.fixture
def searching():
    """A function that makes a tiny graph with searches. User 0 found item 0 twice, user 3 what
    no interaction shows; user 4 never searched; user 5 and item 4 have nothing at all."""

    def make():
        data = HeteroData()
        data['user'].num_nodes, data['item'].num_nodes, data['query'].num_nodes = 6, 5, 4
        data['query'].text = ['red shoe', 'blue shoe big warm', 'lamp', 'unheard']
        data['user', 'interacts', 'item'].edge_index = torch.tensor(
            [[0, 0, 1, 1, 2, 2, 3, 3, 4], [0, 1, 1, 2, 0, 3, 1, 2, 3]]
        )
        user, query, item = torch.tensor(
            [[0, 0, 1, 2, 2, 3], [0, 1, 1, 2, 0, 2], [0, 0, 1, 3, 0, 0]]
        )
        data['user', 'searches', 'query'].edge_index = torch.stack([user, query])
        data['query', 'finds', 'item'].edge_index = torch.stack([query, item])
        return data

    return make


@pytest.fixture(scope='session')
def planted_searches():
    """Planted demands, easy enough to be learnt in seconds."""
    return planted(
        num_users=100,
        num_items=120,
        num_interactions=1800,
        num_communities=4,
        num_queries=12,
        num_intents=4,
        popularity_skew=0.3,
        community_strength=0.95,
        modalities={},
        seed=0,
    )


@pytest.fixture
def events():
    """Rows of (user, item, negative, query, is search) and a batch of them: people without
    searches, items without words, an unheard query, events of one pair twice."""

    def make(searches=True, recommendations=True):
        rows = []
        if searches:
            rows += [(0, 0, 4, 0, 1), (0, 0, 2, 1, 1), (1, 1, 3, 1, 1), (2, 3, 1, 2, 1)]
        if recommendations:
            rows += [(4, 3, 2, -1, 0), (1, 2, 4, -1, 0), (0, 1, 3, -1, 0), (1, 2, 0, -1, 0)]
        columns = torch.tensor(rows).t()
        return SearchBatch(*columns[:4], columns[4].bool())

    return make


@pytest.fixture
def triples():
    """Triples in which user 1 and item 2 occur twice, with isolated and featureless nodes."""
    return BPRBatch(*torch.tensor([[0, 1, 1, 6], [0, 2, 2, 3], [5, 4, 3, 0]]))


@pytest.fixture
def dense():
    """Functions that write out matrices from the papers, without any operator of ours."""
    return SimpleNamespace(
        adjacency=adjacency, incidence=incidence, cosines=cosines, scaled=scaled, bpr=bpr, lgn=lgn
    )


@pytest.fixture
def killed_run(tmp_path):
    """A function that trains models of one kind, without a stop and killed in the second
    epoch and resumed by another process, and returns both."""

    def run(data, build):
        options = {'batch_size': 5, 'seed': 3, 'epochs': 3, 'progress': False}
        whole, killed, resumed = (build() for _ in range(3))
        graphrec.fit(whole, data, **options)
        plain, steps = killed.loss, itertools.count()
        fatal = len(killed.make_sampler(data, 5)) + 2  # In the second epoch.
        killed.loss = lambda batch: plain(batch) if next(steps) < fatal else 1 / 0
        options.update(checkpoint=tmp_path, checkpoint_minutes=0)
        with pytest.raises(ZeroDivisionError):
            graphrec.fit(killed, data, **options)
        graphrec.fit(resumed, data, **options)
        return whole, resumed

    return run


@pytest.fixture
def gradcheck():
    """A function that checks the gradients of a model's loss with respect to all parameters;
    :obj:`before` is called ahead of every evaluation."""

    def check(model, batch, before=lambda: None):
        names = [name for name, _ in model.named_parameters()]

        def loss(*values):
            before()
            state = {f'model.{name}': value for name, value in zip(names, values, strict=True)}
            return torch.func.functional_call(Loss(model), state, (batch,))

        values = [p.detach().clone().requires_grad_() for p in model.parameters()]
        return torch.autograd.gradcheck(loss, values)

    return check


class Loss(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return self.model.loss(batch)


def incidence(data):
    matrix = torch.zeros(data['user'].num_nodes, data['item'].num_nodes, dtype=torch.float64)
    user, item = data['user', 'interacts', 'item'].edge_index
    matrix[user, item] = 1
    return matrix


def adjacency(data):
    r = incidence(data)
    users, items = r.shape
    matrix = torch.zeros(users + items, users + items, dtype=torch.float64)
    matrix[:users, users:], matrix[users:, :users] = r, r.t()
    scale = matrix.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * matrix * scale[None]


def lgn(data, x, layers):
    """The mean of the powers 0 to L of the adjacency, applied."""
    a = adjacency(data)
    return sum(torch.linalg.matrix_power(a, n) @ x for n in range(layers + 1)) / (layers + 1)


def cosines(x, k):
    """Cosines of each row and its k nearest, itself included, 0 elsewhere; those below 0 are
    kept as they are."""
    x = x.double()
    norm = x.norm(dim=1)
    out = torch.zeros(len(x), len(x), dtype=torch.float64)
    for i in range(len(x)):
        out[i, i] = 1
        if norm[i] == 0:
            continue
        near = [(float(x[i] @ x[j] / norm[i] / norm[j]), j) for j in range(len(x)) if j != i]
        near = sorted((pair for pair in near if norm[pair[1]] > 0), key=lambda pair: -pair[0])
        for _, j in near[: k - 1]:
            out[i, j] = x[i] @ x[j] / norm[i] / norm[j]
    return out


def scaled(weights):
    """D^(-1/2) W D^(-1/2) with row sums at both ends."""
    scale = weights.sum(1).rsqrt()
    return scale[:, None] * weights * scale[None]


def bpr(user, item, batch):
    """The mean of -ln sigma over the triples of a batch."""
    total = 0.0
    for u, i, j in zip(*batch, strict=True):
        total = total - torch.log(torch.sigmoid(user[u] @ item[i] - user[u] @ item[j]))
    return total / len(batch.user)
