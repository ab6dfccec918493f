"""Several batches at a time, each in a thread of its own.

On a CPU, a forward pass has stretches that one thread does alone, and every product waits for its
slowest part. Batches that run beside each other, on one thread each, wait for nothing; bits are the
same, since kernels do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
    before = torch.get_num_threads()
    # New threads have as many as was set last.
    torch.set_num_threads(1)
    try:
        yield from in_order(function, items, n_threads=n_threads)
    finally:
        torch.set_num_threads(before)
