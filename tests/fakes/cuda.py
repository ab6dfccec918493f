"""A CUDA device without one: what is asked of it is checked, and computed on the CPU.

Tensors are the CPU's, but each has a stream that made it. Work of another stream on it is an error
unless that stream has waited, and so is one on a tensor that was not brought to the device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from typing_extensions import override

from longbert.arrays import Array


class MisuseError(AssertionError):
    """Something that would be wrong, or slow, on a GPU."""


@dataclass(eq=False)
class FakeStream:
    """A stream.

    Attributes:
        name: for messages.
        n_done: operations so far.
        seen: how many of the operations of other streams it has waited for.
    """

    name: str
    n_done: int = 0
    seen: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was asked of the device.

    Attributes:
        kind: ``upload``, ``download``, ``record``, ``replay``, ``wait for the device``,
            ``release``.
        stream: name of the stream.
        shapes: of the tensors.
    """

    kind: str
    stream: str
    shapes: tuple[tuple[int, ...], ...] = ()


class FakeDriver:
    """See :class:`longbert.encoders.devices.driver.Driver`.

    Args:
        free_bytes: of memory.
        bytes_of: memory that a batch takes, from its rows and positions.

    Attributes:
        log: what was asked of the device, in order.
        before_upload: called with each array before it is copied, to count, to wait or to fail.
        misuses: what was raised, since a run makes errors of documents of it.
    """

    def __init__(
        self,
        *,
        free_bytes: int = 1 << 40,
        bytes_of: Callable[[int, int], int] = lambda rows, positions: rows * positions,
    ) -> None:
        self.torch_device = torch.device("cpu")
        self.log: list[Event] = []
        self.before_upload: Callable[[Array], None] = lambda array: None
        self._free_bytes = free_bytes
        self._bytes_of = bytes_of
        self._default = FakeStream("default")
        self._streams: list[FakeStream] = []
        self._here = threading.local()
        self._made_by: dict[int, tuple[FakeStream, int]] = {}
        self._weights: set[int] = set()
        self._recording: int | None = None
        self._asked = 0
        self.misuses: list[str] = []

    def events(self, kind: str) -> list[Event]:
        """What was asked of one kind."""
        return [event for event in self.log if event.kind == kind]

    def new_stream(self) -> FakeStream:
        """Named by their numbers."""
        self._streams.append(FakeStream(f"stream {len(self._streams)}"))
        return self._streams[-1]

    def current_stream(self) -> FakeStream:
        """Of this thread."""
        stream: FakeStream = getattr(self._here, "stream", self._default)
        return stream

    @contextmanager
    def on(self, stream: FakeStream) -> Iterator[None]:
        """Check every operation of this thread."""
        before = self.current_stream()
        self._here.stream = stream
        try:
            with _Checks(self):
                yield
        finally:
            self._here.stream = before

    def wait(self, stream: FakeStream, other: FakeStream) -> None:
        """A stream knows what another one has done, and what that one knew."""
        for name, number in {**other.seen, other.name: other.n_done}.items():
            stream.seen[name] = max(stream.seen.get(name, 0), number)

    def upload(self, array: Array) -> Tensor:
        """A copy."""
        self.before_upload(array)
        self._refuse_while_recording("upload")
        self._asked = max(self._asked, self._bytes_of(*array.shape) if array.ndim == 2 else 0)
        with _disable_current_modes():
            tensor = torch.from_numpy(np.array(array))
        self.made(tensor)
        self.note("upload", [tensor])
        return tensor

    def download(self, tensors: Sequence[Tensor]) -> FakeLanding:
        """Copies that nobody sees before waiting for them."""
        self._refuse_while_recording("download")
        self.used(tensors)
        self.note("download", tensors)
        with _disable_current_modes():
            return FakeLanding([tensor.detach().numpy().copy() for tensor in tensors])

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> FakeRecording:
        """Outputs are NaN until the work is done again."""
        self._recording = threading.get_ident()
        try:
            outputs = work()
        finally:
            self._recording = None
        for output in outputs:
            # Recording computes nothing.
            output.fill_(float("nan"))
        self.note("record", outputs)
        return FakeRecording(self, work, outputs)

    def free_bytes(self) -> int:
        """As given."""
        return self._free_bytes

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """That of the largest batch."""
        self._asked = 0
        work()
        return self._asked

    def release(self) -> None:
        """Nothing to give back."""
        self.note("release", [])

    def made(self, tensor: Tensor) -> None:
        """Note that the current stream has written a tensor."""
        stream = self.current_stream()
        stream.n_done += 1
        self._made_by[_place(tensor)] = stream, stream.n_done

    def used(self, tensors: Sequence[Tensor]) -> None:
        """Check that the current stream may read tensors."""
        stream = self.current_stream()
        for tensor in tensors:
            place = _place(tensor)
            if isinstance(tensor, nn.Parameter):
                # Weights are brought to the device by torch.
                self._weights.add(place)
            made = self._made_by.get(place)
            if place in self._weights:
                continue
            if made is None:
                if tensor.dim():
                    self._refuse(f"a tensor {tuple(tensor.shape)} is not on the device")
            elif made[0] is not stream and stream.seen.get(made[0].name, 0) < made[1]:
                self._refuse(
                    f"{stream.name} reads what {made[0].name} makes, and has not waited for it"
                )

    def waited(self) -> None:
        """Note that this thread waits for all that it has asked for."""
        self._refuse_while_recording("wait for the device")
        self.note("wait for the device", [])

    def check_thread(self) -> None:
        """Refuse work of other threads while one records."""
        if self._recording not in (None, threading.get_ident()):
            self._refuse("a thread computes while another one records")

    def _refuse(self, what: str) -> None:
        self.misuses.append(what)
        raise MisuseError(what)

    def _refuse_while_recording(self, what: str) -> None:
        self.check_thread()
        if self._recording is not None:
            raise RuntimeError(f"{what} cannot be recorded")

    def note(self, kind: str, tensors: Sequence[Tensor]) -> None:
        shapes = tuple(tuple(one.shape) for one in tensors)
        self.log.append(Event(kind, self.current_stream().name, shapes))


@dataclass(frozen=True, slots=True)
class FakeLanding:
    """See :class:`longbert.encoders.devices.driver.Landing`."""

    arrays: list[Array]

    def wait(self) -> list[Array]:
        """The arrays."""
        return self.arrays


@dataclass(frozen=True, slots=True)
class FakeRecording:
    """See :class:`longbert.encoders.devices.driver.Recording`."""

    driver: FakeDriver
    work: Callable[[], tuple[Tensor, ...]]
    outputs: tuple[Tensor, ...]

    def replay(self) -> None:
        """Do it again, into the same places."""
        self.driver.note("replay", self.outputs)
        for output, found in zip(self.outputs, self.work(), strict=True):
            output.copy_(found)


class _Checks(TorchDispatchMode):
    """Looks at every operation of a thread."""

    def __init__(self, driver: FakeDriver) -> None:
        super().__init__()
        self._driver = driver

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        driver = self._driver
        driver.check_thread()
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        driver.used(given)
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            driver.waited()
        found = func(*args, **(kwargs or {}))
        places = set() if func._schema.is_mutable else {_place(one) for one in given}
        for one in tree_leaves(found):
            # A view makes nothing.
            if isinstance(one, Tensor) and _place(one) not in places:
                driver.made(one)
        return found


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
