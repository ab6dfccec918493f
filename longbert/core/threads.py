"""Work on several items at a time, with results in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    n_threads: int,
    at_most: int | None = None,
) -> Iterator[Result]:
    """Apply a function to items, several at a time.

    Args:
        function: takes one item.
        items: taken by the calling thread.
        n_threads: 1 calls the function in this thread.
        at_most: items that are taken before the result of the first of them is given; None: all.

    Yields:
        Results in the order of the items.
    """
    if n_threads <= 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="longbert-batch")
    try:
        futures: deque[Future[Result]] = deque()
        for item in items:
            futures.append(pool.submit(function, item))
            if at_most is not None and len(futures) >= at_most:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        # On an error or a signal, what has not begun shall not.
        pool.shutdown(cancel_futures=True)
