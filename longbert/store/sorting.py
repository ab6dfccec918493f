"""Sorting more rows than fit into memory."""

from __future__ import annotations

import heapq
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar

from typing_extensions import override

Row = TypeVar("Row", bound=tuple[Any, ...])

ROWS_IN_MEMORY = 1 << 15
"""Rows that are sorted at once."""

ROWS_OF_A_CHUNK = 1 << 8
"""Rows of a run that are in memory while runs are merged."""

RUNS_MERGED = 32


class ExternalSort(AbstractContextManager["ExternalSort[Row]"], Generic[Row]):
    """Tuples in their order; where they are many, sorted runs of them wait on disk.

    Runs are merged 32 at a time, each into one of the next level, so memory grows with the
    logarithm of the number of rows. The files have no name, so that nothing of them is left,
    however the process ends.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._levels: list[list[_Run[Row]]] = []

    @override
    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, row: Row) -> None:
        """Add a row; raises OSError if the disk is full."""
        self._rows.append(row)
        if len(self._rows) >= ROWS_IN_MEMORY:
            self._rows.sort()
            self._keep(iter(self._rows), level=0)
            self._rows = []

    def rows(self) -> Iterator[Row]:
        """All rows in order, once there are no more to add; equal ones in any order."""
        self._rows.sort()
        runs = [run.rows() for level in self._levels for run in level]
        return heapq.merge(self._rows, *runs)

    def close(self) -> None:
        """Remove them."""
        for level in self._levels:
            for run in level:
                run.file.close()
        self._levels = []
        self._rows = []

    def _keep(self, rows: Iterator[Row], *, level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
        runs = self._levels[level]
        runs.append(_write(rows))
        if len(runs) == RUNS_MERGED:
            self._keep(heapq.merge(*(run.rows() for run in runs)), level=level + 1)
            for run in runs:
                run.file.close()
            runs.clear()


@dataclass(frozen=True, slots=True)
class _Run(Generic[Row]):
    file: IO[bytes]
    n_chunks: int

    def rows(self) -> Iterator[Row]:
        self.file.seek(0)
        for _ in range(self.n_chunks):
            yield from pickle.load(self.file)


def _write(rows: Iterator[Row]) -> _Run[Row]:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    n_chunks = 0
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == ROWS_OF_A_CHUNK:
            pickle.dump(chunk, file, protocol=pickle.HIGHEST_PROTOCOL)
            n_chunks += 1
            chunk = []
    if chunk:
        pickle.dump(chunk, file, protocol=pickle.HIGHEST_PROTOCOL)
        n_chunks += 1
    return _Run(file, n_chunks)
