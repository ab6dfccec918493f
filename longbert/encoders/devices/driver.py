"""What a CUDA device is asked to do, in calls of torch.

Every call of ``torch.cuda`` beside those that choose a device is here, so that a stand-in can take
the place of this one module in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

from longbert.arrays import Array

Stream = Any
"""Work in order; work of two streams runs at the same time."""


class Landing(Protocol):
    """Copies on their way into memory."""

    def wait(self) -> list[Array]:
        """The arrays, once they are there."""


class Recording(Protocol):
    """Work that was recorded, to be done again as a whole.

    Attributes:
        outputs: of the work, where each replay leaves them.
    """

    outputs: tuple[Tensor, ...]

    def replay(self) -> None:
        """Do the work on the current stream."""


class Driver(Protocol):
    """One CUDA device.

    Attributes:
        torch_device: its name in torch.
    """

    torch_device: torch.device

    def new_stream(self) -> Stream:
        """A stream that waits for no other by itself."""

    def current_stream(self) -> Stream:
        """That on which this thread's work goes."""

    def on(self, stream: Stream) -> AbstractContextManager[Any]:
        """Put this thread's work, memory included, on a stream for the length of a block."""

    def wait(self, stream: Stream, other: Stream) -> None:
        """Have a stream wait for all work that another one has been given so far."""

    def upload(self, array: Array) -> Tensor:
        """Start to copy an array to the device, in the order of the current stream."""

    def download(self, tensors: Sequence[Tensor]) -> Landing:
        """Start to copy tensors into memory, in the order of the current stream."""

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> Recording:
        """Record the work of the current stream, without doing it.

        Raises:
            RuntimeError: it cannot be recorded, or there is too little memory.
        """

    def free_bytes(self) -> int:
        """Memory that may still be taken, what torch keeps for later included."""

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """Memory that some work takes while it is done, beside what is taken already."""

    def release(self) -> None:
        """Give memory that torch keeps for later back to the device."""


class TorchDriver:
    """See :class:`Driver`.

    Args:
        torch_device: with its index.
    """

    def __init__(self, torch_device: torch.device) -> None:
        self.torch_device = torch_device

    def new_stream(self) -> Stream:
        """A stream of torch's pool, none of which waits for the default stream."""
        return torch.cuda.Stream(self.torch_device)  # type: ignore[no-untyped-call]

    def current_stream(self) -> Stream:
        """That on which this thread's work goes."""
        return torch.cuda.current_stream(self.torch_device)

    def on(self, stream: Stream) -> AbstractContextManager[Any]:
        """Put this thread's work on a stream."""
        return torch.cuda.stream(stream)

    def wait(self, stream: Stream, other: Stream) -> None:
        """Have a stream wait for another one."""
        stream.wait_stream(other)

    def upload(self, array: Array) -> Tensor:
        """Copy through pinned memory, which torch keeps until the copy is done."""
        pinned = torch.from_numpy(array).pin_memory()
        return pinned.to(self.torch_device, non_blocking=True)

    def download(self, tensors: Sequence[Tensor]) -> Landing:
        """Copy into pinned memory, with an event behind the last copy."""
        pinned = []
        for tensor in tensors:
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            host.copy_(tensor.contiguous(), non_blocking=True)
            pinned.append(host)
        # Who waits for it sleeps, and leaves the core to others.
        arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        arrived.record(self.current_stream())
        return _PinnedLanding(pinned, arrived)

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> Recording:
        """Capture a CUDA graph."""
        graph = torch.cuda.CUDAGraph()
        # Other threads go on with their work meanwhile, which the strictest mode would refuse.
        with torch.cuda.graph(
            graph, stream=self.current_stream(), capture_error_mode="thread_local"
        ):
            outputs = work()
        return _Graph(graph, outputs)

    def free_bytes(self) -> int:
        """What the device has free, and what torch keeps but does not use."""
        free, _ = torch.cuda.mem_get_info(self.torch_device)
        kept = torch.cuda.memory_reserved(self.torch_device)
        return int(free) + kept - torch.cuda.memory_allocated(self.torch_device)

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """By the counters of torch's allocator, which no other thread may use meanwhile."""
        torch.cuda.synchronize(self.torch_device)
        torch.cuda.reset_peak_memory_stats(self.torch_device)
        before = torch.cuda.memory_allocated(self.torch_device)
        work()
        return torch.cuda.max_memory_allocated(self.torch_device) - before

    def release(self) -> None:
        """Empty torch's cache, once what still uses it is done."""
        torch.cuda.synchronize(self.torch_device)
        torch.cuda.empty_cache()


class _PinnedLanding:
    def __init__(self, pinned: Sequence[Tensor], arrived: torch.cuda.Event) -> None:
        self._pinned, self._arrived = pinned, arrived

    def wait(self) -> list[Array]:
        self._arrived.synchronize()
        # Pinned memory is scarce, and results are kept until their documents are complete.
        return [host.numpy().copy() for host in self._pinned]


class _Graph:
    def __init__(self, graph: torch.cuda.CUDAGraph, outputs: tuple[Tensor, ...]) -> None:
        self._graph = graph
        self.outputs = outputs

    def replay(self) -> None:
        self._graph.replay()
