"""Bad input, from end to end: through the command line (exit code 2, one line that names the
thing, no traceback) and through the calls of the library."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from program import run

import graphrec
from graphrec.datasets import planted, write_folder

ROOT = Path(__file__).parents[1]


def refused(*words):
    """The one line on standard error of a command that was refused."""
    result = run(*words, code=2)
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith('error: ')
    assert not [line for line in lines if 'Traceback' in line or line.startswith('  File')]
    assert sum(line.startswith('error: ') for line in lines) == 1
    assert result.stdout == '' or not result.stdout.startswith('{')
    return lines[-1]


def accepted(*words):
    return run(*words).stdout


def make(path, table, **features):
    path.mkdir()
    pd.DataFrame(table).to_csv(path / 'interactions.csv', index=False)
    for name, values in features.items():
        np.save(path / f'item_{name}.npy', values)
    return path


def pairs():
    """Four users, five items, every user with a training, a validation and a test item."""
    rows = [
        (u, (u + n) % 5, split)
        for u in range(4)
        for n, split in enumerate(['train', 'train', 'valid', 'test'])
    ]
    return pd.DataFrame(rows, columns=['user', 'item', 'split'])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    data = planted(num_users=30, num_items=20, num_communities=4, modalities={}, seed=0)
    return write_folder(data, tmp_path_factory.mktemp('data') / 'good')


@pytest.fixture(scope='module')
def model(tmp_path_factory, folder):
    out = tmp_path_factory.mktemp('runs') / 'model'
    accepted('train', folder, '--model', 'mf', '--out', out, '--epochs', 1, '--k', 5, '--quiet')
    return out


# Tables.


def test_missing_column(tmp_path):
    path = make(tmp_path / 'd', pairs().rename(columns={'item': 'product'}))
    line = refused('describe', path)
    assert "'item'" in line
    assert 'product' in line  # What there is instead.
    accepted('describe', path, '--load', 'item=product')


def test_empty_table(tmp_path):
    assert 'interactions' in refused('describe', make(tmp_path / 'd', pairs().head(0)))


def test_missing_id(tmp_path):
    table = pairs().astype({'user': object})
    table.loc[2, 'user'] = None
    assert "'user'" in refused('describe', make(tmp_path / 'd', table))


def test_ids_that_differ_in_type(tmp_path):
    path = make(tmp_path / 'd', pairs())
    named = pd.DataFrame({'item': ['a', 'b'], 'title': ['A', 'B']})
    named.to_csv(path / 'items.csv', index=False)
    line = refused('describe', path)
    assert 'item' in line
    assert 'integer' in line
    assert 'string' in line


def test_mixed_ids_in_one_column():
    table = pairs().astype({'user': object})
    table.loc[0, 'user'] = 'ann'
    with pytest.raises(graphrec.GraphError, match='user'):
        graphrec.graphs.from_tables(table)


def test_unknown_split_name_is_shown_and_never_training(tmp_path):
    table = pairs()
    table.loc[3, 'split'] = 'tset'
    path = make(tmp_path / 'd', table)
    assert 'holdout_tset' in accepted('describe', path)
    data = graphrec.load(path)
    assert data['user', 'interacts', 'item'].edge_index.size(1) == (table['split'] == 'train').sum()


def test_duplicates_are_repaired_and_counted(tmp_path):
    table = pairs()
    path = make(tmp_path / 'd', pd.concat([table, table.head(3)]))
    data = graphrec.load(path)
    assert sum(data.repairs.values()) == 3
    total = sum(data[t].edge_index.size(1) for t in data.edge_types)
    assert total == len(table)
    assert '3 ' in accepted('train', path, '--model', 'ease', '--out', tmp_path / 'm', '--k', 2)


# Features.


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_features_that_are_no_numbers(tmp_path, value):
    rows = np.ones((5, 3), dtype=np.float32)
    rows[2, 1] = value
    path = make(tmp_path / 'd', pairs(), visual=rows)
    line = refused('describe', path)
    assert 'visual' in line
    assert '2' in line
    accepted('describe', path, '--load', 'repair_features=true')


def test_feature_rows_that_do_not_match(tmp_path):
    line = refused('describe', make(tmp_path / 'd', pairs(), text=np.ones((3, 2), np.float32)))
    assert 'text' in line
    assert '3' in line
    assert '5' in line


# Splits.


def test_user_without_training_items_is_ranked_and_counted(tmp_path):
    table = pd.concat(
        [pairs(), pd.DataFrame({'user': [9], 'item': [0], 'split': ['test']})], ignore_index=True
    )
    path = make(tmp_path / 'd', table)
    text = accepted('train', path, '--model', 'popularity', '--out', tmp_path / 'm', '--k', 2)
    assert '1 users have no training items' in text
    data = graphrec.load(path)
    model = graphrec.models.EASE.from_graph(data)
    kept = graphrec.evaluate(model, data, k=2)
    left_out = graphrec.evaluate(model, data, k=2, require_training=True)
    assert (kept.num_users, left_out.num_users) == (5, 4)
    assert left_out.dropped['no training items'] == 1


def test_empty_split(tmp_path):
    table = pairs()
    path = make(tmp_path / 'd', table[table['split'] != 'test'])
    out = tmp_path / 'm'
    assert 'valid part' in accepted('train', path, '--model', 'ease', '--out', out, '--k', 2)
    line = refused('evaluate', out, path, '--k', 2)
    assert "'test'" in line
    assert 'valid' in line


def test_nothing_to_train_on(tmp_path):
    table = pairs()
    line = refused('describe', make(tmp_path / 'd', table[table['split'] == 'test']))
    assert 'train' in line


def test_split_by_time_without_time(folder, tmp_path):
    path = make(tmp_path / 'd', pairs())
    line = refused('train', path, '--model', 'ease', '--out', tmp_path / 'm', '--split', 'time')
    assert 'time' in line


# Files.


def test_no_such_folder(tmp_path):
    assert str(tmp_path / 'none') in refused('describe', tmp_path / 'none')


def test_folder_without_data(tmp_path):
    assert 'interactions' in refused('describe', tmp_path)


def test_half_written_archive(folder, tmp_path):
    path = tmp_path / 'd'
    path.mkdir()
    whole = pairs().to_csv(index=False).encode() * 200
    import gzip

    (path / 'interactions.csv.gz').write_bytes(gzip.compress(whole)[:-20])
    assert 'interactions.csv.gz' in refused('describe', path)


def test_half_written_features(tmp_path):
    path = make(tmp_path / 'd', pairs(), visual=np.ones((5, 300), np.float32))
    file = path / 'item_visual.npy'
    file.write_bytes(file.read_bytes()[:-100])
    assert 'item_visual.npy' in refused('describe', path)


def test_pickled_features_are_not_run(tmp_path):
    path = make(tmp_path / 'd', pairs())
    np.save(path / 'item_visual.npy', np.array([{}] * 5, dtype=object), allow_pickle=True)
    assert 'item_visual.npy' in refused('describe', path)


def test_binary_rubbish(tmp_path):
    path = tmp_path / 'd'
    path.mkdir()
    (path / 'interactions.csv').write_bytes(bytes(range(256)) * 10)
    assert 'interactions.csv' in refused('describe', path)


def test_users_file_that_is_no_text(model, folder, tmp_path):
    (tmp_path / 'ids').write_bytes(b'\xff\xfe\x00')
    assert 'UTF-8' in refused('recommend', model, folder, '--users', tmp_path / 'ids')


@pytest.mark.parametrize('name', ['model.json', 'weights.safetensors', 'ids.json', 'run.json'])
def test_half_written_model(model, folder, tmp_path, name):
    copy = shutil.copytree(model, tmp_path / 'm')
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    assert name in refused('recommend', copy, folder)


def test_no_model(folder, tmp_path):
    assert str(tmp_path / 'm') in refused('recommend', tmp_path / 'm', folder)


def test_model_of_other_data(model, tmp_path):
    assert 'ids' in refused('evaluate', model, make(tmp_path / 'd', pairs()))


# Writing.


class FullDisk:
    """Lets every write of a model fail as a full disk does, once training is over."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr('graphrec.storage.save_file', self.save_file)

    def save_file(self, tensors, path, *args):
        Path(path).write_bytes(b'half')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_disk_full_while_saving_keeps_the_old_model(model, folder, tmp_path, monkeypatch):
    out = shutil.copytree(model, tmp_path / 'm')
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    FullDisk(monkeypatch)
    words = ['train', folder, '--model', 'mf', '--out', out, '--epochs', 1, '--k', 5, '--quiet']
    assert 'disk is full' in refused(*words)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert os.listdir(tmp_path) == ['m']  # No half-written file is left beside it.


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='the system has no /dev/full')
def test_disk_full_while_printing(folder):
    with open('/dev/full', 'w') as full:
        done = subprocess.run(
            [sys.executable, '-m', 'graphrec', 'describe', str(folder), '--json'],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
    assert done.returncode != 0
    assert 'No space left' in done.stderr


def read_only(path, monkeypatch):
    """A folder that refuses writing, also to the superuser, whom modes do not stop."""
    path.mkdir()
    real = Path.mkdir

    def mkdir(self, *args, **kwargs):
        if path in self.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real(self, *args, **kwargs)

    def mkdtemp(suffix=None, prefix=None, dir=None):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir))

    monkeypatch.setattr(Path, 'mkdir', mkdir)
    monkeypatch.setattr('tempfile.mkdtemp', mkdtemp)
    return path


def test_no_permission_is_known_before_the_training(folder, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr('graphrec.job.fit', lambda *args, **kwargs: trained.append(1))
    out = read_only(tmp_path / 'locked', monkeypatch) / 'm'
    line = refused('train', folder, '--model', 'mf', '--out', out)
    assert 'permission' in line.lower()
    assert not trained


def test_out_is_a_file_or_holds_other_things(folder, tmp_path):
    file = tmp_path / 'file'
    file.write_text('mine')
    words = ['train', folder, '--model', 'ease', '--k', 5, '--out']
    assert str(file) in refused(*words, file)
    assert str(tmp_path) in refused(*words, tmp_path)
    assert str(file) in refused(*words, file / 'below')
    assert file.read_text() == 'mine'


def test_picture_of_an_unknown_kind_and_table_in_a_missing_folder(model, folder, tmp_path):
    assert '.png' in refused('describe', folder, '--picture', tmp_path / 'a.bmp')
    line = refused('recommend', model, folder, '--k', 2, '--out', tmp_path / 'none' / 'a.csv')
    assert 'none' in line


# Ids and numbers.


def test_unknown_ids(model, folder):
    assert '999' in refused('recommend', model, folder, '--users', '1,999')
    assert '888' in refused('recommend', model, folder, '--history', '1,888')
    assert '777' in refused('explain', model, folder, '--user', 1, '--item', 777)


def test_ids_of_the_wrong_type(model, folder):
    line = refused('recommend', model, folder, '--users', 'ann')
    assert 'integers' in line
    assert 'ann' in line


def test_empty_history_and_both_at_once(model, folder):
    assert 'history' in refused('recommend', model, folder, '--history', ' , ')
    assert 'not both' in refused('recommend', model, folder, '--history', '1', '--users', '1')


@pytest.mark.parametrize('k', [0, -1, 21])
def test_k_outside_the_catalogue(model, folder, tmp_path, k):
    assert str(k) in refused('recommend', model, folder, '--k', k)
    assert str(k) in refused('evaluate', model, folder, '--k', k)
    # Known before the training.
    line = refused('train', folder, '--out', tmp_path / 'm', '--k', k)
    assert str(k) in line
    assert not (tmp_path / 'm').exists()


@pytest.mark.parametrize(
    ('words', 'named'),
    [
        (['--set', 'depth=3'], 'depth'),
        (['--set', 'dim=many'], 'many'),
        (['--dim', '0'], 'dim'),
        (['--epochs', '0'], 'epochs'),
        (['--lr', 'nan'], 'lr'),
        (['--batch-size', '-5'], 'batch_size'),
        (['--metric', 'recal@20'], 'recal'),
        (['--metric', 'recall@9999'], '9999'),
        (['--model', 'ease', '--dim', '8'], 'dim'),
        (['--model', 'svd'], 'svd'),
        (['--split', 'half'], 'half'),
        (['--seed', '-1'], '-1'),
        (['--seed', 10**20], '--seed'),
        (['--set', f'seed={10**20}'], "'seed' must fit into 64 bits"),
        (['--load', 'form=csv'], 'form'),
        (['--load', 'format=xml'], 'xml'),
        (['--resume'], '--checkpoint'),
        (['--unheard-of'], '--unheard-of'),
    ],
)
def test_settings_out_of_range(folder, tmp_path, words, named):
    assert named in refused('train', folder, '--out', tmp_path / 'm', '--k', 5, *words)
    assert not (tmp_path / 'm').exists()


def test_a_seed_is_one_that_a_generator_takes(folder, tmp_path):
    for words in (['describe', folder], ['evaluate', tmp_path, folder], ['demo']):
        assert "'--seed': 9223372036854775808 is not in the range" in refused(
            *words, '--seed', 2**63
        )
    words = ['--model', 'mf', '--dim', 4, '--epochs', 1, '--k', 5, '--split', 'random', '--quiet']
    accepted('train', folder, *words, '--seed', 2**63 - 1, '--out', tmp_path / 'm')


def test_unknown_command_and_missing_argument():
    assert 'trian' in refused('trian')
    assert 'DATA' in refused('describe')
    assert 'MODEL' in refused('evaluate')


def test_too_much_memory_is_refused_before_it_starts(folder, tmp_path):
    line = refused('train', folder, '--out', tmp_path / 'm', '--k', 5, '--dim', 10**9)
    assert "'dim'" in line
    assert 'TB' in line or 'GB' in line


def test_nan_loss_names_the_batch(folder, tmp_path):
    words = ['train', folder, '--out', tmp_path / 'm', '--k', 5, '--lr', '1e38', '--quiet']
    words += ['--batch-size', 64]
    line = refused(*words, '--epochs', 3)
    assert 'batch 2' in line
    assert not (tmp_path / 'm').exists()


def test_real_process_has_one_line_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'graphrec', 'describe', str(tmp_path / 'none')],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert done.stdout == ''
    assert done.stderr.count('\n') == 1
    assert done.stderr.startswith('error: ')


def test_a_fault_of_ours_keeps_its_traceback(folder, monkeypatch):
    def broken(data):
        raise RuntimeError('a bug')

    monkeypatch.setattr('graphrec.graphs.statistics.describe', broken)
    result = run('describe', folder, code=1)
    assert isinstance(result.exception, RuntimeError)
