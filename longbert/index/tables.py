"""Read what the index needs from the Parquet tables, batch by batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.arrays import FloatMatrix, IntArray
from longbert.core.passages import passage_id
from longbert.errors import OutputError
from longbert.index.vectors import column_vectors
from longbert.store.folder import OutputFolder
from longbert.store.parquet import read_batches


@dataclass(frozen=True, slots=True)
class VectorBatch:
    """Rows of a table with vectors.

    Attributes:
        ids: for FAISS: ``passage_id``, and for a document that of its first passage.
        document_ids: of the rows.
        vectors: None if there are none.
    """

    ids: IntArray
    document_ids: list[str]
    vectors: FloatMatrix | None


def vector_batches(output: OutputFolder, table: str, part: str) -> Iterator[VectorBatch]:
    """Read ids and vectors of a part.

    Args:
        output: the folder.
        table: ``"documents"`` or ``"passages"``.
        part: its name.

    Raises:
        OutputError: the table is missing or damaged.
    """
    id_columns = ("passage_id",) if table == "passages" else ()
    columns = (*id_columns, "document_id", "embedding")
    for path, batch in read_batches(output, table, (part,), columns):
        document_ids = batch.column("document_id").to_pylist()
        if id_columns:
            ids = batch.column("passage_id").to_numpy()
        else:
            first = (passage_id(one, 0) for one in document_ids)
            ids = np.fromiter(first, np.int64, len(document_ids))
        yield VectorBatch(ids, document_ids, _vectors(path, batch.column("embedding")))


class RowsDigest:
    """Digest of rows that an index is built from, independent of how they are batched."""

    def __init__(self) -> None:
        self._hashes = {name: hashlib.sha256() for name in ("documents", "ids", "vectors")}

    def add(self, batch: VectorBatch) -> None:
        """Add the next rows."""
        self._hashes["documents"].update(_delimited(batch.document_ids))
        self._hashes["ids"].update(batch.ids.astype("<i8").tobytes())
        self._hashes["vectors"].update(_bytes(batch.vectors))

    def hexdigest(self) -> str:
        """SHA-256 of everything added so far."""
        parts = {name: digest.hexdigest() for name, digest in self._hashes.items()}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _vectors(path: str, column: Any) -> FloatMatrix | None:
    try:
        return column_vectors(column)
    except ValueError as error:
        raise OutputError(
            f"{path}: {error}; the output is damaged, run longbert again into an empty folder"
        ) from None


def _delimited(ids: Sequence[str]) -> bytes:
    encoded = (one.encode() for one in ids)
    return b"".join(b"%d:%b" % (len(one), one) for one in encoded)


def _bytes(vectors: FloatMatrix | None) -> bytes:
    return b"" if vectors is None else vectors.astype("<f4", copy=False).tobytes()
