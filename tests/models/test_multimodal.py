"""What every multimodal model of the LightGCN kind must do."""

import copy

import pytest
import torch

from graphrec.errors import GraphError
from graphrec.graphs.semantic import semantic_graph
from graphrec.models.freedom import FREEDOM
from graphrec.models.lattice import LATTICE
from graphrec.models.lgmrec import LGMRec
from graphrec.models.mgcn import MGCN
from graphrec.models.multimodal import MultimodalConfig, unit
from graphrec.persistence import load_model, save
from graphrec.training import fit

MODELS = [FREEDOM, LATTICE, MGCN, LGMRec]
USERS, ITEMS = 7, 6
ALL = torch.arange(USERS)


def build(cls, data, **config):
    """A model with k = 3 where it has neighbours, and parameters large enough to matter."""
    if cls is not LGMRec:
        config = {'k': 3, **config}
    model = cls.from_graph(data, **{'dim': 4, 'init_std': 0.5, **config})
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != 'embedding' and not name.startswith('x_'):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


def edited(data, keep):
    other = copy.copy(data)
    edge_index = data['user', 'interacts', 'item'].edge_index
    other['user', 'interacts', 'item'].edge_index = edge_index[:, keep]
    return other


@pytest.mark.parametrize('cls', MODELS)
@pytest.mark.parametrize('freeze', [True, False])
def test_scores_follow_a_permutation_of_nodes(featured, cls, freeze):
    model = build(cls, featured, freeze_features=freeze)
    user_to = torch.tensor([2, 6, 0, 1, 5, 4, 3])  # New number of every node.
    item_to = torch.tensor([3, 0, 5, 1, 2, 4])
    moved = copy.copy(featured)
    user, item = featured['user', 'interacts', 'item'].edge_index
    moved['user', 'interacts', 'item'].edge_index = torch.stack([user_to[user], item_to[item]])
    for name in ('x_visual', 'x_text'):
        moved['item'][name] = torch.empty_like(featured['item'][name])
        moved['item'][name][item_to] = featured['item'][name]
    other = build(cls, moved, freeze_features=freeze)
    with torch.no_grad():
        other.embedding[user_to] = model.embedding[:USERS]
        other.embedding[USERS + item_to] = model.embedding[USERS:]
    scores = other.score(ALL)
    torch.testing.assert_close(scores[user_to][:, item_to], model.score(ALL), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize('cls', MODELS)
def test_held_out_edges_change_nothing(featured, triples, cls):
    before = build(cls, featured)
    featured['user', 'holdout_test', 'item'].edge_index = torch.tensor([[6, 0], [5, 5]])
    featured['user', 'holdout_valid', 'item'].edge_index = torch.tensor([[5], [5]])
    after = build(cls, featured)
    for model in (before, after):
        model.begin_epoch(torch.Generator().manual_seed(0))
    assert torch.equal(before.loss(triples), after.loss(triples))
    assert torch.equal(before.score(ALL), after.score(ALL))


@pytest.mark.parametrize('cls', MODELS)
@pytest.mark.parametrize('freeze', [True, False])
def test_a_step_is_finite_with_isolated_and_featureless_nodes(featured, triples, cls, freeze):
    model = build(cls, featured, freeze_features=freeze)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(2):
        model.begin_epoch(torch.Generator().manual_seed(epoch))
        optimizer.zero_grad()
        model.loss(triples).backward()
        for parameter in model.parameters():
            assert parameter.grad is None or parameter.grad.abs().max() < 1e4
        optimizer.step()
    assert torch.isfinite(model.score(ALL)).all()


@pytest.mark.parametrize('cls', MODELS)
def test_every_parameter_is_trained(featured, triples, cls):
    model = build(cls, featured)
    model.begin_epoch(torch.Generator().manual_seed(0))
    model.loss(triples).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('cls', MODELS)
def test_state_dict_round_trip_and_seed(featured, triples, cls):
    model = cls.from_graph(featured, seed=1, **small(cls))
    same = cls.from_graph(featured, seed=1, **small(cls))
    other = cls.from_graph(featured, seed=2, **small(cls))
    assert torch.equal(model.score(ALL), same.score(ALL))
    assert not torch.equal(model.score(ALL), other.score(ALL))
    model.begin_epoch(torch.Generator().manual_seed(0))
    model.loss(triples).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.score(ALL), model.score(ALL))


def small(cls):
    return {'dim': 4} if cls is LGMRec else {'dim': 4, 'k': 3}


@pytest.mark.parametrize('cls', MODELS)
def test_evaluation_is_deterministic_and_leaves_the_mode(featured, triples, cls):
    model = build(cls, featured)
    model.begin_epoch(torch.Generator().manual_seed(0))
    model.loss(triples)
    first = model.score(ALL)
    assert torch.equal(first, model.score(ALL))
    assert model.training
    fresh = build(cls, featured)
    assert torch.equal(first, fresh.score(ALL))  # Nothing that was drawn is served.


@pytest.mark.parametrize('cls', MODELS)
def test_an_epoch_is_repeated_from_its_seed(featured, triples, cls):
    model, losses = build(cls, featured), []
    for seed in (0, 1, 0):
        model.begin_epoch(torch.Generator().manual_seed(seed))
        losses.append(model.loss(triples).item())
    assert losses[0] == losses[2]
    assert (losses[0] != losses[1]) == (cls in (FREEDOM, LGMRec))


@pytest.mark.parametrize('cls', MODELS)
def test_refresh_follows_an_edit_of_edges_and_features(featured, cls):
    model = build(cls, featured, freeze_features=True)
    before = model.score(ALL)
    other = edited(featured, slice(3, None))
    other['item'].x_text = featured['item'].x_text.flip(0)
    model.refresh(other)
    assert torch.equal(model.score(ALL), build(cls, other, freeze_features=True).score(ALL))
    assert not torch.allclose(model.score(ALL), before)


@pytest.mark.parametrize('cls', MODELS)
def test_features_that_are_trained_stay_in_a_refresh(featured, cls):
    model = build(cls, featured, freeze_features=False)
    assert 'x_text' in model.state_dict()
    kept = model.x_text.detach().clone()
    assert torch.equal(kept, featured['item'].x_text)
    other = copy.copy(featured)
    other['item'].x_text = featured['item'].x_text.flip(0)
    model.refresh(other)
    assert torch.equal(model.x_text, kept)
    assert 'x_text' not in build(cls, featured, freeze_features=True).state_dict()


@pytest.mark.parametrize('cls', MODELS)
def test_features_of_another_width_are_refused(featured, cls):
    model = build(cls, featured)
    other = copy.copy(featured)
    other['item'].x_text = torch.ones(ITEMS, 9)
    with pytest.raises(GraphError, match='x_text'):
        model.refresh(other)


@pytest.mark.parametrize('cls', MODELS)
def test_a_history_is_served_and_nothing_is_retrained(featured, cls):
    model = build(cls, featured)
    state = copy.deepcopy(model.state_dict())
    histories = [torch.tensor([0, 2]), torch.tensor([2, 0]), torch.tensor([5])]
    scores = model.rank_history(histories)
    assert scores.shape == (3, ITEMS)
    assert torch.isfinite(scores).all()
    torch.testing.assert_close(scores[0], scores[1])
    assert not torch.allclose(scores[0], scores[2])
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not scores.requires_grad


@pytest.mark.parametrize('cls', MODELS)
def test_one_modality_or_three(featured, triples, cls):
    featured['item'].x_acoustic = featured['item'].x_text[:, :2].clone()
    for names in (['text'], ['text', 'acoustic', 'visual']):
        model = build(cls, featured, modalities=names)
        assert model.modalities == names
        assert torch.isfinite(model.loss(triples))
    assert build(cls, featured).modalities == ['visual', 'acoustic', 'text']


@pytest.mark.parametrize('cls', MODELS)
def test_frozen_graphs_with_derived_features(featured, triples, cls):
    graph = semantic_graph(featured, 'visual', 3)
    frozen = copy.copy(featured)
    frozen['item'].knn_visual_index = graph.index
    frozen['item'].knn_visual_similarity = graph.similarity
    frozen['item'].x_visual_spectral = frozen['item'].x_visual
    del frozen['item'].x_visual
    model, exact = build(cls, frozen), build(cls, featured)
    assert model.modalities == ['visual', 'text']
    torch.testing.assert_close(model.score(ALL), exact.score(ALL))
    del frozen['item'].x_visual_spectral
    if cls is FREEDOM:  # Its scores need no features.
        torch.testing.assert_close(build(cls, frozen).score(ALL), exact.score(ALL))
        assert torch.isfinite(build(cls, frozen).loss(triples))
    else:
        with pytest.raises(GraphError, match='x_visual'):
            build(cls, frozen)


@pytest.mark.parametrize('cls', MODELS)
def test_items_named_absent_are_without_features(featured, cls):
    marked = copy.copy(featured)
    marked['item'].has_text = torch.tensor([True, True, True, False, False, True])
    zeroed = copy.copy(featured)
    zeroed['item'].x_text = featured['item'].x_text * marked['item'].has_text[:, None]
    torch.testing.assert_close(build(cls, marked).score(ALL), build(cls, zeroed).score(ALL))


@pytest.mark.parametrize('cls', MODELS)
@pytest.mark.parametrize(
    'config', [{'modalities': ['smell']}, {'modalities': []}, {'init_std': -1.0}, {'reg': -1.0}]
)
def test_bad_config_names_the_field(featured, cls, config):
    with pytest.raises(GraphError, match=next(iter(config))):
        cls.from_graph(featured, **config)


def test_no_features_at_all_are_refused(featured):
    del featured['item'].x_visual, featured['item'].x_text
    with pytest.raises(GraphError, match='modalities'):
        FREEDOM.from_graph(featured)


def test_a_double_model_computes_in_double(featured, triples):
    for cls in MODELS:
        model = build(cls, featured, freeze_features=True).double()
        model.begin_epoch(torch.Generator().manual_seed(0))
        assert model.loss(triples).dtype == torch.float64
        model.refresh(featured)
        assert model.loss(triples).dtype == torch.float64


def test_xavier_draw_is_that_of_both_tables(featured):
    model = FREEDOM.from_graph(featured, dim=50, k=3)
    for part in model.embedding.split([USERS, ITEMS]):
        bound = (6 / (len(part) + 50)) ** 0.5
        assert 0.9 * bound < part.abs().max() <= bound


def test_unit_rows_have_a_finite_gradient_at_zero():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    y = unit(x)
    torch.testing.assert_close(y, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    y.sum().backward()
    assert x.grad.abs().max() < 2


def test_modalities_from_json_equal_the_original():
    assert MultimodalConfig(modalities=['a', 'b']) == MultimodalConfig(modalities=('a', 'b'))


@pytest.mark.parametrize('cls', MODELS)
def test_training_saving_and_loading(featured, tmp_path, cls):
    model = build(cls, featured, modalities=['text', 'visual'])
    history = fit(model, featured, epochs=2, batch_size=4, progress=False)
    assert history['loss'].notna().all()
    save(model, tmp_path / 'model')
    other = load_model(tmp_path / 'model', featured)
    assert other.config == model.config
    assert torch.equal(other.score(ALL), model.score(ALL))


@pytest.mark.parametrize('cls', MODELS)
def test_a_run_in_two_parts_ends_with_the_same_bits(featured, tmp_path, cls):
    whole, parts = build(cls, featured), build(cls, featured)
    options = {'batch_size': 4, 'progress': False}
    fit(whole, featured, epochs=3, **options)
    fit(parts, featured, epochs=1, checkpoint=tmp_path, **options)
    resumed = build(cls, featured)
    fit(resumed, featured, epochs=3, checkpoint=tmp_path, **options)
    assert torch.equal(resumed.score(ALL), whole.score(ALL))
