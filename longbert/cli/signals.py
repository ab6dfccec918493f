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
from longbert.store.processes import end_at_once

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """The first signal raises :class:`longbert.errors.Stopped`; the next ends the process at once.

    Python runs handlers between two steps of its main thread, which may be long in coming, as
    where an index is built. So another thread waits for the second signal.

    Attributes:
        status: of the command once a signal has come, as a shell counts it: 128 and the signal.
    """

    def __init__(self) -> None:
        self.status = 128 + signal.SIGINT
        self.has_begun = False

    def handle(self, number: int, _: FrameType | None) -> None:
        """Take a signal."""
        if self.has_begun:
            end_at_once(128 + number)
        self.has_begun = True
        self.status = 128 + number
        raise Stopped

    def watch(self, reader: int) -> None:
        """End the process at the second signal.

        Args:
            reader: handle from which the number of each signal can be read; closed at its end.
        """
        has_come = False
        while number := os.read(reader, 1):
            if number[0] in _SIGNALS and has_come:
                end_at_once(128 + number[0])
            has_come = has_come or number[0] in _SIGNALS
        os.close(reader)


@contextmanager
def stopping() -> Iterator[Stopping]:
    """Have signals stop the block in good order, where this thread may say so.

    A signal that was ignored from the start, as ``nohup`` and shells in the background do, stays
    ignored. Once one has come, the process is about to end, and a second one ends it even then.
    """
    found = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=found.watch, args=(reader,), daemon=True).start()
    before_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before: dict[signal.Signals, Any] = {}
    for one in _SIGNALS:
        if signal.getsignal(one) is not signal.SIG_IGN:
            before[one] = signal.signal(one, found.handle)
    try:
        yield found
    finally:
        if not found.has_begun:
            for one, handler in before.items():
                signal.signal(one, handler)
            signal.set_wakeup_fd(before_writer)
            os.close(writer)
