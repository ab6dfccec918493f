"""Counting work as it is done, across processes."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from longbert import errors
from longbert.errors import LongbertError


class Meter(Protocol):
    """Takes amounts of named things: documents, tokens, seconds of a stage, ..."""

    def add(self, amounts: Mapping[str, float]) -> None:
        """Add to the totals."""

    def totals(self) -> Mapping[str, float]:
        """Everything added so far, by all processes; empty where that is not known here."""

    def report(self, error: LongbertError) -> None:
        """Keep an error for the process that waits for this one."""

    def reported(self) -> LongbertError | None:
        """The first error that a process reported."""


class NullMeter:
    """Counts nothing."""

    def add(self, amounts: Mapping[str, float]) -> None:
        """See :class:`Meter`."""

    def totals(self) -> Mapping[str, float]:
        """See :class:`Meter`."""
        return {}

    def report(self, error: LongbertError) -> None:
        """See :class:`Meter`."""

    def reported(self) -> LongbertError | None:
        """See :class:`Meter`."""
        return None


class FileMeter:
    """Appends amounts to a file of this process, for another process to read.

    Args:
        folder: local; made by the reader.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def add(self, amounts: Mapping[str, float]) -> None:
        """One line, in one write, so that a reader never sees half of it for long."""
        with open(f"{self._folder}/{os.getpid()}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(dict(amounts)) + "\n")

    def totals(self) -> Mapping[str, float]:
        """See :class:`Meter`."""
        return FileMeterReader(self._folder).totals()

    def report(self, error: LongbertError) -> None:
        """See :class:`Meter`."""
        with contextlib.suppress(FileExistsError), open(self._error_path, "x") as file:
            json.dump([type(error).__name__, str(error)], file)

    def reported(self) -> LongbertError | None:
        """See :class:`Meter`."""
        try:
            with open(self._error_path, encoding="utf-8") as file:
                name, message = json.load(file)
        except FileNotFoundError:
            return None
        error: LongbertError = getattr(errors, name)(message)
        return error

    @property
    def _error_path(self) -> str:
        return f"{self._folder}/error.json"


class FileMeterReader:
    """Sums what all processes wrote into a folder, reading only what is new.

    Args:
        folder: as the meters have it.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._positions: dict[Path, int] = {}
        self._totals: Counter[str] = Counter()

    def totals(self) -> Mapping[str, float]:
        """Everything added so far."""
        for path in self._folder.glob("*.jsonl"):
            with open(path, "rb") as file:
                file.seek(self._positions.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._positions[path] = self._positions.get(path, 0) + len(line)
                    self._totals.update(json.loads(line))
        return self._totals


@contextmanager
def timed(meter: Meter, name: str) -> Iterator[None]:
    """Add the seconds that a block takes, as ``seconds_<name>``."""
    began = time.perf_counter()
    try:
        yield
    finally:
        meter.add({f"seconds_{name}": time.perf_counter() - began})
