import math
import sys

import numpy as np
import pytest
import torch

from graphrec import training, validation
from graphrec.datasets.planted import planted
from graphrec.errors import CapacityError, GraphError, TrainingError
from graphrec.evaluation import evaluate
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import HOLDOUT_TEST, HOLDOUT_VALID, INTERACTS
from graphrec.models import EASE, MF, LightGCN, Recommender
from graphrec.training import fit
from graphrec.training_run import epoch_generator


@pytest.fixture(scope='module')
def data():
    return planted(num_users=60, num_items=40, num_interactions=600, seed=3)


def without(data, *edge_types):
    data = data.clone()
    for edge_type in edge_types:
        del data[edge_type]
    return data


def train(data, **options):
    model = MF.from_graph(data, dim=8)
    options = {'epochs': 3, 'batch_size': 64, 'lr': 0.05, 'progress': False, **options}
    return model, fit(model, data, **options)


class Scripted:
    """Stands for the evaluation: the given values one by one, and a copy of the model's
    table at each call."""

    def __init__(self, values):
        self.values, self.tables, self.calls = list(values), [], []

    def __call__(self, model, data, **options):
        self.calls.append(options)
        self.tables.append(model.embedding.detach().clone())
        return {'recall@20': self.values[len(self.tables) - 1], 'ndcg@20': 0.5}


@pytest.fixture
def scripted(monkeypatch):
    def install(values):
        evaluation = Scripted(values)
        monkeypatch.setattr(validation, 'evaluate', evaluation)
        return evaluation

    return install


def test_history(data):
    _, history = train(data, epochs=7, eval_every=3, metric='precision@5')
    metrics = ['precision@5', 'recall@5', 'ndcg@5']
    assert list(history.columns) == ['epoch', 'loss', 'lr', 'seconds', *metrics]
    assert history['epoch'].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert (history['lr'] == 0.05).all()
    assert (history['seconds'] > 0).all()
    assert history['loss'].is_monotonic_decreasing
    for name in metrics:
        assert history[name].notna().tolist() == [False, False, True, False, False, True, True]
    assert history.attrs['stopped'] == 'epochs'
    best = history.loc[history['precision@5'].idxmax(), 'epoch']
    assert history.attrs['best_epoch'] == best


def test_loss_of_the_history_is_the_mean_over_interactions():
    """One epoch by hand with plain SGD on the batches of the sampler."""
    data = planted(num_users=10, num_items=9, num_interactions=40, seed=0)
    model = MF.from_graph(data, dim=4)
    twin = MF.from_graph(data, dim=4)
    history = fit(
        model,
        without(data, HOLDOUT_VALID),
        epochs=1,
        batch_size=9,
        seed=5,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.5),
        progress=False,
    )
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.5)
    total, count = 0.0, 0
    generator = epoch_generator(5, 1, 'sampler')
    for batch in twin.make_sampler(data, 9).epoch(generator):
        loss = twin.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * batch.user.numel()
        count += batch.user.numel()
    assert count == data[INTERACTS].edge_index.size(1)
    assert count % 9 != 0
    assert history['loss'].item() == pytest.approx(total / count, rel=1e-12)
    assert torch.equal(model.embedding, twin.embedding)


def test_training_learns_what_the_graph_holds():
    data = planted(num_users=300, num_items=200, seed=0)
    model = LightGCN.from_graph(data, dim=16, num_layers=2)
    before = evaluate(model, data, k=20)['recall@20']
    fit(model, data, epochs=8, batch_size=512, lr=0.05, progress=False)
    assert evaluate(model, data, k=20)['recall@20'] > 2 * before


def test_same_seed_same_bits(data):
    first, history = train(data, seed=4)
    second, again = train(data, seed=4)
    other, _ = train(data, seed=5)
    assert torch.equal(first.embedding, second.embedding)
    assert history.drop(columns='seconds').equals(again.drop(columns='seconds'))
    assert not torch.equal(first.embedding, other.embedding)


def test_global_random_state_is_neither_read_nor_changed(data):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, _ = train(data)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    np.random.seed(2)
    second, _ = train(data)
    assert torch.equal(first.embedding, second.embedding)


def test_epoch_generators_differ_by_every_argument():
    def draw(*arguments):
        return torch.randint(2**62, (1,), generator=epoch_generator(*arguments)).item()

    draws = [
        draw(0, 1, 'model'),
        draw(0, 1, 'sampler'),
        draw(0, 2, 'model'),
        draw(1, 1, 'model'),
        draw(-1, 1, 'model'),
    ]
    assert len(set(draws)) == len(draws)
    assert draw(0, 1, 'model') == draws[0]


def test_best_state_is_restored(data, scripted):
    evaluation = scripted([0.1, 0.3, 0.3, 0.2, math.nan])
    model, history = train(data, epochs=5, eval_every=1)
    assert history.attrs == {'best_epoch': 2, 'stopped': 'epochs'}
    assert torch.equal(model.embedding, evaluation.tables[1])
    assert not torch.equal(model.embedding, evaluation.tables[2])
    assert not model.training


@pytest.mark.parametrize(('patience', 'epochs_run'), [(1, 6), (2, 8), (None, 20)])
def test_patience_counts_evaluations(data, scripted, patience, epochs_run):
    scripted([0.1, 0.2, 0.2, 0.1] + [0.0] * 10)
    _, history = train(data, epochs=20, eval_every=2, patience=patience)
    assert len(history) == epochs_run
    assert history.attrs['best_epoch'] == 4
    assert history.attrs['stopped'] == ('epochs' if patience is None else 'patience')


def test_test_edges_cannot_pick_the_epoch(data, scripted):
    evaluation = scripted([0.1, 0.2, 0.3])
    train(data, eval_every=1, metric='recall@20')
    assert {call['split'] for call in evaluation.calls} == {'valid'}


def test_test_edges_change_nothing(data):
    model, history = train(data, eval_every=1)
    blind, same = train(without(data, HOLDOUT_TEST), eval_every=1)
    assert torch.equal(model.embedding, blind.embedding)
    assert history.drop(columns='seconds').equals(same.drop(columns='seconds'))


def test_without_validation_edges_the_last_state_stays(data):
    model, history = train(without(data, HOLDOUT_VALID), epochs=4, eval_every=1)
    assert list(history.columns) == ['epoch', 'loss', 'lr', 'seconds']
    assert history.attrs == {'best_epoch': None, 'stopped': 'epochs'}
    other, _ = train(without(data, HOLDOUT_VALID), epochs=3)
    assert not torch.equal(model.embedding, other.embedding)


@pytest.mark.parametrize('metric', ['recall', 'recall@', 'recall@x', '@20', 'recall@0', 'a b@3'])
def test_a_metric_of_another_form_is_refused(data, metric):
    with pytest.raises(GraphError, match="'metric' must be written name@k"):
        train(data, metric=metric)


def test_an_unknown_metric_is_refused(data):
    with pytest.raises(GraphError, match='accuracy'):
        train(data, metric='accuracy@5', eval_every=1)


@pytest.mark.parametrize('name', ['test_recall@20', 'recall_test@20'])
def test_no_metric_names_the_test_part(data, name):
    with pytest.raises(GraphError, match='test'):
        train(data, metric=name, eval_every=1)


def test_cosine_schedule(data):
    _, history = train(data, epochs=4, lr=0.1, schedule='cosine')
    expected = [0.1 * (1 + math.cos(math.pi * e / 4)) / 2 for e in range(4)]
    assert history['lr'].tolist() == pytest.approx(expected)


def test_exponential_schedule(data):
    _, history = train(data, lr=0.1, schedule='exponential')
    assert history['lr'].tolist() == pytest.approx([0.1, 0.098, 0.09604])


def test_schedule_of_ones_own(data):
    step = torch.optim.lr_scheduler.StepLR
    _, history = train(data, lr=0.1, schedule=lambda optimizer: step(optimizer, 2, 0.5))
    assert history['lr'].tolist() == pytest.approx([0.1, 0.1, 0.05])


@pytest.mark.parametrize(
    'schedule',
    ['linear', 3, lambda optimizer: None, torch.optim.lr_scheduler.ReduceLROnPlateau],
)
def test_other_schedules_are_refused(data, schedule):
    with pytest.raises(GraphError, match="'schedule' must"):
        train(data, schedule=schedule)


def test_a_function_that_gives_no_optimiser_is_refused(data):
    with pytest.raises(GraphError, match="'optimizer' must be a function"):
        train(data, optimizer=lambda parameters: 3)


@pytest.mark.parametrize(
    'options',
    [
        {'epochs': 0},
        {'epochs': 2.5},
        {'batch_size': 0},
        {'eval_every': 0},
        {'patience': 0},
        {'checkpoint_every': -1},
        {'checkpoint_minutes': -1.0},
        {'lr': 0.0},
        {'weight_decay': -0.1},
        {'weight_decay': float('nan')},
        {'lr': math.nan},
    ],
)
def test_arguments_out_of_range_are_named(data, options):
    with pytest.raises(GraphError, match=f"'{next(iter(options))}' must"):
        train(data, **options)


def test_a_model_of_another_graph_is_refused(data):
    model = MF.from_graph(planted(num_users=59, num_items=40, num_interactions=600))
    with pytest.raises(GraphError, match=r'built for 59 users, but .* has 60'):
        fit(model, data, progress=False)


def test_a_graph_without_training_edges_is_refused(data):
    model = MF.from_graph(data)
    empty = data.clone()
    empty[INTERACTS].edge_index = torch.zeros(2, 0, dtype=torch.long)
    with pytest.raises(GraphError, match='no training edges'):
        fit(model, empty, progress=False)


class Exploding(MF):
    """Its loss is NaN in one batch of one epoch."""

    calls = 0

    def loss(self, batch):
        self.calls += 1
        return super().loss(batch) * (math.nan if self.calls == self.explodes_at else 1.0)


def explode(data, at, **options):
    model = Exploding.from_graph(data, dim=8)
    model.explodes_at = at
    start = model.embedding.detach().clone()
    with pytest.raises(TrainingError) as caught:
        fit(model, data, batch_size=64, lr=0.05, eval_every=1, progress=False, **options)
    return model, start, str(caught.value)


def test_a_nan_loss_names_the_batch_and_restores_the_best_state(data, scripted):
    evaluation = scripted([0.3, 0.2, 0.1])
    batches = len(MF.from_graph(data).make_sampler(data, 64))
    model, _, message = explode(data, at=2 * batches + 3)
    assert f'the loss is nan at epoch 3, batch 3 of {batches} ' in message
    assert 'learning rate (now 0.05)' in message
    assert message.endswith('the model holds its best state, epoch 1')
    assert torch.equal(model.embedding, evaluation.tables[0])
    sampler = model.make_sampler(data, 64)
    third = list(sampler.epoch(epoch_generator(0, 3, 'sampler')))[2]
    first_users = data['user'].id[third.user[:5].numpy()].tolist()
    assert f'its first users: {first_users}' in message


def test_a_nan_loss_without_a_best_state_restores_the_start(data):
    model, start, message = explode(without(data, HOLDOUT_VALID), at=4)
    assert message.endswith('the model holds its state from before training')
    assert torch.equal(model.embedding, start)


def test_a_nan_loss_leaves_the_last_good_checkpoint(data, tmp_path):
    explode(data, at=15, checkpoint=tmp_path, checkpoint_every=1)
    model = MF.from_graph(data, dim=8)
    with pytest.raises(GraphError, match="model='Exploding', this run has model='MF'"):
        fit(model, data, checkpoint=tmp_path, progress=False)
    model = Exploding.from_graph(data, dim=8)
    model.explodes_at = -1
    history = fit(
        model,
        data,
        batch_size=64,
        lr=0.05,
        eval_every=1,
        patience=2,
        checkpoint=tmp_path,
        progress=False,
        resume=False,
        epochs=2,
    )
    assert np.isfinite(history['loss']).all()


class ExplodingStep(torch.optim.SGD):
    def step(self, closure=None):
        super().step(closure)
        self.param_groups[0]['params'][0].data[3, 0] = math.inf


def test_a_parameter_that_is_not_finite_is_found_before_it_is_evaluated(data, scripted):
    scripted([])
    with pytest.raises(TrainingError, match=r"'embedding' holds NaN or infinite.*epoch 1"):
        train(data, epochs=1, batch_size=10_000, optimizer=lambda p: ExplodingStep(p, lr=0.1))


def test_closed_form_models_are_evaluated_only(data):
    model = EASE.from_graph(data)
    history = fit(model, data, metric='ndcg@10')
    assert history['epoch'].tolist() == [0]
    assert history['ndcg@10'].item() == evaluate(model, data, split='valid', k=10)['ndcg@10']
    assert history.attrs == {'best_epoch': 0, 'stopped': 'closed form'}


def test_memory_limit_refuses_before_training(data):
    with pytest.raises(CapacityError, match=r"parameters .*'memory_limit'.*'dim'"):
        train(data, memory_limit=1000)
    model, _ = train(data, memory_limit=10**9)
    assert not torch.equal(model.embedding, MF.from_graph(data, dim=8).embedding)


def test_the_limit_is_the_free_memory_of_the_machine(data, monkeypatch):
    monkeypatch.setattr(training, 'available_memory', lambda device: 1000)
    with pytest.raises(CapacityError):
        train(data)
    monkeypatch.setattr(training, 'available_memory', lambda device: None)
    train(data)


def test_callbacks_see_every_epoch_and_may_stop(data):
    rows = []

    def stop_after_two(model, row):
        rows.append(row)
        return row['epoch'] == 2

    model, history = train(data, epochs=9, callbacks=[stop_after_two, lambda model, row: None])
    assert [row['epoch'] for row in rows] == [1, 2]
    assert history.attrs == {'best_epoch': 2, 'stopped': 'callback'}
    assert history['recall@20'].notna().tolist() == [False, True]
    two, _ = train(data, epochs=2)
    assert torch.equal(model.embedding, two.embedding)


class FixedSampler:
    """Two batches an epoch, always the same."""

    def __len__(self):
        return 2

    def epoch(self, generator, start=0):
        batch = BPRBatch(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([2, 3]))
        yield from [batch] * (2 - start)


def test_sampler_of_ones_own(data):
    model, _ = train(data, sampler=FixedSampler(), weight_decay=0.0)
    start = MF.from_graph(data, dim=8).embedding
    changed = (model.embedding != start).any(dim=1).nonzero().squeeze(1).tolist()
    assert changed == [0, 1, 60, 61, 62, 63]


class Noisy(Recommender):
    """Redraws in begin_epoch and goes on drawing from the same generator in the loss."""

    config_class = MF.config_class

    def __init__(self, data, config):
        super().__init__(data, config)
        self.weight = torch.nn.Parameter(torch.zeros(3))
        self.refresh(data)

    def begin_epoch(self, generator):
        self.generator = generator
        self.base = torch.rand(3, generator=generator)

    def loss(self, batch):
        noise = torch.rand(3, generator=self.generator)
        return ((self.weight - self.base - noise) ** 2).sum()


def test_a_model_that_draws_in_its_loss_resumes_bit_equal(data, tmp_path):
    data = without(data, HOLDOUT_VALID)
    options = {'epochs': 3, 'batch_size': 64, 'checkpoint_minutes': 0.0, 'progress': False}
    straight = Noisy.from_graph(data)
    fit(straight, data, **options)

    broken = Noisy.from_graph(data)
    original, calls = Noisy.loss, []

    def loss(batch):
        calls.append(batch)
        if len(calls) == 12:
            raise InterruptedError
        return original(broken, batch)

    broken.loss = loss
    with pytest.raises(InterruptedError):
        fit(broken, data, checkpoint=tmp_path, **options)
    resumed = Noisy.from_graph(data)
    fit(resumed, data, checkpoint=tmp_path, **options)
    assert torch.equal(resumed.weight, straight.weight)


def test_progress_bar_shows_loss_metric_and_speed(data, capsys, monkeypatch):
    monkeypatch.setattr('graphrec.training_log._REFRESH_SECONDS', 0.0)
    train(data, progress=True, eval_every=1)
    shown = capsys.readouterr().err
    for part in ('loss=', 'recall@20=', 'interactions/s', 'epoch=3'):
        assert part in shown
    train(data, progress=False)
    assert capsys.readouterr() == ('', '')


def test_tensorboard(data, tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, history = train(data, tensorboard=tmp_path, eval_every=2)
    log = EventAccumulator(str(tmp_path))
    log.Reload()
    assert [e.step for e in log.Scalars('loss')] == [1, 2, 3]
    assert [e.value for e in log.Scalars('loss')] == pytest.approx(history['loss'].tolist())
    assert [e.step for e in log.Scalars('recall@20')] == [2, 3]


def test_tensorboard_that_is_not_installed_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    with pytest.raises(GraphError, match=r"pip install 'graphrec\[tensorboard\]'"):
        train(data, tensorboard=tmp_path)


def test_tensorboard_below_a_file_is_explained(data, tmp_path):
    pytest.importorskip('tensorboard')
    (tmp_path / 'file').write_text('')
    with pytest.raises(GraphError, match='could not be written'):
        train(data, tensorboard=tmp_path / 'file' / 'log')
