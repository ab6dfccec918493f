"""The seam between what is computed and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from longbert.arrays import Array

Item = TypeVar("Item")
Result = TypeVar("Result")
Forward = Callable[..., tuple[Tensor, ...]]


class Device(Protocol):
    """A processor that batches are computed on, as this process uses it.

    Attributes:
        torch_device: where weights and hidden states are.
        has_fixed_shapes: whether batches of one padded length always have the same number of rows,
            since kernels may choose the order of addition by it.
        is_in_memory: whether its tensors are in the memory that arrays are in.
    """

    torch_device: torch.device
    has_fixed_shapes: bool
    is_in_memory: bool

    def upload(self, array: Array) -> Tensor:
        """An array on the device, at the latest when what is computed next needs it."""

    def download(self, found: Any) -> Any:
        """Results in memory: the same structure with an array in place of each tensor.

        Args:
            found: tensors and other values in lists, tuples and mappings.
        """

    def compute(self, forward: Forward, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        """Run a forward pass.

        Args:
            forward: the same object for the same work; it may be called once and recorded.
            inputs: of it, on the device.

        Returns:
            What the pass gives, until this thread computes another batch.
        """

    def n_batches_at_once(self, implementation: str) -> int:
        """How many batches may run at a time, each in a thread of its own.

        Args:
            implementation: see :class:`longbert.encoders.runtime.base.Runtime`. Foreign code may
                keep state in its modules, and gets one batch at a time.
        """

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, n_at_once: int
    ) -> Iterator[Result]:
        """Apply a function that computes a batch to items, several at a time.

        Yields:
            Results in the order of the items.
        """

    def with_room(self, function: Callable[[], Result]) -> Result:
        """Call a function that computes a batch; where memory is short, again with more of it.

        Raises:
            torch.OutOfMemoryError: all the memory that could be had is not enough; a smaller batch
                may do.
            DeviceMemoryError: the same, where shapes are fixed and no batch would be smaller.
        """

    def batch_tokens(self, run: Callable[[int], object], length: int) -> int:
        """Positions of a batch, where nobody asked for a number.

        Args:
            run: computes a batch of so many windows, to see what memory it takes.
            length: positions of those windows, padding included.
        """


def tensors_of(found: Any) -> list[Tensor]:
    """The tensors in a structure, in order."""
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, Mapping):
        found = found.values()
    elif not isinstance(found, list | tuple):
        return []
    return [tensor for one in found for tensor in tensors_of(one)]


def with_arrays(found: Any, arrays: Iterator[Array]) -> Any:
    """The same structure with arrays in place of its tensors, in order."""
    if isinstance(found, Tensor):
        return next(arrays)
    if isinstance(found, Mapping):
        return {name: with_arrays(one, arrays) for name, one in found.items()}
    if isinstance(found, list | tuple):
        return [with_arrays(one, arrays) for one in found]
    return found
