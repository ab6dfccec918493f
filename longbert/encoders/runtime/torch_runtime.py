"""The forward pass in torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from longbert.arrays import IntArray
from longbert.encoders.devices.base import Device
from longbert.encoders.runtime.base import EncoderModule, needed_mask


class TorchRuntime:
    """Runs an encoder as a torch module; see :class:`longbert.encoders.runtime.base.Runtime`.

    Args:
        encoder: it is moved and cast in place.
        folder: not needed.
        device, dtype: where and in what precision to compute.
    """

    def __init__(
        self, encoder: EncoderModule, *, folder: Path, device: Device, dtype: torch.dtype
    ) -> None:
        self.attention = encoder.attention
        self.implementation = encoder.implementation
        self._device = device
        encoder = encoder.to(device=device.torch_device, dtype=dtype)
        self._forward = {
            all_layers: partial(encoder, all_layers=all_layers) for all_layers in (False, True)
        }

    def hidden_states(
        self,
        input_ids: IntArray,
        attention_mask: IntArray,
        token_types: IntArray | None = None,
        *,
        all_layers: bool = False,
    ) -> tuple[Tensor, ...]:
        """Run padded windows, without gradients."""
        with torch.inference_mode():
            inputs = [
                None if array is None else self._device.upload(array)
                for array in (input_ids, needed_mask(attention_mask), token_types)
            ]
            return self._device.compute(self._forward[all_layers], inputs)
