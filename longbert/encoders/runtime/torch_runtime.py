"""The forward pass in torch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from longbert.arrays import IntArray
from longbert.encoders.runtime.base import EncoderModule


class TorchRuntime:
    """Runs an encoder as a torch module; see :class:`longbert.encoders.runtime.base.Runtime`.

    Args:
        encoder: it is moved and cast in place.
        folder: not needed.
        device, dtype: where and in what precision to compute.
    """

    def __init__(
        self, encoder: EncoderModule, *, folder: Path, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.attention = encoder.attention
        self.implementation = encoder.implementation
        self._device = device
        self._encoder = encoder.to(device=device, dtype=dtype)

    def hidden_states(
        self,
        input_ids: IntArray,
        attention_mask: IntArray,
        token_types: IntArray | None = None,
        *,
        all_layers: bool = False,
    ) -> tuple[Tensor, ...]:
        """Run padded windows, without gradients."""
        ids, mask, types = (
            None if array is None else torch.from_numpy(array).to(self._device)
            for array in (input_ids, attention_mask, token_types)
        )
        with torch.inference_mode():
            states: tuple[Tensor, ...] = self._encoder(ids, mask, types, all_layers=all_layers)
        return states
