"""The peak of memory of a piece of work, where the machine can tell."""

from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _RESET = Path('/proc/self/status'), Path('/proc/self/clear_refs')


def watch_memory(device: torch.device | str = 'cpu') -> Callable[[], int | None]:
    r"""Starts to watch, and returns a function that gives the bytes that the work since then
    held at most, beyond what was held at its start.

    On a GPU it is memory of tensors; on a CPU resident memory of the process, which Linux
    alone tells, and which starts anew for whoever watches it too. :obj:`None` elsewhere.
    """
    if torch.device(device).type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        return lambda: max(0, torch.cuda.max_memory_allocated(device) - held)
    try:
        _RESET.write_text('5')  # The highest resident size starts again from now.
        start = _resident('VmRSS')
    except (OSError, StopIteration):
        return lambda: None
    return lambda: max(0, _resident('VmHWM') - start)


def _resident(name: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
