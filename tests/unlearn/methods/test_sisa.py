import numpy as np
import pytest
import torch

import graphrec
from graphrec import models, unlearn
from graphrec.graphs.schema import SEARCHES
from graphrec.unlearn.methods.sisa import fit_shards, touched_shards, train_shards
from graphrec.unlearn.sharded import ShardedConfig, ShardedRecommender, sorted_keys
from graphrec.unlearn.task import fit_settings

FIT = {'epochs': 3, 'batch_size': 512, 'lr': 1e-2}
SHORT = {'epochs': 2, 'batch_size': 128, 'lr': 1e-2}


@pytest.fixture(scope='module')
def small(learned):
    return models.LightGCN.from_graph(learned.data, dim=8, num_layers=1)


def equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope='module', params=['mean', 'attention'])
def sharded(request, learned, small):
    return train_shards(
        small, learned.data, fit=FIT, num_shards=5, aggregation=request.param, seed=1
    )


def pairs_of(data, sharded, shard, count):
    key = sorted_keys(data)[sharded.assignment == shard][:count]
    return [(int(k) // 120, int(k) % 120) for k in key]


def test_forgetting_equals_training_shards_from_scratch(learned, sharded):
    chosen = pairs_of(learned.data, sharded, 2, 9) + pairs_of(learned.data, sharded, 4, 3)
    edit = unlearn.RemoveInteractions(chosen)
    method = 'sisa' if sharded.config.aggregation == 'mean' else 'receraser'
    result = unlearn.forget(sharded, learned.data, edit, method, fit=FIT, seed=1)
    assert result.report.reason.startswith('2 of 5 shards')
    assert result.report.guarantee == 'E'
    edited = edit.apply(learned.data).data
    scratch = ShardedRecommender(edited, sharded.config)
    fit_shards(scratch, edited, range(5), fit_settings(FIT), 1, 10)
    # All five of them, with the same seeds: bit by bit.
    assert equal(result.model, scratch)
    assert torch.equal(result.model.score(torch.arange(9)), scratch.score(torch.arange(9)))
    for shard, same in ((0, True), (1, True), (2, False), (3, True), (4, False)):
        old, new = sharded.shards[shard].embedding, result.model.shards[shard].embedding
        assert torch.equal(old, new) == same
    assert 'preparation' not in result.report.seconds


def test_touched_shards(learned, small, make_task):
    model = train_shards(small, learned.data, fit=FIT, num_shards=5, seed=1)
    chosen = pairs_of(learned.data, model, 3, 2)
    for edit, wanted in (
        (unlearn.RemoveInteractions(chosen), [3]),
        (unlearn.RemoveItems([5]), [0, 1, 2, 3, 4]),
        (unlearn.RemoveModality('visual', items=[8]), [0, 1, 2, 3, 4]),
    ):
        task = make_task(model, learned.data, edit)
        assert touched_shards(task, model, model.on_graph(task.data)) == wanted


SHARED = {
    'searches': (
        unlearn.RemoveQueries([0, 3]),
        {'HyperSaR': 3, 'UDITSR': 3, 'UnionLightGCN': 3, 'LightGCN': 0, 'FREEDOM': 0},
    ),
    'text of a search': (unlearn.RemoveAttribute('query', 'text', [1]), {'HyperSaR': 3, 'MF': 0}),
    'title': (unlearn.RemoveAttribute('item', 'title', [1]), {'HyperSaR': 0, 'FREEDOM': 0}),
    'modality': (unlearn.RemoveModality('visual', [3, 4]), {'FREEDOM': 3, 'LATTICE': 3}),
    'a whole modality': (unlearn.RemoveModality('text'), {'VBPR': 3}),
    'age': (unlearn.RemoveAttribute('user', 'age', [5]), {'LATTICE': 0}),
}


@pytest.fixture(scope='module')
def searched():
    data = graphrec.datasets.planted(
        41, 31, num_interactions=500, num_communities=3, num_queries=9, query_words=True, seed=1
    )
    data['item'].title = np.array([f'thing {n}' for n in range(31)], dtype=object)
    data['user'].age = torch.arange(41)
    return data


@pytest.fixture(scope='module')
def shards_of(searched):
    """A function from a name to shards of the model of that name, trained once."""
    cache = {}

    def get(name):
        if name not in cache:
            cls = getattr(models, name)
            small = {'dim': 4, 'k': 4}
            settings = {k: v for k, v in small.items() if hasattr(cls.config_class, k)}
            model = cls.from_graph(searched, **settings)
            cache[name] = train_shards(model, searched, fit=SHORT, num_shards=3, seed=1)
        return cache[name]

    return get


@pytest.mark.parametrize(
    ('kind', 'name'), [(kind, name) for kind, (_, names) in SHARED.items() for name in names]
)
def test_what_shards_share_touches_those_that_read_it(searched, shards_of, kind, name):
    edit, wanted = SHARED[kind]
    model = shards_of(name)
    result = unlearn.forget(model, searched, edit, 'sisa', fit=SHORT, seed=1)
    assert result.report.reason.startswith(f'{wanted[name]} of 3 shards')
    edited = edit.apply(searched).data
    scratch = ShardedRecommender(edited, model.config)
    fit_shards(scratch, edited, range(3), fit_settings(SHORT), 1, 10)
    assert equal(result.model, scratch)
    assert torch.equal(result.model.score(torch.arange(9)), scratch.score(torch.arange(9)))
    report = unlearn.audit(
        model, result.model, data=searched, edit=edit, forget_report=result.report
    )
    assert [check for check in report.checks if check.passed is False] == []


def test_a_pair_that_was_searched_for_touches_all_models_of_searches(searched, shards_of):
    user, query = searched[SEARCHES].edge_index[:, 0].tolist()
    edit = unlearn.RemoveInteractions([(user, query)], SEARCHES)
    for name, count in (('HyperSaR', 3), ('LightGCN', 0)):
        result = unlearn.forget(shards_of(name), searched, edit, 'sisa', fit=SHORT, seed=1)
        assert result.report.reason.startswith(f'{count} of 3 shards')


def test_shards_keep_the_epoch_that_they_ended_with(searched, shards_of, tmp_path):
    model = shards_of('LATTICE')
    graphrec.save(model, tmp_path / 'model')
    for other in (graphrec.load_model(tmp_path / 'model', searched), model.on_graph(searched)):
        assert equal(other, model)
        assert int(other.shards[0].epoch_key) >= 0


def test_shards_of_searches_belong_to_their_searches(searched, shards_of, tmp_path):
    model = shards_of('HyperSaR')
    graphrec.save(model, tmp_path / 'model')
    edited = unlearn.RemoveQueries([0]).apply(searched).data
    with pytest.raises(graphrec.GraphError, match='trained on other edges'):
        graphrec.load_model(tmp_path / 'model', edited)
    with pytest.raises(graphrec.GraphError, match='other training edges'):
        unlearn.forget(model, edited, unlearn.RemoveQueries([3]), 'sisa', fit=SHORT)


def test_the_aggregator_is_trained_anew(learned, small):
    model = train_shards(
        small, learned.data, fit=FIT, num_shards=3, aggregation='attention', seed=1
    )
    edit = unlearn.RemoveInteractions(pairs_of(learned.data, model, 0, 4))
    result = unlearn.forget(model, learned.data, edit, 'receraser', fit=FIT)
    for number in range(3):
        old, new = model.translations[number].weight, result.model.translations[number].weight
        assert not torch.equal(old, new)
        assert not torch.equal(new, torch.eye(8))


def test_scores_are_those_of_the_formulas(sharded):
    z = [shard.forward() for shard in sharded.shards]
    if sharded.config.aggregation == 'mean':
        wanted = torch.stack([one['user'] @ one['item'].t() for one in z]).mean(0)
    else:

        def join(kind):
            e = torch.stack([w(one[kind]) for w, one in zip(sharded.translations, z, strict=True)])
            share = sharded.attention(e).exp()
            return (share / share.sum(0) * e).sum(0)

        wanted = join('user') @ join('item').t()
    scores = sharded.score(torch.arange(150))
    torch.testing.assert_close(scores, wanted.detach(), rtol=1e-4, atol=1e-5)


def test_shards_see_their_own_edges_alone(learned, sharded):
    graphs = [sharded.shard_graph(learned.data, number) for number in range(5)]
    keys = torch.cat([sorted_keys(graph) for graph in graphs])
    assert torch.equal(keys.sort().values, sorted_keys(learned.data))
    assert not [t for t in graphs[0].edge_types if 'holdout' in t[1]]


def test_it_is_saved_and_loaded(learned, sharded, tmp_path):
    graphrec.save(sharded, tmp_path / 'model')
    loaded = graphrec.load_model(tmp_path / 'model', learned.data)
    users = torch.arange(150)
    assert torch.equal(loaded.score(users), sharded.score(users))
    assert unlearn.model_digest(loaded) == unlearn.model_digest(sharded)
    assert loaded.is_trainable == sharded.is_trainable
    # What was loaded forgets as what was saved.
    edit = unlearn.RemoveInteractions(pairs_of(learned.data, sharded, 2, 3))
    first, second = (
        unlearn.forget(model, learned.data, edit, 'sisa', fit=FIT, seed=1).model
        for model in (loaded, sharded)
    )
    assert equal(first, second)


@pytest.mark.parametrize('partition', ['user', 'interaction'])
def test_partitions_by_embeddings_are_a_residue(learned, small, partition):
    result = unlearn.forget(
        small,
        learned.data,
        unlearn.RemoveUsers([3]),
        'receraser',
        fit=FIT,
        options={'partition': partition, 'num_shards': 3, 'aggregator_epochs': 2},
    )
    assert result.report.guarantee == 'A'
    assert any('residue' in note for note in result.report.notes)
    assert result.report.seconds['preparation'] > 0
    top = graphrec.recommend(result.model, result.data, k=3)
    assert 3 not in set(top['user'])


def test_other_methods_are_refused(learned, sharded):
    with pytest.raises(graphrec.GraphError, match='sharded'):
        unlearn.forget(sharded, learned.data, learned.edit, 'mmrecun', fit=FIT)


def test_models_in_closed_form_have_no_shards(searched):
    with pytest.raises(graphrec.GraphError, match='EASE is in closed form'):
        train_shards(models.EASE.from_graph(searched), searched)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'model': 'Unknown'}, 'model'),
        ({'num_shards': 1}, 'num_shards'),
        ({'partition': 'none'}, 'partition'),
        ({'aggregation': 'sum'}, 'aggregation'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(graphrec.GraphError, match=message):
        ShardedConfig(**settings)


def test_the_audit_accounts_for_all_that_shards_hold(learned, sharded):
    method = 'sisa' if sharded.config.aggregation == 'mean' else 'receraser'
    edit = learned.edit | unlearn.RemoveUsers([3])
    result = unlearn.forget(sharded, learned.data, edit, method, fit=FIT, seed=1)
    report = unlearn.audit(
        sharded, result.model, data=learned.data, edit=edit, forget_report=result.report
    )
    assert [check for check in report.checks if check.passed is False] == []
