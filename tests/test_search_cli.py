import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from program import run, run_json

import graphrec
from graphrec.datasets import planted, write_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    data = planted(
        num_users=40, num_items=100, num_interactions=500, num_communities=2, num_intents=3,
        num_queries=12, silent_share=0.3, modalities={}, seed=0,
    )  # fmt: skip
    data['item'].title = np.array([f'thing {n}' for n in range(100)], dtype=object)
    return write_folder(data, tmp_path_factory.mktemp('data') / 'shop')


@pytest.fixture(scope='module')
def trained(tmp_path_factory, folder):
    out = tmp_path_factory.mktemp('runs') / 'bm25'
    run('train', folder, '--model', 'bm25', '--set', 'with_queries=true', '--out', out, '--k', 5)
    return out


@pytest.fixture(scope='module')
def opened(folder, trained):
    data = graphrec.load(folder)
    return graphrec.load_model(trained, data), data


def test_search_equals_the_library(trained, folder, opened, tmp_path):
    model, data = opened
    query = data['query'].text[0]
    document = run_json('search', trained, folder, query, f'{query} unheardof', '--k', 4)
    expected = graphrec.search(model, data, [query, f'{query} unheardof'], k=4)
    assert [row['item'] for row in document['results']] == expected['item'].tolist()
    assert document['results'][0]['title'].startswith('thing ')
    assert document['unseen'] == {query: [], f'{query} unheardof': ['unheardof']}
    file = tmp_path / 'found.csv'
    said = run('search', trained, folder, query, '--k', 4, '--user', 3, '--out', file).output
    assert f'Wrote 4 rows: {file}' in said
    table = pd.read_csv(file)
    assert table['user'].tolist() == [3] * 4
    assert table['item'].tolist() == expected['item'].tolist()[:4]


def test_search_prints_a_table_and_unknown_words(trained, folder, opened):
    query = f'{opened[1]["query"].text[0]} unheardof'
    text = run('search', trained, folder, query, '--k', 2).output
    assert 'thing' in text
    assert f'Unknown to the model in "{query}": unheardof' in text


def test_search_is_judged(trained, folder, opened):
    model, data = opened
    document = run_json('evaluate', trained, folder, '--task', 'search', '--k', 5, '--groups')
    expected = graphrec.evaluate(model, data, task='search', k=5)
    assert document['scores'] == pytest.approx(dict(expected))
    assert document['searches'] == len(expected.per_event)
    assert {row['group'] for row in document['groups']} >= {'known queries', 'users with searches'}
    words = ['evaluate', trained, folder, '--task', 'search', '--k', 5, '--negatives', 9]
    sampled = run_json(*words, '--metrics', 'hit,auc', '--seed', 2)['scores']
    assert list(sampled) == ['sampled9_hit@5', 'sampled9_auc']
    masked = run('evaluate', trained, folder, '--task', 'search', '--k', 5, '--mask-valid').output
    assert 'train and valid masked' in masked


def test_models_without_queries_say_so(folder, tmp_path):
    run('train', folder, '--model', 'popularity', '--out', tmp_path / 'm', '--k', 5)
    for words in (['search', tmp_path / 'm', folder, 'x'], ['evaluate', tmp_path / 'm', folder]):
        options = ['--task', 'search'] if words[0] == 'evaluate' else []
        said = run(*words, *options, code=2).stderr
        assert said.startswith('error: ')
        assert 'Popularity has no queries' in said
    assert 'Missing argument' in run('search', tmp_path / 'm', folder, code=2).stderr


def test_real_process(trained, folder, opened):
    query = opened[1]['query'].text[1]
    words = [
        sys.executable,
        '-m',
        'graphrec',
        'search',
        trained,
        folder,
        query,
        '--k',
        '3',
        '--json',
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)['results']) == 3
