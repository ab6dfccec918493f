"""Several batches at a time, each in a thread of its own.

On a CPU, a forward pass has stretches that one thread does alone, and every product waits for its
slowest part. Batches that run beside each other, on one thread each, wait for nothing; bits are the
same, since kernels do not depend on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from longbert.core.threads import in_order

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], *, n_threads: int
) -> Iterator[Result]:
    """Apply a function to items in order, several at a time, with one thread of torch for each.

    While this goes on torch has one thread in the calling thread, too. With ``n_threads`` 1 torch
    keeps the threads that it has.
    """
    if n_threads <= 1:
        yield from map(function, items)
        return
    with one_thread():
        yield from in_order(function, items, n_threads=n_threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, in this thread and in those that are started meanwhile.

    Small operations that come one after another wait longer for a second thread than it helps them.
    Several threads may be in such blocks at once; each leaves torch with the threads that it had
    before the first of them.
    """
    n_threads = _BLOCKS.enter()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
        _BLOCKS.leave()


class _Blocks:
    """How many threads are in a block of :func:`one_thread`.

    torch has one number for all threads that are started, so within another block it is 1, which
    is not to be gone back to.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._n_threads = 0

    def enter(self) -> int:
        """Be inside; the threads that torch had before the first was."""
        with self._lock:
            if not self._n_inside:
                self._n_threads = torch.get_num_threads()
            self._n_inside += 1
            return self._n_threads

    def leave(self) -> None:
        """Be inside no more."""
        with self._lock:
            self._n_inside -= 1


_BLOCKS = _Blocks()
