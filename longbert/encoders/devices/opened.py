"""The devices of this process, each opened once."""

from __future__ import annotations

from functools import cache

import torch

from longbert.encoders.devices.base import Device
from longbert.encoders.devices.cuda import CudaDevice
from longbert.encoders.devices.driver import TorchDriver
from longbert.encoders.devices.plain import PlainDevice
from longbert.encoders.runtime.device import choose_device
from longbert.errors import ConfigError


def open_device(name: str) -> Device:
    """The device for ``--device``; see :func:`longbert.encoders.runtime.device.choose_device`.

    Raises:
        ConfigError: the device is not there, or computes float32 in a lower precision.
    """
    return device_of(choose_device(name))


@cache
def device_of(torch_device: torch.device) -> Device:
    """What this process computes on a device with; always the same, whatever the models.

    Raises:
        ConfigError: it computes float32 in a lower precision.
    """
    if torch_device.type != "cuda":
        return PlainDevice(torch_device)
    _compute_as_asked()
    return CudaDevice(TorchDriver(torch.device("cuda", torch.cuda.current_device())))


def _compute_as_asked() -> None:
    """Have products give what their type promises: no TF32, and sums of 16 bits kept in 32."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = False
    products.allow_fp16_reduced_precision_reduction = False
    if products.allow_tf32:
        raise ConfigError(
            "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE is set to 1, which computes float32 in TF32, with 10 "
            "bits instead of 23: set it to 0, and name --precision bfloat16 for speed"
        )
