"""The tables: their columns, and their bytes as Parquet."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from longbert.core.passages import passage_id
from longbert.records import DocumentResult, ErrorRow, FloatVector

TABLES = ("documents", "passages", "entities", "classifications", "errors")
WINDOW_SCORES = "window_scores"
"""The table that is written on request only."""

_COMPRESSION = "zstd"


def table_names(*, window_scores: bool) -> tuple[str, ...]:
    """The tables of an output, with those on request."""
    return (*TABLES, WINDOW_SCORES) if window_scores else TABLES


def schemas(width: int | None) -> dict[str, pa.Schema]:
    """The columns of every table.

    Args:
        width: of the embeddings; None without an embedding model, when the column is all null.
    """
    # Nulls of a fixed size are written by Arrow, but not read back.
    embedding = pa.list_(pa.float32()) if width is None else pa.list_(pa.float32(), width)
    return {
        "documents": pa.schema(
            [
                pa.field("document_id", pa.string(), nullable=False),
                pa.field("source", pa.string(), nullable=False),
                pa.field("content_sha256", pa.string(), nullable=False),
                pa.field("n_chars", pa.int64(), nullable=False),
                pa.field("n_chars_covered", pa.int64(), nullable=False),
                pa.field("n_chars_unknown", pa.int64(), nullable=False),
                pa.field("n_tokens", pa.int64(), nullable=False),
                pa.field("n_windows", pa.int32(), nullable=False),
                pa.field("embedding", embedding),
                pa.field("metadata", pa.map_(pa.string(), pa.string()), nullable=False),
            ]
        ),
        "passages": pa.schema(
            [
                pa.field("passage_id", pa.int64(), nullable=False),
                pa.field("document_id", pa.string(), nullable=False),
                pa.field("ordinal", pa.int32(), nullable=False),
                pa.field("char_start", pa.int64(), nullable=False),
                pa.field("char_end", pa.int64(), nullable=False),
                pa.field("text", pa.string(), nullable=False),
                pa.field("embedding", embedding),
            ]
        ),
        "entities": pa.schema(
            [
                pa.field("document_id", pa.string(), nullable=False),
                pa.field("head", pa.string(), nullable=False),
                pa.field("char_start", pa.int64(), nullable=False),
                pa.field("char_end", pa.int64(), nullable=False),
                pa.field("label", pa.string(), nullable=False),
                pa.field("score", pa.float32(), nullable=False),
                pa.field("text", pa.string(), nullable=False),
            ]
        ),
        "classifications": pa.schema(
            [
                pa.field("document_id", pa.string(), nullable=False),
                pa.field("head", pa.string(), nullable=False),
                pa.field("label", pa.string(), nullable=False),
                pa.field("score", pa.float32(), nullable=False),
                pa.field("predicted", pa.bool_(), nullable=False),
            ]
        ),
        WINDOW_SCORES: pa.schema(
            [
                pa.field("document_id", pa.string(), nullable=False),
                pa.field("head", pa.string(), nullable=False),
                pa.field("window", pa.int32(), nullable=False),
                pa.field("char_start", pa.int64(), nullable=False),
                pa.field("char_end", pa.int64(), nullable=False),
                pa.field("label", pa.string(), nullable=False),
                pa.field("score", pa.float32(), nullable=False),
            ]
        ),
        "errors": pa.schema(
            [
                pa.field("source", pa.string(), nullable=False),
                pa.field("document_id", pa.string()),
                pa.field("stage", pa.string(), nullable=False),
                pa.field("error", pa.string(), nullable=False),
                pa.field("message", pa.string(), nullable=False),
            ]
        ),
    }


def build_tables(
    results: Sequence[DocumentResult],
    errors: Sequence[ErrorRow],
    *,
    width: int | None,
    names: Sequence[str] = TABLES,
) -> dict[str, pa.Table]:
    """The rows of some documents, in their order, as one table for each of ``names``."""
    columns: dict[str, list[list[object]]] = {
        "documents": _documents(results),
        "passages": _passages(results),
        "entities": _entities(results),
        "classifications": _classifications(results),
        WINDOW_SCORES: _window_scores(results),
        "errors": _errors(errors),
    }
    embeddings = {
        "documents": [result.embedding for result in results],
        "passages": [passage.embedding for result in results for passage in result.passages],
    }
    tables = {}
    all_schemas = schemas(width)
    for name in names:
        schema = all_schemas[name]
        values = iter(columns[name])
        arrays = [
            _fixed_size(embeddings[name], width)
            if field.name == "embedding"
            else pa.array(next(values), type=field.type)
            for field in schema
        ]
        tables[name] = pa.Table.from_arrays(arrays, schema=schema)
    return tables


def counts_of_tables(tables: Mapping[str, pa.Table]) -> dict[str, int]:
    """Rows of every table, and the sums over its documents, by name."""
    documents = tables["documents"]
    sums = {
        name.removeprefix("n_"): sum(documents.column(name).to_pylist())
        for name in documents.column_names
        if name.startswith("n_")
    }
    return {name: table.num_rows for name, table in tables.items()} | sums


def to_parquet(table: pa.Table) -> bytes:
    """A table's Parquet file: the same rows give the same bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression=_COMPRESSION)
    return buffer.getvalue()


def from_parquet(data: bytes) -> pa.Table:
    """The table in a Parquet file; raises pyarrow.ArrowInvalid if it is damaged."""
    return pq.read_table(io.BytesIO(data))


def _transpose(rows: Iterable[tuple[object, ...]], n_columns: int) -> list[list[object]]:
    columns: list[list[object]] = [[] for _ in range(n_columns)]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns


def _documents(results: Sequence[DocumentResult]) -> list[list[object]]:
    return _transpose(
        (
            (
                result.document.document_id,
                result.document.source,
                hashlib.sha256(result.document.text.encode()).hexdigest(),
                len(result.document.text),
                result.n_chars_covered,
                result.n_chars_unknown,
                result.n_tokens,
                result.n_windows,
                list(result.document.metadata.items()),
            )
            for result in results
        ),
        9,
    )


def _passages(results: Sequence[DocumentResult]) -> list[list[object]]:
    return _transpose(
        (
            (
                passage_id(result.document.document_id, passage.ordinal),
                result.document.document_id,
                passage.ordinal,
                passage.char_start,
                passage.char_end,
                passage.text,
            )
            for result in results
            for passage in result.passages
        ),
        6,
    )


def _entities(results: Sequence[DocumentResult]) -> list[list[object]]:
    return _transpose(
        (
            (
                result.document.document_id,
                entity.head,
                entity.char_start,
                entity.char_end,
                entity.label,
                entity.score,
                entity.text,
            )
            for result in results
            for entity in result.entities
        ),
        7,
    )


def _classifications(results: Sequence[DocumentResult]) -> list[list[object]]:
    return _transpose(
        (
            (result.document.document_id, row.head, row.label, row.score, row.predicted)
            for result in results
            for row in result.classifications
        ),
        5,
    )


def _window_scores(results: Sequence[DocumentResult]) -> list[list[object]]:
    return _transpose(
        (
            (
                result.document.document_id,
                row.head,
                row.window,
                row.char_start,
                row.char_end,
                row.label,
                row.score,
            )
            for result in results
            for row in result.window_scores
        ),
        7,
    )


def _errors(errors: Sequence[ErrorRow]) -> list[list[object]]:
    return _transpose(
        ((row.source, row.document_id, row.stage, row.error, row.message) for row in errors), 5
    )


def _fixed_size(vectors: Sequence[FloatVector | None], width: int | None) -> pa.Array:
    if width is None:
        return pa.nulls(len(vectors), pa.list_(pa.float32()))
    flat = np.concatenate([np.empty(0, np.float32), *(v for v in vectors if v is not None)])
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, type=pa.float32()), width)
