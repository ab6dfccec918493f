"""The tables: one record each, with its columns and how to fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from longbert.arrays import FloatVector
from longbert.core.passages import passage_id
from longbert.records import DocumentResult, ErrorRow

VECTOR = object()
"""Stands for the type of embedding columns, whose width depends on the run."""

Get = Callable[[Any, Any], Any]
"""From a document's result and one of its rows to a value."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        type: Arrow type, or :data:`VECTOR`.
        get: the value in a row, given the document's result and the row.
    """

    name: str
    type: Any
    get: Get
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the output.

    Attributes:
        name: of the table and of its folder.
        rows: of one document, or of a document or file that failed.
        columns: in order.
        setting: the setting that asks for it; None if every run writes it.
        of_failures: whether its rows describe failures.
    """

    name: str
    rows: Callable[[Any], Iterable[Any]]
    columns: tuple[Column, ...]
    setting: str | None = None
    of_failures: bool = False

    def schema(self, width: int | None) -> pa.Schema:
        """Its columns as Arrow has them.

        Args:
            width: of the embeddings; None without an embedding model, when the column is null.
        """
        # Arrow writes nulls of a fixed size, but cannot read them back.
        vector = pa.list_(pa.float32()) if width is None else pa.list_(pa.float32(), width)
        return pa.schema(
            [
                pa.field(
                    column.name,
                    vector if column.type is VECTOR else column.type,
                    nullable=column.nullable,
                )
                for column in self.columns
            ]
        )

    def build(self, results: Iterable[Any], *, width: int | None) -> pa.Table:
        """The rows of some documents, in their order."""
        rows = [(result, row) for result in results for row in self.rows(result)]
        schema = self.schema(width)
        arrays = []
        for column, field in zip(self.columns, schema, strict=True):
            values = [column.get(result, row) for result, row in rows]
            arrays.append(
                _vectors(values, width)
                if column.type is VECTOR
                else pa.array(values, type=field.type)
            )
        return pa.Table.from_arrays(arrays, schema=schema)


def _of_row(name: str) -> Get:
    get = attrgetter(name)
    return lambda _, row: get(row)


def _of_result(name: str) -> Get:
    get = attrgetter(name)
    return lambda result, _: get(result)


_DOCUMENT_ID = Column("document_id", pa.string(), _of_result("document.document_id"))


def _row_column(name: str, kind: Any, *, nullable: bool = False) -> Column:
    """A column that is an attribute of the row."""
    return Column(name, kind, _of_row(name), nullable)


_ALL_TABLES = (
    Table(
        "documents",
        rows=lambda result: (result,),
        columns=(
            _DOCUMENT_ID,
            Column("source", pa.string(), _of_result("document.source")),
            _row_column("content_sha256", pa.string()),
            _row_column("n_chars", pa.int64()),
            _row_column("n_chars_covered", pa.int64()),
            _row_column("n_chars_unknown", pa.int64()),
            _row_column("n_tokens", pa.int64()),
            _row_column("n_windows", pa.int32()),
            _row_column("embedding", VECTOR, nullable=True),
            Column(
                "metadata",
                pa.map_(pa.string(), pa.string()),
                lambda result, _: list(result.document.metadata.items()),
            ),
        ),
    ),
    Table(
        "passages",
        rows=attrgetter("passages"),
        columns=(
            Column(
                "passage_id",
                pa.int64(),
                lambda result, row: passage_id(result.document.document_id, row.ordinal),
            ),
            _DOCUMENT_ID,
            _row_column("ordinal", pa.int32()),
            _row_column("char_start", pa.int64()),
            _row_column("char_end", pa.int64()),
            _row_column("text", pa.string()),
            _row_column("embedding", VECTOR, nullable=True),
        ),
    ),
    Table(
        "entities",
        rows=attrgetter("entities"),
        columns=(
            _DOCUMENT_ID,
            _row_column("head", pa.string()),
            _row_column("char_start", pa.int64()),
            _row_column("char_end", pa.int64()),
            _row_column("label", pa.string()),
            _row_column("score", pa.float32()),
            _row_column("text", pa.string()),
        ),
    ),
    Table(
        "classifications",
        rows=attrgetter("classifications"),
        columns=(
            _DOCUMENT_ID,
            _row_column("head", pa.string()),
            _row_column("label", pa.string()),
            _row_column("score", pa.float32()),
            _row_column("predicted", pa.bool_()),
        ),
    ),
    Table(
        "errors",
        rows=lambda error: (error,),
        columns=(
            _row_column("source", pa.string()),
            _row_column("document_id", pa.string(), nullable=True),
            _row_column("stage", pa.string()),
            _row_column("error", pa.string()),
            _row_column("message", pa.string()),
        ),
        of_failures=True,
    ),
    Table(
        "window_scores",
        rows=attrgetter("window_scores"),
        columns=(
            _DOCUMENT_ID,
            _row_column("head", pa.string()),
            _row_column("window", pa.int32()),
            _row_column("char_start", pa.int64()),
            _row_column("char_end", pa.int64()),
            _row_column("label", pa.string()),
            _row_column("score", pa.float32()),
        ),
        setting="window_scores",
    ),
)

TABLES: Mapping[str, Table] = {table.name: table for table in _ALL_TABLES}
"""By name; tables that only some runs write come last."""


def table_names(settings: object) -> tuple[str, ...]:
    """The tables that a run writes.

    Args:
        settings: has the attributes that :attr:`Table.setting` names.
    """
    return tuple(
        table.name
        for table in TABLES.values()
        if table.setting is None or getattr(settings, table.setting)
    )


def schemas_of(names: Iterable[str], *, width: int | None) -> dict[str, pa.Schema]:
    """The schemas of some tables, by name; ``width`` as for :meth:`Table.schema`."""
    return {name: TABLES[name].schema(width) for name in names}


def build_tables(
    results: Sequence[DocumentResult],
    errors: Sequence[ErrorRow],
    *,
    width: int | None,
    names: Sequence[str],
) -> dict[str, pa.Table]:
    """The rows of some documents, in their order, as one table for each of ``names``."""
    return {
        name: TABLES[name].build(errors if TABLES[name].of_failures else results, width=width)
        for name in names
    }


def counts_of_tables(tables: Mapping[str, pa.Table]) -> dict[str, int]:
    """Rows of every table, and the sums over its documents, if they are there, by name."""
    sums = {
        column.removeprefix("n_"): sum(tables["documents"].column(column).to_pylist())
        for column in (tables["documents"].column_names if "documents" in tables else ())
        if column.startswith("n_")
    }
    return {name: table.num_rows for name, table in tables.items()} | sums


def _vectors(vectors: Sequence[FloatVector | None], width: int | None) -> pa.Array:
    if width is None:
        return pa.nulls(len(vectors), pa.list_(pa.float32()))
    flat = np.concatenate([np.empty(0, np.float32), *(v for v in vectors if v is not None)])
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, type=pa.float32()), width)
