"""Counting work as it is done, across processes.

What is done again, as after the loss of a worker, counts again, unless it is said of what it is. So
results are counted by the receipts of parts, and a meter tells of progress, of times, and of what
was met on the way.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from typing_extensions import override

PROGRESS = frozenset(
    {
        *("planned_documents", "planned_bytes", "documents", "bytes", "resumed_bytes"),
        *("errors", "windows", "tokens"),
    }
)
"""Names of what is counted only to be shown meanwhile."""


class Meter(Protocol):
    """Takes amounts of named things: documents, tokens, seconds of a stage, ..."""

    def add(self, amounts: Mapping[str, float], *, once: str = "") -> None:
        """Add to the totals.

        Args:
            amounts: by name.
            once: of what they are, if they count once however often that is done.
        """

    def totals(self) -> Mapping[str, float]:
        """Everything added so far, by all processes; empty if this meter cannot know."""


class NullMeter(Meter):
    """Counts nothing."""

    @override
    def add(self, amounts: Mapping[str, float], *, once: str = "") -> None:
        pass

    @override
    def totals(self) -> Mapping[str, float]:
        return {}


class FileMeter(Meter):
    """Appends amounts to a file of this process, for another process to read.

    Args:
        folder: local; created by the reader.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._reader = FileMeterReader(folder)

    @override
    def add(self, amounts: Mapping[str, float], *, once: str = "") -> None:
        # One line in one write, so that a reader rarely sees half of it.
        with open(f"{self._folder}/{os.getpid()}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps([once, dict(amounts)]) + "\n")

    @override
    def totals(self) -> Mapping[str, float]:
        return self._reader.totals()


class FileMeterReader:
    """Sums what all processes wrote into a folder, reading only what is new.

    Args:
        folder: the one that the meters write to.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._positions: dict[Path, int] = {}
        self._totals: Counter[str] = Counter()
        self._counted: set[str] = set()

    def totals(self) -> Mapping[str, float]:
        """Everything added so far."""
        for path in self._folder.glob("*.jsonl"):
            with open(path, "rb") as file:
                file.seek(self._positions.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._positions[path] = self._positions.get(path, 0) + len(line)
                    once, amounts = json.loads(line)
                    if once in self._counted:
                        continue
                    self._totals.update(amounts)
                    if once:
                        self._counted.add(once)
        return self._totals


def meet(meter: Meter, where: str, **amounts: int) -> None:
    """Add what was met in a part or a segment, if anything; it counts once.

    Args:
        meter: to add to.
        where: the part or segment, by name.
        amounts: by name.
    """
    found = {name: int(amount) for name, amount in amounts.items() if amount}
    if found:
        meter.add(found, once=where)


@contextmanager
def timed(meter: Meter, name: str) -> Iterator[None]:
    """Add the seconds that a block takes, as ``seconds_<name>``."""
    began = time.perf_counter()
    try:
        yield
    finally:
        meter.add({f"seconds_{name}": time.perf_counter() - began})
