"""Sharing the memory of a device between threads, and how much of it a batch may take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Room:
    """Lets threads compute at the same time, or one of them alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_inside = 0
        self._n_waiting = 0
        self._is_taken = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Compute beside others; wait while one is alone."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within :meth:`shared`: wait until no other thread computes, and let none begin."""
        self._leave()
        try:
            with self._changed:
                self._n_waiting += 1
                self._changed.wait_for(lambda: not self._is_taken and not self._n_inside)
                self._n_waiting -= 1
                self._is_taken = True
            try:
                yield
            finally:
                with self._changed:
                    self._is_taken = False
                    self._changed.notify_all()
        finally:
            self._enter()

    def _enter(self) -> None:
        with self._changed:
            # Who waits to be alone is not kept waiting by those who come later.
            self._changed.wait_for(lambda: not self._is_taken and not self._n_waiting)
            self._n_inside += 1

    def _leave(self) -> None:
        with self._changed:
            self._n_inside -= 1
            self._changed.notify_all()


def fitting_rows(peak_bytes: Callable[[int], int], *, budget_bytes: float, most: int) -> int:
    """How many windows a batch may hold.

    Memory grows linearly with rows, so two of them tell what any number takes. To be safe against
    steps in what kernels ask for, rows are a power of two.

    Args:
        peak_bytes: memory that a batch of so many rows takes.
        budget_bytes: memory that it may take.
        most: rows of a batch, at least 1.

    Returns:
        In ``[1, most]``; 1 where not even that fits.
    """
    few, more = 1, min(8, most)
    if more == few:
        return 1
    of_few, of_more = peak_bytes(few), peak_bytes(more)
    each = max(1.0, (of_more - of_few) / (more - few))
    fixed = max(0.0, of_few - few * each)
    fitting = int((budget_bytes - fixed) / each)
    if fitting >= most:
        return most
    return 1 if fitting < 1 else 1 << (fitting.bit_length() - 1)
