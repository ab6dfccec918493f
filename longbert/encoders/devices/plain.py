"""The CPU, and accelerators that are used without streams of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from longbert.arrays import Array
from longbert.encoders.devices.base import Forward, Item, Result, tensors_of, with_arrays
from longbert.encoders.runtime.parallel import map_in_threads

_CPU_BATCH_TOKENS = 2_048
"""Activations of so many positions stay in the caches."""
_ACCELERATOR_BATCH_TOKENS = 65_536


class PlainDevice:
    """See :class:`longbert.encoders.devices.base.Device`.

    Args:
        torch_device: the CPU, or Apple's MPS.
    """

    has_fixed_shapes = False

    def __init__(self, torch_device: torch.device) -> None:
        self.torch_device = torch_device
        self.is_in_memory = torch_device.type == "cpu"

    def upload(self, array: Array) -> Tensor:
        """On a CPU the array itself."""
        return torch.from_numpy(array).to(self.torch_device)

    def download(self, found: Any) -> Any:
        """On a CPU the memory of the tensors."""
        return with_arrays(found, (one.cpu().numpy() for one in tensors_of(found)))

    def compute(self, forward: Forward, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        """Run a forward pass."""
        return forward(*inputs)

    def n_batches_at_once(self, implementation: str) -> int:
        """One for each thread that torch has on a CPU, unless foreign code computes."""
        is_own = implementation.startswith("longbert")
        return torch.get_num_threads() if self.torch_device.type == "cpu" and is_own else 1

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, n_at_once: int
    ) -> Iterator[Result]:
        """Apply a function in threads, with one thread of torch for each."""
        return map_in_threads(function, items, n_threads=n_at_once)

    def with_room(self, function: Callable[[], Result]) -> Result:
        """There is no more room than there is."""
        return function()

    def batch_tokens(self, run: Callable[[int], object], length: int) -> int:
        """A number known to be good; nothing is tried."""
        is_cpu = self.torch_device.type == "cpu"
        return _CPU_BATCH_TOKENS if is_cpu else _ACCELERATOR_BATCH_TOKENS
