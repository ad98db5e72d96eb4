from pathlib import Path

import pytest
import torch

from graphrec.unlearn import peak_memory
from graphrec.unlearn.peak_memory import watch_memory

SIZE = 64 * 2**20


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='Linux alone tells')
def test_a_peak_is_seen_after_it_is_over():
    before = watch_memory()
    table = torch.ones(SIZE // 4)
    del table
    peak = before()
    assert peak is not None
    assert 0.9 * SIZE < peak < 4 * SIZE
    quiet = watch_memory()
    assert quiet() < SIZE / 2


def test_elsewhere_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(peak_memory, '_RESET', tmp_path / 'missing' / 'clear_refs')
    assert watch_memory()() is None
