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
from longbert.store.layout import part_file
from longbert.store.parquet import open_table, read_batches


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


@dataclass(frozen=True, slots=True)
class PassageTable:
    """Where every passage is, without its text; one row each, in the order of the tables.

    Attributes:
        document: position of the passage's document. Shape of all columns: (passages,).
        groups: (file, row group, first row) in order.
    """

    passage_ids: IntArray
    document: IntArray
    ordinal: IntArray
    char_start: IntArray
    char_end: IntArray
    groups: tuple[tuple[str, int, int], ...]


def read_document_ids(output: OutputFolder, parts: Sequence[str]) -> list[str]:
    """Read the ids of all documents, in order."""
    ids: list[str] = []
    for _, batch in read_batches(output, "documents", parts, ("document_id",)):
        ids.extend(batch.column("document_id").to_pylist())
    return ids


def read_passage_table(
    output: OutputFolder, parts: Sequence[str], documents: Mapping[str, int]
) -> PassageTable:
    """Read all columns of the passages except texts and vectors.

    Args:
        documents: position of every document by its id.

    Raises:
        OutputError: a table is missing or damaged, or a passage belongs to no document.
    """
    numbers = ("passage_id", "ordinal", "char_start", "char_end")
    columns: dict[str, list[IntArray]] = {name: [] for name in (*numbers, "document")}
    for _, batch in read_batches(output, "passages", parts, (*numbers, "document_id")):
        for name in numbers:
            # Arrow's own way to numpy imports pandas where it is installed, which takes a second.
            columns[name].append(np.from_dlpack(batch.column(name)).astype(np.int64, copy=False))
        owners = batch.column("document_id").to_pylist()
        columns["document"].append(document_positions(owners, documents))
    whole = {
        name: np.concatenate(found) if found else np.zeros(0, np.int64)
        for name, found in columns.items()
    }
    return PassageTable(
        passage_ids=whole["passage_id"],
        document=whole["document"],
        ordinal=whole["ordinal"],
        char_start=whole["char_start"],
        char_end=whole["char_end"],
        groups=tuple(_row_groups(output, parts)),
    )


def read_texts(output: OutputFolder, table: PassageTable, rows: Sequence[int]) -> dict[int, str]:
    """Read the texts of some passages, each row group at most once.

    Args:
        rows: positions in the order of the tables.

    Returns:
        The text of each row.
    """
    firsts = np.array([first for _, _, first in table.groups], np.int64)
    wanted = np.unique(np.array(rows, np.int64))
    groups = np.searchsorted(firsts, wanted, side="right") - 1
    texts: dict[int, str] = {}
    for group in np.unique(groups):
        path, number, first = table.groups[int(group)]
        here = wanted[groups == group]
        with open_table(output, path, ("text",)) as file:
            column = file.read_row_group(number, columns=["text"], use_threads=False).column("text")
            # Not taken by an array of rows, since making one imports pandas, too.
            found = [column[row].as_py() for row in (here - first).tolist()]
        texts.update(zip(here.tolist(), found, strict=True))
    return texts


def _row_groups(output: OutputFolder, parts: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    first = 0
    for part in parts:
        name = part_file("passages", part)
        with open_table(output, name) as file:
            sizes = [
                file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)
            ]
        for number, size in enumerate(sizes):
            if size:
                yield name, number, first
            first += size


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
