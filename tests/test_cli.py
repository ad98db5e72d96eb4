import json
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from program import run, run_json

import graphrec
from graphrec import job, models, runs
from graphrec.cli import main
from graphrec.command import runnable
from graphrec.datasets import planted, write_folder
from graphrec.graphs.schema import INTERACTS

ROOT = Path(__file__).parents[1]
TRAIN = ['--epochs', '4', '--batch-size', '256', '--lr', '0.01', '--dim', '8', '--k', '5']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A data folder with a split of its own."""
    data = planted(num_users=40, num_items=30, num_communities=4, modalities={}, seed=0)
    return write_folder(data, tmp_path_factory.mktemp('data') / 'small')


@pytest.fixture(scope='module')
def table_folder(tmp_path_factory, folder):
    """The same pairs with names for ids, other column names and no split."""
    path = tmp_path_factory.mktemp('data') / 'named'
    path.mkdir()
    table = pd.read_csv(next(folder.glob('interactions*')))
    named = pd.DataFrame(
        {'who': 'u' + table['user'].astype(str), 'what': 'i' + table['item'].astype(str)}
    )
    named.to_csv(path / 'interactions.csv', index=False)
    return path


@pytest.fixture(scope='module')
def trained(tmp_path_factory, folder):
    """A small LightGCN and the document that its training printed."""
    out = tmp_path_factory.mktemp('runs') / 'model'
    return out, run_json('train', folder, '--out', out, *TRAIN)


def test_no_words_and_version():
    assert 'Commands:' in run().output
    assert run('--version').output.strip() == f'graphrec, version {graphrec.__version__}'


def command_names(group=main, names=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from command_names(command, (*names, name))
        else:
            yield ' '.join((*names, name))


@pytest.mark.parametrize('name', list(command_names()))
def test_help_has_an_example_and_the_common_options(name):
    text = run(*name.split(), '--help').output
    assert f'Example: graphrec {name}' in text
    assert {'--json', '--seed', '--quiet'} <= set(text.split())


def test_short_help_is_not_cut():
    assert '...' not in run().output.partition('Commands:')[2]


def test_describe(folder, tmp_path):
    picture = tmp_path / 'a.png'
    assert 'density' in run('describe', folder, '--picture', picture).output
    assert picture.read_bytes().startswith(b'\x89PNG')
    document = run_json('describe', folder)
    data = graphrec.load(folder)
    assert document['nodes'] == {'user': 40, 'item': 30}
    assert document['edges']['user interacts item'] == data[INTERACTS].edge_index.size(1)


def test_describe_planted_follows_the_seed():
    first, again, other = (run_json('describe', 'planted', '--seed', s) for s in (1, 1, 2))
    assert first == again
    assert first['item_degree'] != other['item_degree']


def test_datasets(folder, tmp_path):
    rows = run_json('datasets', '--root', folder.parent)['datasets']
    kinds = {row['name']: row['kind'] for row in rows}
    assert kinds['planted'] == 'embedded'
    assert kinds['small'] == 'folder'
    assert 'download' in kinds.values()
    assert 'planted' in run('datasets', '--root', tmp_path / 'none').output


def test_train_says_what_it_did(trained):
    out, document = trained
    assert [row['model'] for row in document['scores']] == ['LightGCN', 'Popularity']
    assert {'recall@5', 'ndcg@5'} <= set(document['scores'][0])
    assert document['split'] == 'test'
    assert document['users'] + sum(document['dropped'].values()) == 40
    assert document['memory_bytes'] > 0
    assert document['saved'] == str(out)
    assert (out / 'model.json').exists()


def test_train_prints_a_table_and_the_next_command(folder, tmp_path):
    text = run(
        'train', folder, '--model', 'ease', '--out', tmp_path / 'm', '--quiet', '--k', 5
    ).output
    assert 'recall@5' in text
    assert 'Popularity' in text
    assert 'left out:' in text or 'users' in text
    command = next(line for line in text.splitlines() if line.startswith('Next:'))
    words = command.removeprefix('Next:').split()
    assert words[0].endswith('graphrec')
    assert run(*words[1:], '--k', 3).output


def test_json_output_is_json_alone_and_progress_goes_to_stderr(folder, tmp_path):
    words = ['train', folder, '--model', 'mf', '--out', tmp_path / 'm', *TRAIN]
    assert 'batch' not in run(*words).stdout
    assert run(*words, '--json').stderr == ''


def test_train_takes_a_preset_and_what_is_given_wins(folder, tmp_path, monkeypatch):
    seen = {}

    def fit_once(model, data, **options):
        seen.update(options)
        return graphrec.fit(model, data, **{**options, 'epochs': 1})

    monkeypatch.setattr(job, 'fit', fit_once)
    words = ['--model', 'sgl', '--preset', 'ifashion', '--dim', 4, '--lr', 0.5, '--set', 'reg=0.1']
    run('train', folder, '--out', tmp_path / 'model', *words)
    config = json.loads((tmp_path / 'model' / 'model.json').read_text('utf-8'))['config']
    assert (config['strength'], config['temperature'], config['reg']) == (0.4, 0.5, 0.1)
    assert (seen['lr'], seen['batch_size'], seen['patience']) == (0.5, 2048, 10)
    error = run('train', folder, '--model', 'sgl', '--preset', 'moon', code=2).stderr
    assert "no preset 'moon'; there are ['yelp2018'" in error


def test_same_seed_same_numbers(folder, tmp_path, trained):
    scores = run_json('train', folder, '--out', tmp_path / 'm', *TRAIN)['scores']
    assert scores == trained[1]['scores']
    other = run_json('train', folder, '--out', tmp_path / 'n', *TRAIN, '--seed', 1)['scores']
    assert other[0] != scores[0]


def test_evaluate_repeats_the_numbers_of_training(trained, folder):
    out, document = trained
    scores = run_json('evaluate', out, folder, '--k', 5)['scores']
    assert scores == {k: v for k, v in document['scores'][0].items() if k != 'model'}


def test_evaluate_options(trained, folder):
    out, _ = trained
    both = run_json('evaluate', out, folder, '--k', 3, '--metrics', 'hit,mrr', '--groups')
    assert set(both['scores']) == {'hit@3', 'mrr@3'}
    assert sum(row['num_users'] for row in both['groups']) == both['users']
    masked = run_json('evaluate', out, folder, '--k', 5, '--mask-valid')
    assert 'valid' in masked['protocol']
    sampled = run_json('evaluate', out, folder, '--k', 2, '--negatives', 2)
    assert set(sampled['scores']) == {'sampled2_recall@2', 'sampled2_ndcg@2'}
    valid = run_json('evaluate', out, folder, '--k', 5, '--split', 'valid')
    assert valid['protocol'].startswith('valid')


def test_recommend_equals_the_library(trained, folder, tmp_path):
    out, _ = trained
    data = graphrec.load(folder)
    model = graphrec.load_model(out, data)
    expected = graphrec.recommend(model, data, users=[3, 5], k=4)
    ids = tmp_path / 'ids.txt'
    ids.write_text('3\n5\n\n')
    for users in ('3,5', ids):
        rows = run_json('recommend', out, folder, '--users', users, '--k', 4)['recommendations']
        assert pd.DataFrame(rows)[['user', 'item', 'rank']].equals(
            expected[['user', 'item', 'rank']]
        )
    file = tmp_path / 'top.csv'
    run('recommend', out, folder, '--users', '3,5', '--k', 4, '--out', file)
    assert pd.read_csv(file)['item'].tolist() == expected['item'].tolist()
    everyone = run_json('recommend', out, folder, '--k', 1)['recommendations']
    assert len({row['user'] for row in everyone}) == 40


def test_recommend_for_a_history(trained, folder):
    rows = run_json('recommend', trained[0], folder, '--history', '1, 2,3', '--k', 6)
    items = [row['item'] for row in rows['recommendations']]
    assert len(items) == 6
    assert not {1, 2, 3} & set(items)


def test_explain_adds_up(trained, folder, tmp_path):
    picture = tmp_path / 'why.svg'
    words = ['explain', trained[0], folder, '--user', 3, '--item', 4, '--paths', 2]
    document = run_json(*words, '--picture', picture)
    parts = sum(row['contribution'] for row in document['contributions'])
    assert parts == pytest.approx(document['score'], abs=1e-4)
    assert len(document['table']) <= 2
    assert '<svg' in picture.read_text()
    assert 'user 3, item 4' in run(*words).output


def test_own_table_split_and_ids(table_folder, tmp_path):
    load = ['--load', 'user=who', '--load', 'item=what']
    assert run_json('describe', table_folder, *load)['nodes'] == {'user': 40, 'item': 30}
    out = tmp_path / 'm'
    document = run_json('train', table_folder, '--model', 'itemknn', '--out', out, *load, '--k', 5)
    assert 'split made: random, seed 0' in ' '.join(document['notes'])
    # Later commands make the same graph again from the record beside the model.
    scores = run_json('evaluate', out, table_folder, '--k', 5)['scores']
    assert scores['recall@5'] == document['scores'][0]['recall@5']
    rows = run_json('recommend', out, table_folder, '--users', 'u3', '--k', 2)['recommendations']
    assert all(row['item'].startswith('i') for row in rows)


@pytest.mark.parametrize('how', ['random', 'leave_one_out', 'time'])
def test_split_anew(folder, tmp_path, how):
    words = ['train', folder, '--model', 'ease', '--out', tmp_path / 'm', '--split', how, '--k', 5]
    assert f'split made: {how}' in ' '.join(run_json(*words)['notes'])
    run('evaluate', tmp_path / 'm', folder, '--k', 5)


def test_validation_part_is_carved_and_said_and_masked_at_test(folder, tmp_path):
    table = pd.read_csv(next(folder.glob('interactions*')))
    path = tmp_path / 'two_parts'
    path.mkdir()
    table['split'] = table['split'].replace('valid', 'train')
    table.to_csv(path / 'interactions.csv', index=False)
    words = ['train', path, '--model', 'mf', '--out', tmp_path / 'm', *TRAIN]
    document = run_json(*words)
    assert 'no validation part: 10% of the training edges' in ' '.join(document['notes'])
    assert 'train and valid masked' in document['protocol']
    assert document['best_epoch'] is not None
    scores = run_json('evaluate', tmp_path / 'm', path, '--k', 5)['scores']
    assert scores['recall@5'] == document['scores'][0]['recall@5']


def test_settings_reach_the_model(folder, tmp_path):
    run('train', folder, '--out', tmp_path / 'm', *TRAIN, '--num-layers', 1, '--set', 'reg=0.5')
    model = graphrec.load_model(tmp_path / 'm', graphrec.load(folder))
    assert (model.config.dim, model.config.num_layers, model.config.reg) == (8, 1, 0.5)


def test_checkpoint_is_not_lost_and_resumes(folder, tmp_path):
    words = ['train', folder, '--out', tmp_path / 'm', '--checkpoint', tmp_path / 'c', *TRAIN]
    first = run_json(*words)['scores']
    assert "'--resume'" in run(*words, code=2).stderr
    assert run_json(*words, '--resume')['scores'] == first


def test_demo(tmp_path, monkeypatch):
    monkeypatch.setattr('graphrec.demo.EPOCHS', 2)
    text = run('demo', '--out', tmp_path / 'd', '--quiet').output
    assert all(name in text for name in ('Popularity', 'ItemKNN', 'EASE', 'MF', 'LightGCN'))
    last = text.strip().splitlines()[-1]
    assert last.startswith('Next:')
    assert (tmp_path / 'd' / 'demo.png').read_bytes().startswith(b'\x89PNG')
    words = last.removeprefix('Next:').split()
    assert run(*words[1:], '--k', 2).output


def test_real_process_with_real_data(data_root, tmp_path):
    source = (data_root / 'tiktok').resolve()
    words = ['train', source, '--model', 'popularity', '--out', tmp_path / 'm', '--json']
    done = subprocess.run(
        [sys.executable, '-m', 'graphrec', *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document['users'] == 6130  # Test rows in the README; one for each of these users.
    assert [row['model'] for row in document['scores']] == ['Popularity']


def test_next_command_names_the_script_where_it_is(tmp_path, monkeypatch):
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'graphrec').touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.executable', str(tmp_path / 'bin' / 'python'))
    monkeypatch.setenv('PATH', '')
    assert runnable('graphrec demo graphrec') == 'bin/graphrec demo graphrec'
    monkeypatch.setattr('sys.executable', str(tmp_path / 'python'))
    assert runnable('graphrec demo') == 'graphrec demo'


def test_every_option_has_help():
    for name, command in main.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f'{name} {parameter.name}'


def test_train_without_out_names_the_folder_after_data_and_model(folder, tmp_path, monkeypatch):
    source = folder.resolve()
    monkeypatch.chdir(tmp_path)
    document = run_json('train', source, '--model', 'popularity', '--k', 5)
    assert document['saved'] == f'runs/{source.name}-popularity'
    assert (tmp_path / document['saved'] / 'model.json').exists()


def test_a_model_may_be_named_by_its_class(folder, tmp_path):
    out = tmp_path / 'm'
    document = run_json('train', folder, '--model', 'Popularity', '--out', out, '--k', 5)
    assert document['scores'][0]['model'] == 'Popularity'


def test_models_are_listed_one_line_each():
    lines = run('models').output.splitlines()
    assert [line.split()[0] for line in lines] == list(runs.MODELS)
    assert any('mmhcl' in line and '2025' in line and 'hypergraph' in line for line in lines)
    listed = {row['name']: row for row in run_json('models')['models']}
    assert listed.keys() == runs.MODELS.keys()
    assert listed['lightgcn']['year'] == 2020
    assert listed['popularity']['year'] is None
    assert all(row['about'] and row['graphs'] for row in listed.values())


def test_every_model_has_a_name():
    named = set(runs.MODELS.values())
    public = {getattr(models, name) for name in models.__all__} - {models.Recommender}
    assert {value for value in public if isinstance(value, type)} == named
    assert all(name == model.__name__.lower() for name, model in runs.MODELS.items())


@pytest.fixture(scope='module')
def multimodal_folder(tmp_path_factory):
    sizes = {'num_users': 30, 'num_items': 24, 'num_communities': 3, 'num_queries': 9}
    data = planted(**sizes, modalities={'visual': 0.9, 'text': 0.9}, seed=0)
    data['item'].title = np.array([f'item {number}' for number in range(24)], dtype=object)
    return write_folder(data, tmp_path_factory.mktemp('data') / 'multimodal')


@pytest.mark.parametrize('name', list(runs.MODELS))
def test_every_model_trains_by_name(name, multimodal_folder, tmp_path):
    words = ['train', multimodal_folder, '--model', name, '--out', tmp_path / 'm', '--k', 5]
    document = run_json(*words, '--epochs', 1, '--batch-size', 64)
    assert document['scores'][0]['model'] == runs.MODELS[name].__name__
    assert run('recommend', tmp_path / 'm', multimodal_folder, '--k', 2, '--quiet').output
