import os
import subprocess
import sys

import pytest

from graphrec.errors import GraphError
from graphrec.storage import temporary_folder
from graphrec.writing_place import check_writable, clear_leftovers


def test_what_can_be_written_is_not_made(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'elsewhere' / 'folder')
    for path in ('new', 'a/b/c', 'link', 'link/below'):
        check_writable(tmp_path / path)
    assert [path.name for path in tmp_path.iterdir()] == ['link']


def test_what_cannot_be_written_is_known_before(tmp_path):
    (tmp_path / 'file').write_text('mine')
    for path in ('file/new', 'file/a/b'):
        with pytest.raises(GraphError, match=f"{path}' could not be written: a part of the path"):
            check_writable(tmp_path / path)
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_leftovers_of_processes_that_are_gone(tmp_path):
    path = tmp_path / 'a[1]'
    running, gone = temporary_folder(path), subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    left = path.with_name(f'.{path.name}.{gone.pid}.tmp')
    huge = path.with_name(f'.{path.name}.{"9" * 30}.tmp')
    others = [tmp_path / f'.b.{gone.pid}.tmp', path.with_name(f'.{path.name}.x.tmp')]
    for each in (running, left, huge, *others):
        each.mkdir()
    clear_leftovers(path)
    assert not left.exists()
    assert not huge.exists()
    assert all(each.exists() for each in (running, *others))
    assert running.name == f'.a[1].{os.getpid()}.tmp'
