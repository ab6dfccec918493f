"""The runtimes there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from longbert.encoders.runtime.base import EncoderModule, RuntimeFactory
from longbert.encoders.runtime.onednn import is_available
from longbert.tasks import resolve

DEFAULT_RUNTIME = "torch"

RUNTIMES: Mapping[str, str] = {
    DEFAULT_RUNTIME: "longbert.encoders.runtime.torch_runtime:TorchRuntime",
    "onednn": "longbert.encoders.runtime.onednn:OneDnnRuntime",
}
"""References, for :func:`longbert.tasks.resolve`, to a
:class:`~longbert.encoders.runtime.base.RuntimeFactory`."""


def choose_runtime(encoder: EncoderModule, *, device: torch.device, dtype: torch.dtype) -> str:
    """The name of the fastest runtime that can run an encoder."""
    is_fitting = (
        encoder.implementation == "longbert"
        and device.type == "cpu"
        and dtype == torch.bfloat16
        and is_available()
    )
    return "onednn" if is_fitting else DEFAULT_RUNTIME


def runtime_factory(name: str = DEFAULT_RUNTIME) -> RuntimeFactory:
    """What makes the runtimes of a name."""
    factory: RuntimeFactory = resolve(RUNTIMES[name])
    return factory
