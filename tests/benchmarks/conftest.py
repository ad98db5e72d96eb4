import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'


@pytest.fixture
def benchmarks(monkeypatch):
    """Scripts and their helper files can be imported by name; afterwards their modules are
    forgotten, and torch has as many threads as before."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for name, module in [*sys.modules.items()]:
        if Path(getattr(module, '__file__', None) or '').parent == BENCHMARKS:
            del sys.modules[name]


@pytest.fixture
def small_backbone(benchmarks, monkeypatch):
    """One small LightGCN in place of the backbones of lastfm-2k-mm."""
    import _unlearning_plan as plan

    small = plan.Backbone('LightGCN', {'dim': 8}, {'epochs': 3, 'lr': 0.05, 'batch_size': 256})
    monkeypatch.setitem(plan.BACKBONES, 'lastfm-2k-mm', (small,))
    return small
