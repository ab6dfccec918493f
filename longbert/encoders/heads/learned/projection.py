"""The first layer of learned heads, on hidden states as the backbone gives them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

COMPUTATION = 2
"""Part of the digests of learned heads, raised when the same weights give other bits."""


class StateProjection:
    """A linear layer on several layers of a batch's hidden states, side by side.

    It computes in the precision of the states, which spares a copy of them. In reduced precision
    its weights are rounded like the states themselves, so that each term of a sum is off by no more
    than it was; sums are in float32. All that follows in a head is in float32.

    Args:
        linear: in float32.
        layers: that it reads, 0 the embeddings.
        states: of the batch, for every layer. Shape of each: (batch, positions, width).
    """

    def __init__(self, linear: nn.Linear, layers: Sequence[int], states: Sequence[Tensor]) -> None:
        self._read = [states[layer] for layer in layers]
        dtype = self._read[0].dtype
        self._weight, self._bias = linear.weight.to(dtype), linear.bias.to(dtype)

    def __call__(self, row: int, positions: slice) -> Tensor:
        """In float32, of some positions of a row. Shape: (n_positions, n_outputs)."""
        inputs = torch.cat([layer[row, positions] for layer in self._read], dim=1)
        return functional.linear(inputs, self._weight, self._bias).float()
