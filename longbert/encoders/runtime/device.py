"""Which device and precision to run with."""

from __future__ import annotations

import platform

import torch

from longbert.encoders.runtime.machine import processor_flags
from longbert.errors import ConfigError

# Names of the processor flags on Linux for native bfloat16 products, x86 and ARM.
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def choose_device(name: str) -> torch.device:
    """The device for ``--device``: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: the device is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, is_there in available.items() if is_there)
    if not available[name]:
        there = ", ".join(device for device, is_there in available.items() if is_there)
        raise ConfigError(f"device {name!r} is not available here, but {there} is: try auto")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type to compute in for ``--precision``: ``auto`` takes bfloat16 where it is fast."""
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float16
    if device.type == "cpu" and _BFLOAT16_FLAGS & processor_flags():
        return torch.bfloat16
    return torch.float32


def precision_name(dtype: torch.dtype) -> str:
    """A type as ``--precision`` calls it."""
    return str(dtype).removeprefix("torch.")


def device_description(device: torch.device) -> str:
    """What the device is, for people: ``cpu (x86_64, 2 threads)``, ``cuda (NVIDIA H100)``."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        n_threads = torch.get_num_threads()
        threads = "1 thread" if n_threads == 1 else f"{n_threads} threads"
        return f"cpu ({platform.machine()}, {threads})"
    return device.type


def device_kind(device: torch.device) -> str:
    """The kind of processor, on which bits may depend."""
    if device.type == "cuda":
        # Kernels come with the toolkit that torch was built with.
        return f"cuda {torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    if device.type == "cpu":
        return f"cpu {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return device.type


def device_identity(device: torch.device) -> list[object]:
    """All that is known here to decide which kernels run, as plain values."""
    flags = sorted(processor_flags()) if device.type == "cpu" else []
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    return [device_kind(device), torch.__version__, threads, flags]


def set_threads(n_threads: int) -> None:
    """Limit torch to so many threads in this process."""
    torch.set_num_threads(n_threads)
