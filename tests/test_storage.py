import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphrec import storage
from graphrec.errors import FormatError, GraphError

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
keys = st.text() | st.integers() | st.booleans()
trees = st.recursive(
    plain,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner),
    max_leaves=12,
)


def equal(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        same_keys = list(map(repr, a)) == list(map(repr, b))
        return same_keys and all(map(equal, a.values(), b.values()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return a == b


@given(trees)
def test_pack_and_unpack_give_the_same_tree(tree):
    packed, tensors = storage.pack(tree)
    text = json.dumps(packed, allow_nan=False)
    assert equal(storage.unpack(json.loads(text), tensors), tree)


def test_pack_takes_tensors_out():
    tree = {1: torch.arange(3), '1': [torch.ones(2), (torch.zeros(1), np.float32(0.5))]}
    packed, tensors = storage.pack(tree)
    assert len(tensors) == 3
    back = storage.unpack(json.loads(json.dumps(packed)), tensors)
    assert torch.equal(back[1], torch.arange(3))
    assert torch.equal(back['1'][0], torch.ones(2))
    assert back['1'][1][1] == 0.5


def test_pack_names_what_it_cannot_store():
    with pytest.raises(GraphError, match=r"'/a/1' holds .* of type object"):
        storage.pack({'a': [1, object()]})


def test_tensors_come_back_bit_equal(tmp_path):
    base = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    tensors = {
        'whole': base,
        'shared': base.view(-1),
        'strided': base.t(),
        'half': base.bfloat16(),
        'number': torch.tensor(7),
        'empty': torch.zeros(0, 3),
    }
    path = tmp_path / 'x.safetensors'
    sha256 = storage.write_tensors(path, tensors)
    back = storage.read_tensors(path, sha256)
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        assert back[name].dtype == value.dtype
        assert torch.equal(back[name], value)
    assert [p.name for p in tmp_path.iterdir()] == ['x.safetensors']
    assert path.stat().st_mode & 0o400


@pytest.mark.parametrize('damage', ['truncate', 'edit', 'remove'])
def test_damaged_tensors_are_refused(tmp_path, damage):
    path = tmp_path / 'x.safetensors'
    sha256 = storage.write_tensors(path, {'a': torch.arange(10)})
    content = bytearray(path.read_bytes())
    if damage == 'truncate':
        path.write_bytes(content[:-3])
    elif damage == 'edit':
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(FormatError, match=r'x\.safetensors'):
        storage.read_tensors(path, sha256)


@pytest.mark.parametrize(
    'change',
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('0.5', '0.6'),
        lambda text: '{"a": 0.5}',
        lambda text: '[1]',
        lambda text: '',
        lambda text: '\udcff',
    ],
)
def test_damaged_json_is_refused(tmp_path, change):
    path = tmp_path / 'x.json'
    storage.write_json(path, {'a': 0.5, 'b': ['ü', None]})
    assert storage.read_json(path) == {'a': 0.5, 'b': ['ü', None]}
    path.write_bytes(change(path.read_text()).encode(errors='surrogateescape'))
    with pytest.raises(FormatError, match=r'x\.json'):
        storage.read_json(path)


@pytest.mark.parametrize(
    ('number', 'words'),
    [
        (errno.ENOSPC, 'the disk is full'),
        (errno.EACCES, 'no permission'),
        (errno.EROFS, 'no permission'),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, number, words):
    path = tmp_path / 'x.json'
    storage.write_json(path, {'a': 1})

    def fail(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(storage.os, 'fsync', fail)
    with pytest.raises(GraphError, match=f'x.json.*{words}'):
        storage.write_json(path, {'a': 2})
    monkeypatch.undo()
    assert storage.read_json(path) == {'a': 1}
    assert [p.name for p in tmp_path.iterdir()] == ['x.json']


def test_safetensors_reports_a_full_disk_by_number(tmp_path, monkeypatch):
    def fail(tensors, path):
        Path(path).write_bytes(b'half')
        raise storage.SafetensorError('I/O error: No space left on device (os error 28)')

    monkeypatch.setattr(storage, 'save_file', fail)
    with pytest.raises(GraphError, match='the disk is full'):
        storage.write_tensors(tmp_path / 'x.safetensors', {'a': torch.ones(2)})
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_the_system_cuts_off_leaves_nothing(tmp_path):
    """A real failure of the system in the middle of a file: its size is limited."""
    pytest.importorskip('resource', reason='limits of a process are a POSIX matter')
    script = (
        'import resource, sys, torch\n'
        'from pathlib import Path\n'
        'from graphrec import storage\n'
        'from graphrec.errors import GraphError\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n'
        'try:\n'
        "    storage.write_tensors(Path(sys.argv[1]) / 'x', {'a': torch.zeros(10_000)})\n"
        'except GraphError as error:\n'
        '    print(error)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, tmp_path], capture_output=True, text=True, check=True
    )
    assert 'could not be written' in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_path_below_a_file_is_explained(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(GraphError, match='a part of the path is a file'):
        storage.write_json(tmp_path / 'file' / 'x.json', {})


def test_replacing_folder(tmp_path):
    path = tmp_path / 'new' / 'folder'
    with storage.replacing_folder(path) as folder:
        (folder / 'a').write_text('1')
        assert not path.exists()
    assert (path / 'a').read_text() == '1'
    with storage.replacing_folder(path) as folder:
        (folder / 'b').write_text('2')
        assert (path / 'a').read_text() == '1'
    assert [p.name for p in path.iterdir()] == ['b']
    assert [p.name for p in path.parent.iterdir()] == ['folder']


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / 'disk').mkdir()
    link = tmp_path / 'link'
    link.symlink_to(tmp_path / 'disk' / 'folder')
    for only_new in (True, False):
        with storage.replacing_folder(link, only_new=only_new) as folder:
            (folder / str(only_new)).touch()
        assert [p.name for p in (tmp_path / 'disk' / 'folder').iterdir()] == [str(only_new)]
    assert link.is_symlink()
    assert {p.name for p in tmp_path.iterdir()} == {'disk', 'link'}
    assert [p.name for p in (tmp_path / 'disk').iterdir()] == ['folder']


def test_only_new_replaces_an_empty_folder_and_nothing_else(tmp_path):
    path = tmp_path / 'folder'
    path.mkdir()
    with storage.replacing_folder(path, only_new=True) as folder:
        (folder / 'a').write_text('1')
    with (
        pytest.raises(GraphError, match='written by another run'),
        storage.replacing_folder(path, only_new=True) as folder,
    ):
        (folder / 'b').write_text('2')
    assert [p.name for p in path.iterdir()] == ['a']
    path = tmp_path / 'file'
    with (
        pytest.raises(GraphError, match='written by another run'),
        storage.replacing_folder(path, only_new=True),
    ):
        path.write_text('mine')
    assert path.read_text() == 'mine'
    assert {p.name for p in tmp_path.iterdir()} == {'folder', 'file'}


def test_replacing_folder_puts_the_old_one_back(tmp_path, monkeypatch):
    path = tmp_path / 'folder'
    with storage.replacing_folder(path) as folder:
        (folder / 'a').write_text('1')
    replace, calls = os.replace, []

    def fail_second(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise PermissionError(errno.EACCES, 'Permission denied')
        replace(source, target)

    monkeypatch.setattr(storage.os, 'replace', fail_second)
    with (
        pytest.raises(GraphError, match='no permission'),
        storage.replacing_folder(path) as folder,
    ):
        (folder / 'a').write_text('2')
    assert (path / 'a').read_text() == '1'
    assert [p.name for p in tmp_path.iterdir()] == ['folder']


def test_replacing_folder_drops_a_half_written_one(tmp_path):
    path = tmp_path / 'folder'

    def write():
        with storage.replacing_folder(path) as folder:
            (folder / 'a').write_text('1')
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('text', ['[' * 100_000, '{"a":' * 100_000])
def test_json_nested_without_end_is_refused(tmp_path, text):
    path = tmp_path / 'd.json'
    path.write_text(text)
    with pytest.raises(FormatError, match=r'd\.json'):
        storage.read_json(path)


def test_json_with_nan_is_refused(tmp_path):
    path = tmp_path / 'd.json'
    path.write_text('{"a": NaN, "sha256_of_this_document": "0"}')
    with pytest.raises(FormatError, match=r'd\.json'):
        storage.read_json(path)
