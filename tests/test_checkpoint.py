import os
import random
import signal
import subprocess
import sys

import pytest
import torch

from graphrec import storage
from graphrec.checkpoint import (
    CheckpointWriter,
    check_settings,
    read_checkpoint,
    write_checkpoint,
)
from graphrec.datasets.planted import planted
from graphrec.errors import FormatError, GraphError
from graphrec.models import LightGCN
from graphrec.training import fit

EPOCHS, BATCHES = 6, 4  # The run below: 112 training edges in batches of 32.

# The run that is killed in a process of its own and resumed in this one. `when` says at
# which call of `where` the process kills itself.
SCRIPT = """
import os, signal, sys
from graphrec import storage
sys.path.insert(0, sys.argv[1])
import test_checkpoint as run

where, when, folder = sys.argv[2], int(sys.argv[3]), sys.argv[4]
calls = 0

def deadly(call):
    def wrapped(*args, **kwargs):
        global calls
        calls += 1
        if calls == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped

if where == 'loss':
    run.LightGCN.loss = deadly(run.LightGCN.loss)
elif where == 'replace':
    storage.os.replace = deadly(os.replace)
run.train(folder, minutes=float(sys.argv[5]), callback=deadly(lambda *_: None)
          if where == 'callback' else None)
"""


def graph():
    return planted(num_users=24, num_items=20, num_interactions=130, seed=1)


def train(folder=None, minutes=None, callback=None, epochs=EPOCHS, **options):
    data = graph()
    model = LightGCN.from_graph(data, dim=8, num_layers=2, edge_dropout=0.3)
    history = fit(
        model,
        data,
        epochs=epochs,
        batch_size=32,
        lr=0.05,
        metric='ndcg@5',
        eval_every=2,
        patience=2,
        checkpoint=folder,
        checkpoint_every=1,
        checkpoint_minutes=minutes,
        progress=False,
        callbacks=[callback] if callback else [],
        **{'schedule': 'cosine', **options},
    )
    return model, history


def assert_same_run(first, second):
    (model, history), (other, again) = first, second
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    without_time = [column for column in history if column != 'seconds']
    assert history[without_time].equals(again[without_time])
    assert history.attrs == again.attrs


@pytest.fixture(scope='module')
def uninterrupted():
    return train()


def killed_run(folder, where, when, minutes):
    here = os.path.dirname(__file__)
    command = [sys.executable, '-c', SCRIPT, here, where, str(when), str(folder), str(minutes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_the_run_has_the_batches_that_the_kills_count_on(uninterrupted):
    data = graph()
    sampler = uninterrupted[0].make_sampler(data, 32)
    assert len(sampler) == BATCHES
    assert len(uninterrupted[1]) == EPOCHS


def test_killed_in_the_middle_of_an_epoch(tmp_path, uninterrupted):
    batch = random.SystemRandom().choice([n for n in range(2, 22) if n % BATCHES != 1])
    killed_run(tmp_path, 'loss', batch, minutes=0)
    state = read_checkpoint(tmp_path).state
    done = (state['epoch'] - 1) * BATCHES + state['batch']
    assert done == batch - 1, f'killed in batch {batch}'
    assert_same_run(train(tmp_path), uninterrupted)


def test_killed_between_two_epochs(tmp_path, uninterrupted):
    epoch = random.SystemRandom().randrange(2, EPOCHS + 1)
    killed_run(tmp_path, 'callback', epoch, minutes=1e9)
    state = read_checkpoint(tmp_path).state
    assert (state['epoch'], state['batch']) == (epoch, 0), f'killed in epoch {epoch}'
    assert_same_run(train(tmp_path), uninterrupted)


def test_killed_while_a_checkpoint_is_written(tmp_path, uninterrupted):
    # Three replacements a checkpoint: draft, its final name, the document that names it.
    move = random.SystemRandom().randrange(4, 40)
    killed_run(tmp_path, 'replace', move, minutes=0)
    assert read_checkpoint(tmp_path) is not None, f'killed at move {move}'
    assert_same_run(train(tmp_path), uninterrupted)
    assert len(list(tmp_path.iterdir())) == 2


def interrupt_after(batches):
    """A loss that sends this process Ctrl-C in the given batch."""
    original, calls = LightGCN.loss, []

    def loss(self, batch):
        calls.append(batch)
        if len(calls) == batches:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch)

    return loss


@pytest.mark.parametrize('batch', [1, 6, 8, 24])
def test_interrupted_by_hand(tmp_path, monkeypatch, uninterrupted, batch):
    monkeypatch.setattr(LightGCN, 'loss', interrupt_after(batch))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    monkeypatch.undo()
    state = read_checkpoint(tmp_path).state
    assert (state['epoch'] - 1) * BATCHES + state['batch'] == batch
    assert_same_run(train(tmp_path), uninterrupted)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_is_not_repeated(tmp_path, monkeypatch, uninterrupted):
    train(tmp_path)

    def loss(self, batch):
        raise AssertionError

    monkeypatch.setattr(LightGCN, 'loss', loss)
    assert_same_run(train(tmp_path), uninterrupted)


def test_a_finished_run_goes_on_with_more_epochs(tmp_path):
    train(tmp_path, epochs=4, schedule='exponential')
    resumed = train(tmp_path, schedule='exponential')
    assert_same_run(resumed, train(schedule='exponential'))


def test_other_settings_are_refused(tmp_path):
    train(tmp_path, epochs=1)
    with pytest.raises(GraphError, match=r'seed=0, this run has seed=1.*resume=False'):
        train(tmp_path, epochs=1, seed=1)
    with pytest.raises(GraphError, match="schedule='cosine', this run has schedule=None"):
        train(tmp_path, epochs=1, schedule=None)
    with pytest.raises(GraphError, match='lr='):
        train(tmp_path, epochs=1, optimizer=lambda p: torch.optim.Adam(p, lr=0.1, fused=True))
    _, history = train(tmp_path, epochs=2, seed=1, resume=False)
    assert len(history) == 2
    assert read_checkpoint(tmp_path).settings['seed'] == 1


def test_fewer_epochs_or_a_longer_cosine_are_refused(tmp_path):
    train(tmp_path, epochs=2, schedule='cosine')
    for epochs in (1, 3):
        with pytest.raises(GraphError, match=f'epochs=2, this run has epochs={epochs}'):
            train(tmp_path, epochs=epochs, schedule='cosine')


def test_other_edges_are_refused(tmp_path):
    data = graph()
    model = LightGCN.from_graph(data, dim=4)
    options = {'epochs': 1, 'checkpoint': tmp_path, 'progress': False}
    fit(model, data, **options)
    edges = data['user', 'holdout_valid', 'item']
    edges.edge_index = edges.edge_index[:, 1:]
    with pytest.raises(GraphError, match='validation edges'):
        fit(model, data, **options)


def test_check_settings():
    check_settings('x', {'a': 1}, {'a': 1})
    with pytest.raises(GraphError, match='a=1, this run has a=2'):
        check_settings('x', {'a': 1}, {'a': 2})
    with pytest.raises(GraphError, match='b=3, this run has b=None'):
        check_settings('x', {'a': 1, 'b': 3}, {'a': 1})


def test_write_and_read(tmp_path):
    folder = tmp_path / 'new' / 'folder'
    assert read_checkpoint(folder) is None
    for number in (1.0, 2.0):
        state = {'a': torch.full((3,), number), 'n': {0: number}}
        write_checkpoint(folder, {'s': (1, None)}, state)
    settings, state = read_checkpoint(folder)
    assert settings == {'s': (1, None)}
    assert state['a'].tolist() == [2.0, 2.0, 2.0]
    assert state['n'] == {0: 2.0}
    assert len(list(folder.iterdir())) == 2


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    (tmp_path / '.state.safetensors.1.tmp').mkdir()  # Left by a killed process.
    write_checkpoint(tmp_path, {}, {'a': torch.ones(1)})
    names = sorted(path.name.partition('-')[0] for path in tmp_path.iterdir())
    assert names == ['checkpoint.json', 'notes.txt', 'state']


@pytest.mark.parametrize('pattern', ['checkpoint.json', 'state-*'])
def test_a_cut_off_checkpoint_is_refused(tmp_path, pattern):
    write_checkpoint(tmp_path, {}, {'a': torch.ones(5)})
    (path,) = tmp_path.glob(pattern)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(FormatError, match=path.name):
        read_checkpoint(tmp_path)


def test_a_newer_format_is_refused(tmp_path):
    write_checkpoint(tmp_path, {}, {})
    document = storage.read_json(tmp_path / 'checkpoint.json')
    storage.write_json(tmp_path / 'checkpoint.json', {**document, 'format_version': 99})
    with pytest.raises(FormatError, match='format version 99'):
        read_checkpoint(tmp_path)


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, {}, {'a': torch.zeros(2)})

    def fail(tensors, path):
        raise storage.SafetensorError('No space left on device (os error 28)')

    monkeypatch.setattr(storage, 'save_file', fail)
    with pytest.raises(GraphError, match='the disk is full'):
        write_checkpoint(tmp_path, {}, {'a': torch.ones(2)})
    assert read_checkpoint(tmp_path).state['a'].tolist() == [0.0, 0.0]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_a_file_is_explained(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(GraphError, match='is a file'):
        write_checkpoint(tmp_path / 'file', {}, {})


def test_writer_knows_when_it_is_due(tmp_path):
    assert not CheckpointWriter(None, {}, minutes=0).minutes_passed
    assert CheckpointWriter(tmp_path, {}, minutes=0).minutes_passed
    writer = CheckpointWriter(tmp_path, {}, every=3, minutes=None)
    assert not writer.minutes_passed
    assert [epoch for epoch in range(1, 10) if writer.is_due(epoch)] == [3, 6, 9]


@pytest.mark.parametrize(
    'change', [{'tensors': '../other.safetensors'}, {'tensors': 3}, {'state': None}]
)
def test_a_checkpoint_that_was_sealed_again_is_refused(tmp_path, change):
    write_checkpoint(tmp_path, {'a': 1}, {'x': torch.ones(2)})
    path = tmp_path / 'checkpoint.json'
    storage.write_json(path, storage.read_json(path) | change)
    with pytest.raises(FormatError, match=r'checkpoint\.json'):
        read_checkpoint(tmp_path)
