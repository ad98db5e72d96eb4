import errno
import json
import os
from pathlib import Path

import pytest
import torch

from graphrec import persistence, storage
from graphrec.datasets.planted import planted
from graphrec.errors import FormatError, GraphError
from graphrec.graphs.schema import INTERACTS
from graphrec.models import EASE, MF, ItemKNN, LightGCN, Popularity
from graphrec.persistence import load_model, save

FILES = ['ids.json', 'model.json', 'weights.safetensors']


@pytest.fixture(scope='module')
def data():
    return planted(num_users=20, num_items=15, num_interactions=120, seed=2)


@pytest.fixture
def saved(data, tmp_path):
    return save(MF.from_graph(data, dim=4), tmp_path / 'model')


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.mark.parametrize(
    ('model_class', 'config'),
    [
        (Popularity, {}),
        (ItemKNN, {}),
        (EASE, {'regularization': 3.5}),
        (MF, {'dim': 4, 'seed': 7}),
        (LightGCN, {'dim': 4, 'num_layers': 2, 'layer_weights': (0.5, 0.3, 0.2)}),
    ],
)
def test_a_loaded_model_scores_the_same(data, tmp_path, model_class, config):
    model = model_class.from_graph(data, **config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    path = save(model, tmp_path / 'model')
    assert names(path) == FILES
    loaded = load_model(path, data)
    assert type(loaded) is model_class
    assert loaded.config == model.config
    assert not loaded.training
    users = torch.arange(20)
    assert torch.equal(loaded.score(users), model.score(users))


def test_save_into_a_new_place_and_with_a_relative_path(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(Popularity.from_graph(data), 'a/b/model')
    assert path == tmp_path / 'a' / 'b' / 'model'
    load_model('a/b/model', data)


def test_a_saved_model_is_replaced_as_a_whole(data, saved):
    (saved / 'extra.txt').write_text('')
    save(Popularity.from_graph(data), saved)
    assert names(saved) == FILES
    assert names(saved.parent) == ['model']
    assert isinstance(load_model(saved, data), Popularity)


def test_other_folders_and_files_are_not_replaced(data, tmp_path):
    model = Popularity.from_graph(data)
    (tmp_path / 'thesis.tex').write_text('years of work')
    with pytest.raises(GraphError, match=r"other files \('thesis.tex'\), not a saved model"):
        save(model, tmp_path)
    with pytest.raises(GraphError, match='is a file; a model is saved as a folder'):
        save(model, tmp_path / 'thesis.tex')
    assert names(tmp_path) == ['thesis.tex']


def test_an_empty_folder_is_taken(data, tmp_path):
    load_model(save(Popularity.from_graph(data), tmp_path), data)


def test_a_path_below_a_file_is_explained(data, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(GraphError, match=r"'.*file/model' could not be written.*is a file"):
        save(Popularity.from_graph(data), tmp_path / 'file' / 'model')


@pytest.mark.parametrize('file', FILES)
@pytest.mark.parametrize(
    ('number', 'words'), [(errno.ENOSPC, 'the disk is full'), (errno.EACCES, 'no permission')]
)
def test_a_failed_save_keeps_the_old_model(data, saved, monkeypatch, file, number, words):
    before = {name: (saved / name).read_bytes() for name in FILES}
    replace = os.replace

    def fail(source, target):
        if Path(target).name == file:
            raise OSError(number, os.strerror(number))
        replace(source, target)

    monkeypatch.setattr(storage.os, 'replace', fail)
    with pytest.raises(GraphError, match=words):
        save(LightGCN.from_graph(data, dim=8), saved)
    assert {name: (saved / name).read_bytes() for name in names(saved)} == before
    assert names(saved.parent) == ['model']


def test_no_permission_for_the_folder(data, tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(storage.Path, 'mkdir', fail)
    with pytest.raises(GraphError, match=r'model.*no permission; name a folder'):
        save(Popularity.from_graph(data), tmp_path / 'model')
    assert names(tmp_path) == []


@pytest.mark.parametrize('file', FILES)
@pytest.mark.parametrize('damage', ['truncate', 'edit', 'empty', 'remove'])
def test_a_damaged_file_is_named(data, saved, file, damage):
    path = saved / file
    content = bytearray(path.read_bytes())
    if damage == 'truncate':
        path.write_bytes(content[: len(content) // 2])
    elif damage == 'edit':
        digit = next(n for n in range(len(content) // 2, len(content)) if content[n] in b'12345')
        content[digit] += 1
        path.write_bytes(content)
    elif damage == 'empty':
        path.write_bytes(b'')
    else:
        path.unlink()
    with pytest.raises(FormatError, match=file):
        load_model(saved, data)


def test_a_missing_model_is_named(data, tmp_path):
    with pytest.raises(FormatError, match=r"no model in '.*nowhere'"):
        load_model(tmp_path / 'nowhere', data)


def test_a_stop_in_the_moment_of_replacement_is_explained(data, saved):
    saved.rename(storage.previous_folder(saved))
    with pytest.raises(FormatError, match=r"rename '.*model.previous' to 'model'"):
        load_model(saved, data)
    storage.previous_folder(saved).rename(saved)
    load_model(saved, data)


def rewrite(folder, **changes):
    document = storage.read_json(folder / 'model.json')
    storage.write_json(folder / 'model.json', {**document, **changes})


def test_a_newer_format_is_refused(data, saved):
    rewrite(saved, format_version=2)
    with pytest.raises(FormatError, match='format version 2'):
        load_model(saved, data)


@pytest.mark.parametrize('name', ['Recommender', 'torch', '__import__', 'os.system', 'MyModel'])
def test_only_models_of_the_package_are_built(data, saved, name):
    rewrite(saved, model=name)
    with pytest.raises(GraphError, match=r'which graphrec.models does not have'):
        load_model(saved, data)


def test_an_unknown_setting_is_refused(data, saved):
    rewrite(saved, config={'dim': 4, 'depth': 3})
    with pytest.raises(GraphError, match="MF has no setting 'depth'"):
        load_model(saved, data)


def test_weights_of_another_size_are_refused(data, saved):
    rewrite(saved, config={'dim': 5})
    with pytest.raises(FormatError, match=r'weights\.safetensors'):
        load_model(saved, data)


def test_loading_runs_nothing_from_the_files(saved):
    for name in FILES[:2]:
        json.loads((saved / name).read_bytes())
    content = (saved / 'weights.safetensors').read_bytes()
    size = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8 : 8 + size])
    assert set(header) == {'embedding'}
    assert header['embedding']['dtype'] == 'F32'


class OwnModel(MF):
    pass


def test_a_class_of_ones_own(data, tmp_path):
    path = save(OwnModel.from_graph(data, dim=3), tmp_path / 'model')
    with pytest.raises(GraphError, match=r"'OwnModel'.*'model_class'"):
        load_model(path, data)
    with pytest.raises(GraphError, match="is a 'OwnModel', not a 'MF'"):
        load_model(path, data, model_class=MF)
    assert type(load_model(path, data, model_class=OwnModel)) is OwnModel


def test_other_ids_are_refused(data, saved):
    other = data.clone()
    other['item'].id = data['item'].id.copy()
    other['item'].id[3] = 99
    with pytest.raises(GraphError, match=r'other item ids .*number 3 was 3, now 99'):
        load_model(saved, other)
    with pytest.raises(GraphError, match='other item ids'):
        load_model(saved, other, strict=False)


def test_another_number_of_users_is_refused(data, saved):
    other = planted(num_users=21, num_items=15, num_interactions=120)
    with pytest.raises(GraphError, match=r'other user ids .*: 20 of them, now 21'):
        load_model(saved, other)


def test_ids_of_another_type_are_refused(data, saved):
    other = data.clone()
    other['user'].id = data['user'].id.astype(str).astype(object)
    with pytest.raises(GraphError, match="number 0 was 0, now '0'"):
        load_model(saved, other)


def test_other_training_edges_are_refused_unless_not_strict(data, saved):
    other = data.clone()
    other[INTERACTS].edge_index = data[INTERACTS].edge_index[:, 1:]
    with pytest.raises(GraphError, match=r'other edges.*strict=False'):
        load_model(saved, other)
    loaded = load_model(saved, other, strict=False)
    assert torch.equal(loaded.embedding, load_model(saved, data).embedding)


def test_the_order_of_the_edges_does_not_matter(data, saved):
    other = data.clone()
    other[INTERACTS].edge_index = data[INTERACTS].edge_index.flip(1)
    load_model(saved, other)


def test_after_an_edit_the_model_stands_for_the_new_graph(data, tmp_path):
    model = LightGCN.from_graph(data, dim=4)
    edited = data.clone()
    edited[INTERACTS].edge_index = data[INTERACTS].edge_index[:, 5:]
    model.refresh(edited)
    path = save(model, tmp_path / 'model')
    load_model(path, edited)
    with pytest.raises(GraphError, match='other edges'):
        load_model(path, data)


def test_string_ids_come_back(data, tmp_path):
    named = data.clone()
    for node_type in ('user', 'item'):
        ids = data[node_type].id.astype(str).astype(object)
        named[node_type].id = f'{node_type} ' + ids
    path = save(MF.from_graph(named, dim=2), tmp_path / 'model')
    assert load_model(path, named).ids['item'][3] == 'item 3'
    assert storage.read_json(path / 'ids.json')['user'][19] == 'user 19'


def test_a_model_that_does_not_know_its_graph_is_named(data, tmp_path):
    model = MF.from_graph(data)
    model.training_digest = None
    with pytest.raises(GraphError, match=r'refresh\(\) must call super\(\).refresh'):
        save(model, tmp_path / 'model')
    assert persistence.DOCUMENT not in names(tmp_path)


@pytest.mark.parametrize(
    'change',
    [
        lambda d: d.pop('config'),
        lambda d: d.pop('format_version'),
        lambda d: d.update(sha256={}),
        lambda d: d.update(model=3),
        lambda d: d['config'].update(dim='4'),
        lambda d: d['config'].update(dim=10**12),
    ],
)
def test_a_document_that_was_sealed_again_is_refused(data, saved, change):
    document = storage.read_json(saved / 'model.json')
    change(document)
    storage.write_json(saved / 'model.json', document)
    with pytest.raises(GraphError, match=r'model\.json|of class 3'):
        load_model(saved, data)


def test_ids_that_are_no_lists_are_refused(data, saved):
    document = storage.read_json(saved / 'model.json')
    document['sha256']['ids.json'] = storage.write_json(saved / 'ids.json', {'user': 3})
    storage.write_json(saved / 'model.json', document)
    with pytest.raises(FormatError, match=r'ids\.json'):
        load_model(saved, data)
