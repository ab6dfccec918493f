"""An NVIDIA GPU: two streams that take turns, batches of fixed shapes, memory that is measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor

from longbert.arrays import Array
from longbert.core.threads import in_order
from longbert.encoders.devices.base import Forward, Item, Result, tensors_of, with_arrays
from longbert.encoders.devices.driver import Driver, Stream
from longbert.encoders.devices.recordings import Recordings
from longbert.encoders.devices.room import Room, fitting_rows
from longbert.errors import DeviceMemoryError

N_LANES = 2
"""While one batch is computed, another one is prepared, copied, or its results are read."""
MOST_TOKENS = 32_768
"""Positions of a batch: enough to fill the largest GPU, few enough that a last batch, which has
rows of its own length only, wastes little."""
_SHARE = 1 / 3
"""Of free memory, for what lanes compute. Recordings and heads need some as well; where memory runs
out, fewer recordings are kept."""


class _Lane:
    """A stream with what belongs to it; one thread uses it at a time.

    All that a batch needs is copied, computed and copied back in the order of one stream, and its
    memory is of that stream. So nothing has to be kept apart by events, and no memory is given to
    another stream before it is free.
    """

    def __init__(self, driver: Driver, room: Room) -> None:
        self.stream: Stream = driver.new_stream()
        self.recordings = Recordings(driver, room.alone)


def _at_last(function: Callable[[], Result]) -> Result:
    """Call a function for which no more room can be made."""
    try:
        return function()
    except torch.OutOfMemoryError:
        pass
    raise DeviceMemoryError(
        "the GPU has too little memory for a batch, even with no other beside it: stop what else "
        "uses the GPU and run again, which goes on with what is done; or name a lower "
        "--batch-tokens, which needs another --output"
    )


class CudaDevice:
    """See :class:`longbert.encoders.devices.base.Device`.

    Args:
        driver: of the device.
    """

    has_fixed_shapes = True
    is_in_memory = False

    def __init__(self, driver: Driver) -> None:
        self.torch_device = driver.torch_device
        self._driver = driver
        self._room = Room()
        self.lanes = [_Lane(driver, self._room) for _ in range(N_LANES)]
        self._idle: SimpleQueue[_Lane] = SimpleQueue()
        for lane in self.lanes:
            self._idle.put(lane)
        self._here = threading.local()

    def upload(self, array: Array) -> Tensor:
        """Copied in the order of this thread's stream, while the other stream computes."""
        return self._driver.upload(array)

    def download(self, found: Any) -> Any:
        """All copies are on their way before the first is waited for."""
        landing = self._driver.download(tensors_of(found))
        return with_arrays(found, iter(landing.wait()))

    def compute(self, forward: Forward, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        """Replay what is recorded; outside of :meth:`map` nothing is."""
        lane: _Lane | None = getattr(self._here, "lane", None)
        return forward(*inputs) if lane is None else lane.recordings.compute(forward, inputs)

    def n_batches_at_once(self, implementation: str) -> int:
        """One for each lane, unless foreign code computes."""
        return N_LANES if implementation.startswith("longbert") else 1

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, n_at_once: int
    ) -> Iterator[Result]:
        """Apply a function in threads, each with a lane of its own while it computes."""
        begun_on = self._driver.current_stream()

        def in_lane(item: Item) -> Result:
            lane = self._idle.get()
            self._here.lane = lane
            try:
                # Weights were copied there.
                self._driver.wait(lane.stream, begun_on)
                with self._driver.on(lane.stream), self._room.shared():
                    return function(item)
            finally:
                self._here.lane = None
                self._idle.put(lane)

        return in_order(in_lane, items, n_threads=n_at_once)

    def with_room(self, function: Callable[[], Result]) -> Result:
        """On a lack of memory, again while no other batch is there and nothing is recorded.

        The shape stays the same, and so do the bits.
        """
        try:
            return function()
        except torch.OutOfMemoryError:
            pass
        # Outside of the handler, whose error would keep the batch in memory.
        if getattr(self._here, "lane", None) is None:
            self._driver.release()
            return _at_last(function)
        with self._room.alone():
            for lane in self.lanes:
                lane.recordings.clear()
            self._driver.release()
            return _at_last(function)

    def batch_tokens(self, run: Callable[[int], object], length: int) -> int:
        """So many that both lanes fit, by two small batches and what memory is free."""
        most = max(1, MOST_TOKENS // length)
        budget_bytes = self._driver.free_bytes() * _SHARE / N_LANES
        try:
            rows = fitting_rows(
                lambda rows: self._driver.peak_bytes(lambda: run(rows)),
                budget_bytes=budget_bytes,
                most=most,
            )
        except torch.OutOfMemoryError:
            rows = 1
        return MOST_TOKENS if rows == most else rows * length
