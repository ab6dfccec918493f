"""The machine as it can be seen without torch."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import platform
from pathlib import Path

_CPU = Path("/proc/cpuinfo")
NVIDIA = Path("/proc/driver/nvidia")
_VARIABLES = ("ATEN_CPU_CAPABILITY", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""With which people change what torch uses."""


def processor_flags() -> frozenset[str]:
    """The processor's features as Linux lists them; empty elsewhere."""
    lines = (line for line in _read(_CPU).splitlines() if line.startswith(("flags", "Features")))
    return frozenset(next(lines, "").partition(":")[2].split())


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, each as ``CUDA_VISIBLE_DEVICES`` names it."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number, _ in enumerate(NVIDIA.glob("gpus/*"))]
    names = (name.strip() for name in named.split(","))
    # CUDA itself stops at the first name that is none.
    return list(itertools.takewhile(lambda name: name not in ("", "-1"), names))


def machine_digest() -> str:
    """SHA-256 of what decides on which device torch computes, and in which precision.

    On two machines of one digest torch would choose the same; where digests differ it may.
    """
    models = {line for line in _read(_CPU).splitlines() if line.startswith("model name")}
    graphics = [
        "".join(line for line in _read(path).splitlines() if line.startswith("Model"))
        for path in sorted(NVIDIA.glob("gpus/*/information"))
    ]
    content = [
        *(platform.system(), platform.machine(), platform.processor()),
        *(sorted(models), sorted(processor_flags())),
        *(graphics, _read(NVIDIA / "version")),
        {name: os.environ.get(name) for name in _VARIABLES},
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
