"""Read what the index needs from the Parquet tables, batch by batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.arrays import FloatMatrix, IntArray
from longbert.errors import OutputError
from longbert.index.vectors import column_vectors
from longbert.store.folder import OutputFolder
from longbert.store.parquet import read_batches


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """Rows of a table ``documents``; ``vectors`` is None if there are none."""

    document_ids: list[str]
    vectors: FloatMatrix | None


@dataclass(frozen=True, slots=True)
class PassageBatch:
    """Rows of a table ``passages``; ``vectors`` is None if there are none."""

    passage_ids: IntArray
    document_ids: list[str]
    vectors: FloatMatrix | None


def document_batches(output: OutputFolder, parts: Sequence[str]) -> Iterator[DocumentBatch]:
    """Read ids and vectors of the documents, part after part.

    Raises:
        OutputError: a table is missing or damaged.
    """
    for path, batch in read_batches(output, "documents", parts, ("document_id", "embedding")):
        yield DocumentBatch(
            batch.column("document_id").to_pylist(), _vectors(path, batch.column("embedding"))
        )


def passage_batches(output: OutputFolder, parts: Sequence[str]) -> Iterator[PassageBatch]:
    """Read ids and vectors of the passages, part after part.

    Raises:
        OutputError: a table is missing or damaged.
    """
    columns = ("passage_id", "document_id", "embedding")
    for path, batch in read_batches(output, "passages", parts, columns):
        yield PassageBatch(
            batch.column("passage_id").to_numpy(),
            batch.column("document_id").to_pylist(),
            _vectors(path, batch.column("embedding")),
        )


def document_positions(document_ids: Sequence[str], documents: Mapping[str, int]) -> IntArray:
    """Look up the positions of documents.

    Raises:
        OutputError: a passage belongs to a document that the tables do not have.
    """
    try:
        return np.fromiter((documents[one] for one in document_ids), np.int64, len(document_ids))
    except KeyError as error:
        raise OutputError(
            f"the table passages has rows of {error.args[0]!r}, which the table documents does "
            "not have: the output is damaged, run longbert again into an empty folder"
        ) from None


class RowsDigest:
    """Digest of all rows that an index is built from, independent of how they are batched."""

    def __init__(self) -> None:
        names = ("documents", "document_vectors", "passages", "passage_ids", "passage_vectors")
        self._hashes = {name: hashlib.sha256() for name in names}

    def add_documents(self, batch: DocumentBatch) -> None:
        """Add the next rows of the documents."""
        self._hashes["documents"].update(_delimited(batch.document_ids))
        self._hashes["document_vectors"].update(_bytes(batch.vectors))

    def add_passages(self, batch: PassageBatch) -> None:
        """Add the next rows of the passages."""
        self._hashes["passages"].update(_delimited(batch.document_ids))
        self._hashes["passage_ids"].update(batch.passage_ids.astype("<i8").tobytes())
        self._hashes["passage_vectors"].update(_bytes(batch.vectors))

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
