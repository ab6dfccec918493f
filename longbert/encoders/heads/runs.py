"""Sums over runs of tokens, on the device where their hidden states are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from longbert.encoders.devices.base import Device


def sums_of_runs(states: Tensor, runs: Sequence[tuple[int, int]], device: Device) -> Tensor:
    """The sum of each run in float64, added from its first token to its last.

    Args:
        states: of a batch. Shape: (rows, positions, width).
        runs: first position and number of positions, at least 1, of each; positions are counted
            through all rows.
        device: where the states are.

    Returns:
        Shape: (n_runs, width).
    """
    flat = states.flatten(0, 1)
    lengths = np.array([count for _, count in runs], dtype=np.int64)
    positions = np.concatenate([np.arange(first, first + count) for first, count in runs])
    own = flat.index_select(0, device.upload(positions)).double()
    if device.is_in_memory:
        # The same sums, many times as fast.
        starts = np.cumsum(lengths) - lengths
        return torch.from_numpy(np.add.reduceat(own.numpy(), starts, axis=0))
    # Without looking at the lengths, for which the device would have to be waited for.
    sums: Tensor = torch.segment_reduce(
        own, "sum", lengths=device.upload(lengths), axis=0, unsafe=True
    )
    return sums
