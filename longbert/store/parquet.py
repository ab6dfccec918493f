"""Parquet: serialising tables, and reading committed ones by path or memory map.

Arrow's own threads are never used here: one that still holds a Python buffer while the
interpreter shuts down ends the process with an abort.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longbert.errors import OutputError
from longbert.store.folder import OutputFolder
from longbert.store.held import HeldFile
from longbert.store.layout import part_file
from longbert.store.tables import TABLES

ROW_GROUP_ROWS = 16_384
"""Rows of a row group, which is what a table has in memory while it is written: with vectors of
384 numbers some 30 MB of passages."""

_COMPRESSION = "zstd"
BATCH_ROWS = 8192


class TableWriter:
    """Writes a table as Parquet while its rows are made.

    The same rows give the same bytes, however they are handed over.

    Args:
        file: open for writing.
        schema: of the table.

    Attributes:
        n_rows: handed over so far.
    """

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self.n_rows = 0
        self._writer = pq.ParquetWriter(file, schema, compression=_COMPRESSION)
        self._held = schema.empty_table()

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        self.n_rows += table.num_rows
        # What is held is less than a row group, and of several small tables.
        held = pa.concat_tables([self._held, table])
        first = 0
        while held.num_rows - first >= ROW_GROUP_ROWS:
            self._write(held.slice(first, ROW_GROUP_ROWS))
            first += ROW_GROUP_ROWS
        self._held = held.slice(first)

    def close(self) -> None:
        """Write the rows that are left, and the footer."""
        # A file without rows has a row group all the same.
        if self._held.num_rows or not self.n_rows:
            self._write(self._held)
        self._writer.close()

    def _write(self, rows: pa.Table) -> None:
        # Pages end where chunks do, so the rows must be in one.
        self._writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP_ROWS)


def from_parquet(data: bytes) -> pa.Table:
    """The table in a Parquet file; raises pyarrow.ArrowInvalid if it is damaged."""
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)


def read_table(
    output: OutputFolder, table: str, part: str, columns: Sequence[str] = ()
) -> pa.Table:
    """The committed rows of a part.

    Args:
        output: the folder.
        table: its name.
        part: its name.
        columns: those wanted; empty: all.

    Raises:
        OutputError: they are missing or damaged.
    """
    with open_table(output, part_file(table, part), columns) as file:
        rows = file.read(columns=list(columns) or None, use_threads=False)
        # Parquet has another name for the elements of lists, which would be written back.
        schema = TABLES[table].schema(_width(rows))
        return rows.cast(pa.schema([schema.field(name) for name in rows.column_names]))


def read_rows(output: OutputFolder, table: str, part: str) -> Iterator[pa.Table]:
    """The committed rows of a part, some at a time, at least once.

    Raises:
        OutputError: they are missing or damaged.
    """
    with open_table(output, part_file(table, part)) as file:
        schema = TABLES[table].schema(_width(file.schema_arrow.empty_table()))
        yield schema.empty_table()
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            yield pa.Table.from_batches([batch]).cast(schema)


def read_batches(
    output: OutputFolder, table: str, parts: Iterable[str], columns: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Some columns of a table, part after part: the file and a batch of its rows.

    Raises:
        OutputError: a part is missing or damaged.
    """
    for part in parts:
        name = part_file(table, part)
        with open_table(output, name, columns) as file:
            for batch in file.iter_batches(
                batch_size=BATCH_ROWS, columns=list(columns), use_threads=False
            ):
                if len(batch):
                    yield name, batch


def read_held(held: HeldFile, columns: Sequence[str]) -> pa.Table:
    """Some columns of a table whose file a reader holds.

    Raises:
        OutputError: it is damaged, or on another machine and not there any more.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(held.read()), pre_buffer=False)
        return file.read(list(columns), use_threads=False).select(list(columns))
    except (KeyError, ValueError) as error:
        raise OutputError(
            f"{held.path} is damaged, and no table any more: {held.remedy}"
        ) from error


def count_rows(output: OutputFolder, table: str, part: str) -> int:
    """Rows of a part, without reading them.

    Raises:
        OutputError: they are missing or damaged.
    """
    with open_table(output, part_file(table, part)) as file:
        return int(file.metadata.num_rows)


def vectors_shape(output: OutputFolder, table: str, parts: Iterable[str]) -> tuple[int, int]:
    """Rows of some parts and the width of their vectors, without reading them; 0 without any.

    Raises:
        OutputError: a part is missing or damaged.
    """
    n_rows, width = 0, 0
    for part in parts:
        with open_table(output, part_file(table, part)) as file:
            n_rows += int(file.metadata.num_rows)
            width = width or _width(file.schema_arrow.empty_table()) or 0
    return n_rows, width


def _width(rows: pa.Table) -> int | None:
    """Width of the vectors of a table; None if it has none."""
    if "embedding" not in rows.column_names:
        return None
    kind = rows.schema.field("embedding").type
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else None


@contextmanager
def open_table(output: OutputFolder, name: str, columns: Sequence[str] = ()) -> Iterator[Any]:
    """Open a committed Parquet file that must have some columns.

    Args:
        output: the folder it is in.
        name: relative to that.
        columns: those it must have.

    Raises:
        OutputError: it is missing, damaged, or lacks a column.
    """
    try:
        with output.open_source(name) as source:
            file = pq.ParquetFile(source, pre_buffer=False)
            missing = sorted(set(columns) - set(file.schema_arrow.names))
            if missing:
                raise OutputError(
                    f"{output.join(name)} has no column {', '.join(missing)}: it is not one of "
                    "longbert's tables, run longbert again into an empty folder"
                )
            yield file
    except (OSError, ValueError) as error:
        # What Arrow says of a file that is no table helps nobody.
        reason = error.strerror if isinstance(error, OSError) else None
        raise OutputError(
            f"{output.join(name)} is missing or damaged{f' ({reason})' if reason else ''}: "
            f"{output.remedy(name)}"
        ) from error
