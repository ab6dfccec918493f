"""Ending in good order when a signal asks for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from longbert.errors import Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """The first signal raises :class:`longbert.errors.Stopped`; the next ends the process at once.

    Attributes:
        status: of the command once a signal has come, as a shell counts it: 128 and the signal.
    """

    def __init__(self) -> None:
        self.status = 128 + signal.SIGINT
        self._is_stopping = False

    def handle(self, number: int, _: FrameType | None) -> None:
        """Take a signal."""
        if self._is_stopping:
            os._exit(128 + number)
        self._is_stopping = True
        self.status = 128 + number
        raise Stopped


@contextmanager
def stopping() -> Iterator[Stopping]:
    """Have signals stop the block in good order, where this thread may say so.

    A signal that was ignored from the start, as ``nohup`` and shells in the background do, stays
    ignored.
    """
    found = Stopping()
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for one in _SIGNALS:
            if signal.getsignal(one) is not signal.SIG_IGN:
                before[one] = signal.signal(one, found.handle)
    try:
        yield found
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
