"""Several batches at a time on a CPU, each in a thread of its own.

A forward pass has stretches that one thread does alone, and every product waits for its slowest
part. Batches that run beside each other, on one thread each, wait for nothing; bits are the same,
since kernels do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def n_batches_at_once(device: torch.device, *, implementation: str) -> int:
    """How many batches may run at a time: one for each thread that torch has.

    One where the device is none of threads, or where foreign code, which may keep state in its
    modules, computes.
    """
    is_own = implementation.startswith("longbert")
    return torch.get_num_threads() if device.type == "cpu" and is_own else 1


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], *, n_threads: int
) -> Iterator[Result]:
    """Apply a function to items, several at a time, with one thread of torch for each.

    While this goes on torch has one thread in the calling thread, too.

    Args:
        function: takes one item.
        items: all of which are taken at once.
        n_threads: 1 calls the function in this thread, with the threads that torch has.

    Yields:
        Results in the order of the items.
    """
    if n_threads <= 1:
        yield from map(function, items)
        return
    before = torch.get_num_threads()
    # New threads have as many as was set last.
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="longbert-batch")
    try:
        futures: list[Future[Result]] = [pool.submit(function, item) for item in items]
        futures.reverse()
        while futures:
            yield futures.pop().result()
    finally:
        # On an error or a signal, what has not begun shall not.
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
