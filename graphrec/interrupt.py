"""Ctrl-C that waits for the end of a training step."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from typing_extensions import Self


class DeferredInterrupt:
    """While active, the first Ctrl-C (SIGINT) is only noted in :attr:`received`, so that
    the loop can stop between two steps with a state worth keeping; the second one
    interrupts at once. Outside the main thread, where Python takes no signals, and when
    not :obj:`enabled`, it does nothing.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled and threading.current_thread() is threading.main_thread()
        self.received = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if self.enabled:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.enabled:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = True
