import os
import signal
from pathlib import Path

import pytest
import torch

import graphrec


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


@pytest.fixture(scope='session')
def write_models():
    """A function that writes planted data and models that were trained on it, by name and seed,
    into a folder, with a file of two users to forget."""

    def write(place, epochs, **seeds):
        data = graphrec.datasets.planted(40, 30, num_communities=4, modalities={})
        graphrec.datasets.write_folder(data, place / 'data')
        for name, seed in seeds.items():
            model = graphrec.models.MF.from_graph(data, dim=8, seed=seed)
            graphrec.fit(model, data, epochs=epochs, batch_size=256, progress=False)
            graphrec.save(model, place / name)
        (place / 'users.txt').write_text('3\n17\n')
        return data

    return write
