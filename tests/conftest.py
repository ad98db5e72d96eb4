import os
import signal
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope='session')
def data_root() -> Path:
    """Folder of the real data sets; missing is a failure in CI and a skip elsewhere."""
    root = Path(os.environ.get('GRAPHREC_DATA', '../shared/data'))
    if not root.is_dir():
        message = f'real data sets not found at {root}; set GRAPHREC_DATA'
        if os.environ.get('CI') == 'true':
            pytest.fail(message)
        pytest.skip(message)
    return root


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    """Tests that draw without a generator of their own draw the same in every run."""
    torch.manual_seed(0)


@pytest.fixture(scope='session', autouse=True)
def _interrupts_arrive() -> None:
    """A shell that runs the tests in the background has SIGINT ignored in them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
