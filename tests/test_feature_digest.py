"""A model is only used with the features that it was trained with."""

import shutil

import numpy as np
import pytest
from program import run

import graphrec
from graphrec import datasets, runs
from graphrec.feature_digest import feature_digest
from graphrec.models import FREEDOM, MF


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Data with features, the same with others, and three models."""
    place = tmp_path_factory.mktemp('features')
    data = datasets.planted(num_users=40, num_items=30, num_communities=4)
    datasets.write_folder(data, place / 'data')
    shutil.copytree(place / 'data', place / 'other')
    for path in (place / 'other').glob('item_*.npy'):
        np.save(path, 2 * np.load(path))
    for name in ('vbpr', 'freedom', 'lightgcn'):
        words = ('--epochs', 1, '--batch-size', 256, '--dim', 8, '--k', 5, '--quiet')
        run('train', place / 'data', '--model', name, '--out', place / name, *words)
    (place / 'users.txt').write_text('3\n17\n')
    return place


@pytest.mark.parametrize('name', ['vbpr', 'freedom'])
def test_other_features_are_refused(place, tmp_path, name):
    forget = ('--users', place / 'users.txt', '--method', 'edit_only', '--out', tmp_path / 'out')
    for words in (('evaluate',), ('recommend',), ('forget', *forget)):
        told = run(words[0], place / name, place / 'other', *words[1:], code=2).stderr
        assert 'was trained with other item features' in told
    assert list(tmp_path.iterdir()) == []
    run('evaluate', place / name, place / 'data', '--k', 5)


def test_a_model_without_features_takes_any(place):
    run('evaluate', place / 'lightgcn', place / 'other', '--k', 5)
    data = graphrec.load(place / 'data')
    assert feature_digest(MF.from_graph(data), data) is None


@pytest.mark.parametrize('more', [(), ('--compact',)])
@pytest.mark.parametrize('kind', ['users', 'modality'])
def test_a_result_knows_its_own_features(place, tmp_path, kind, more):
    data = graphrec.load(place / 'data')
    modality = next(name for name in graphrec.graphs.semantic.semantic_modalities(data))
    (tmp_path / 'edit.csv').write_text(f'item,modality\n3,{modality}\n5,{modality}\n')
    asked = {
        'users': ('--users', place / 'users.txt'),
        'modality': ('--edit', tmp_path / 'edit.csv'),
    }
    words = (*asked[kind], '--method', 'edit_only', '--no-audit', *more)
    out = tmp_path / 'out'
    run('forget', place / 'freedom', place / 'data', *words, '--out', out, '--quiet')
    run('evaluate', out / 'model', out / 'data', '--k', 5)
    held, before = (runs.read_features(folder) for folder in (out / 'model', place / 'freedom'))
    assert held is not None
    assert (held == before) == (kind == 'users')


def test_records_of_before_are_read(place, tmp_path):
    data = graphrec.load(place / 'data')
    graphrec.save(FREEDOM.from_graph(data, dim=8), tmp_path / 'model')
    runs.write_record(tmp_path / 'model', str(place / 'data'), runs.Steps())
    run('evaluate', tmp_path / 'model', place / 'other', '--k', 5)
