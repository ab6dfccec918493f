"""What a benchmark found: all measurements, their medians, and the ratios that matter."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longbert.encoders.loaded_models import Models
from longbert.store.record import Record

Round = Mapping[str, float]
"""What one round measured, by name."""

_CPU = Path("/proc/cpuinfo")
_LIBRARIES = ("longbert", "apache-beam", "faiss-cpu", "faiss-gpu", "pyarrow")


class Report(Record, frozen=True, kw_only=True):
    """A benchmark.

    Attributes:
        machine: processor, cores, memory, system.
        versions: of Python and the libraries that compute.
        settings: precision, device with its threads, rounds, passes.
        corpus: how much text there was; tokens counted once (``unique_tokens``), and all positions
            that the model reads (``processed_tokens``), special tokens and overlaps included.
        rounds: seconds by what was measured, a mapping for each round.
        seconds: their medians.
        stages: medians of the stages of a run without Beam; ``beam`` is what it takes with Beam in
            addition.
        ratios: medians of the ratios of each round.
        rates: positions and operations a second.
        peak_mb: of whole commands.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    corpus: dict[str, float]
    rounds: tuple[dict[str, float], ...]
    seconds: dict[str, float]
    stages: dict[str, float]
    ratios: dict[str, float]
    rates: dict[str, float]
    peak_mb: dict[str, float]


def machine() -> dict[str, Any]:
    """This machine, as far as it decides on times."""
    lines = _CPU.read_text().splitlines() if _CPU.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(models: Models) -> dict[str, str]:
    """Of Python and the libraries that compute."""
    found = {"python": platform.python_version()}
    for name in (*_LIBRARIES, *models.libraries):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    """The median of each thing measured."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def median_ratio(rounds: Sequence[Round], above: str, below: str) -> float:
    """The median of the ratio in each round, in which the two were measured minutes apart."""
    return statistics.median(one[above] / one[below] for one in rounds)
