"""The vectors of a table, checked and gathered in one file that is mapped into memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from longbert.arrays import FloatMatrix, IntArray
from longbert.errors import OutputError
from longbert.index.tables import RowsDigest, VectorBatch, vector_batches
from longbert.index.vectors import lengths, unit_vectors
from longbert.store.folder import OutputFolder
from longbert.store.index_description import PartRows

_LONGEST = 1e18
"""Length above which an inner product could exceed the range of float32."""

_AGAIN = "the output is damaged, run longbert again into an empty folder"


@dataclass(frozen=True, slots=True)
class Rows:
    """Vectors of some parts of a table, in the order of its rows.

    Attributes:
        path: of a file that holds ``head`` bytes for others to fill, then the vectors.
        vectors: mapped from it. Shape: (rows, width).
        ids: for FAISS, mapped from another file. Shape: (rows,).
        parts: with rows.
        longest: Euclidean length.
    """

    path: Path
    vectors: FloatMatrix
    ids: IntArray
    parts: tuple[PartRows, ...]
    longest: float


@contextmanager
def gathered_rows(
    output: OutputFolder, table: str, parts: Sequence[str], metric: str, *, head: int
) -> Iterator[Rows | None]:
    """Write the vectors of some parts to a temporary file, which goes when the block ends.

    Args:
        output: the folder.
        table: ``"documents"`` or ``"passages"``.
        parts: names, in order.
        metric: with ``"cosine"``, vectors are scaled to length 1 if they are not.
        head: bytes to leave free at the beginning of the file.

    Yields:
        None if no row has a vector.

    Raises:
        OutputError: a table is missing or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="longbert-index-") as folder:
        path, path_of_ids = Path(folder, "vectors"), Path(folder, "ids")
        with path.open("wb") as file, path_of_ids.open("wb") as file_of_ids:
            file.write(bytes(head))
            gathering = _Gathering(table, metric, file, file_of_ids)
            entries = tuple(_entries(output, table, parts, gathering))
        if not gathering.width:
            yield None
            return
        ids = np.memmap(path_of_ids, np.int64, "r")
        shape = len(ids), gathering.width
        vectors = np.memmap(path, np.float32, "r+", offset=head, shape=shape)
        yield Rows(path, vectors, ids, entries, gathering.longest)


def _entries(
    output: OutputFolder,
    table: str,
    parts: Iterable[str],
    gathering: _Gathering,
) -> Iterator[PartRows]:
    for part in parts:
        entry = digested(output, table, part, gathering.add)
        if entry.n_rows:
            yield entry


def digested(
    output: OutputFolder,
    table: str,
    part: str,
    take: Callable[[VectorBatch], object] = lambda batch: None,
) -> PartRows:
    """Read the ids and vectors of a part, batch by batch, and digest them.

    Args:
        output: the folder.
        table: ``"documents"`` or ``"passages"``.
        part: its name.
        take: what to do with each batch.

    Raises:
        OutputError: the table is missing or damaged.
    """
    digest, n_rows = RowsDigest(), 0
    for batch in vector_batches(output, table, part):
        take(batch)
        digest.add(batch)
        n_rows += len(batch.ids)
    return PartRows(name=part, n_rows=n_rows, sha256=digest.hexdigest())


class _Gathering:
    """Checks batches and writes their vectors and ids."""

    def __init__(self, table: str, metric: str, vectors: BinaryIO, ids: BinaryIO) -> None:
        self.width = 0
        self.longest = 0.0
        self._table = table
        self._metric = metric
        self._vectors_file = vectors
        self._ids_file = ids
        self._n_rows = 0

    def add(self, batch: VectorBatch) -> None:
        vectors = self._checked(batch)
        self._n_rows += len(batch.ids)
        if vectors is None:
            return
        stored = unit_vectors(vectors) if self._metric == "cosine" else vectors
        self.longest = max(self.longest, float(lengths(stored).max()))
        self._ids_file.write(np.ascontiguousarray(batch.ids, np.int64).data)
        self._vectors_file.write(np.ascontiguousarray(stored, "<f4").data)

    def _checked(self, batch: VectorBatch) -> FloatMatrix | None:
        vectors = batch.vectors
        if self._n_rows and (vectors is None) != (self.width == 0):
            raise OutputError(f"the table {self._table} has vectors in some rows only: {_AGAIN}")
        if vectors is None:
            return None
        self.width = self.width or vectors.shape[1]
        if vectors.shape[1] != self.width:
            raise OutputError(
                f"the table {self._table} has vectors of {self.width} and of {vectors.shape[1]} "
                f"dimensions: {_AGAIN}"
            )
        wrong = np.flatnonzero(~(lengths(vectors) <= _LONGEST))
        if len(wrong):
            raise OutputError(
                f"the table {self._table} has a vector of {batch.document_ids[int(wrong[0])]!r} "
                f"that is not finite or longer than {_LONGEST:.0e}: run longbert again with "
                "--precision float32"
            )
        return vectors
