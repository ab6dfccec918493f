"""The bare products of an encoder's linear layers, whose rate is the limit of its forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


class BareProducts:
    """Random inputs through random weights of the encoder's shapes, and nothing else.

    Args:
        shapes: of the weights of all layers. Shape of each: (n_outputs, n_inputs).
        device, dtype: where and in what precision to compute.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, int]], *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._device, self._dtype = device, dtype
        self._weights = [self._drawn(shape) for shape in shapes]
        self._inputs: dict[tuple[int, int], torch.Tensor] = {}

    @property
    def operations_a_position(self) -> int:
        """Multiplications and additions of one position."""
        return sum(2 * weight.numel() for weight in self._weights)

    def prepare(self, n_positions: int) -> None:
        """Make the inputs of batches of so many positions."""
        for weight in self._weights:
            shape = n_positions, weight.shape[1]
            if shape not in self._inputs:
                self._inputs[shape] = self._drawn(shape)

    def __call__(self, n_positions: int) -> None:
        """Multiply a batch, for which inputs were prepared, with all weights."""
        with torch.inference_mode():
            for weight in self._weights:
                functional.linear(self._inputs[n_positions, weight.shape[1]], weight)
            if weight.device.type == "cuda":
                torch.cuda.synchronize()

    def _drawn(self, shape: tuple[int, int]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(shape, generator=generator).to(self._device, self._dtype)
