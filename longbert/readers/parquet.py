"""Parquet: a record a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longbert.errors import DocumentError
from longbert.readers.fields import canonical_json, names, printable
from longbert.readers.kinds import Row
from longbert.readers.refs import changed, digest_of
from longbert.readers.settings import ReadSettings
from longbert.records import DocumentRef, InputFile
from longbert.store.filesystem import FileSystem

_BATCH_BYTES = 8 << 20
_MOST_BATCH_ROWS = 4_096
_BUFFER_BYTES = 1 << 20
_BAD_VALUES = (ValueError, OverflowError, NotImplementedError)


def rows(filesystem: FileSystem, file: InputFile, settings: ReadSettings) -> Iterator[Row]:
    """Every row; its size is that of its fields as JSON.

    Raises:
        DocumentError: the file has no text column, or is not Parquet from here on.
        OSError: the file system does not give the file.
    """
    with _failures("plan"), _opened(filesystem, file) as table:
        _check_columns(table.schema_arrow.names, settings)
        for position, batch in _batches(table, first=0):
            for row, record in enumerate(_records(batch), start=position):
                yield _row(row, record)


@contextmanager
def open_rows(filesystem: FileSystem, file: InputFile, settings: ReadSettings) -> Iterator[_Rows]:
    """Rows by position."""
    with ExitStack() as stack:
        with _failures("read"):
            table = stack.enter_context(_opened(filesystem, file))
        yield _Rows(table)


class _Rows:
    """Rows by position, read onward; row groups without a wanted row are not touched."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._batches: Iterator[tuple[int, Any]] = iter(())
        self._group = -1
        self._first = 0
        self._records: Sequence[dict[str, Any] | DocumentError] = ()

    def row(self, ref: DocumentRef) -> Row:
        """The row of a ref; raises DocumentError or OSError."""
        wanted = -1 if ref.row is None else ref.row
        with _failures("read"):
            group = _group_of(self._table, wanted)
            if group != self._group or wanted < self._first:
                self._batches = _batches(self._table, first=wanted)
                self._group, self._first, self._records = group, wanted, ()
            while wanted >= self._first + len(self._records):
                self._first, batch = next(self._batches, (wanted, None))
                if batch is None:
                    raise changed()
                self._records = _records(batch)
        return _row(wanted, self._records[wanted - self._first])


@contextmanager
def _opened(filesystem: FileSystem, file: InputFile) -> Iterator[Any]:
    with (
        filesystem.open(file.path) as stream,
        # Without a buffer Arrow reads the whole column chunk of a row group at once.
        pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False) as table,
    ):
        yield table


@contextmanager
def _failures(stage: str) -> Iterator[None]:
    """Tell damaged data, which Arrow reports as an OSError without a number, from the disk's."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DocumentError(
            stage,
            "bad_parquet",
            "the file is not Parquet, or is damaged, encrypted or cut short: write it again",
        ) from None


def _batches(table: Any, *, first: int) -> Iterator[tuple[int, Any]]:
    """Batches from the row group of row ``first`` on, each with the position of its first row."""
    start = 0
    for group in range(table.metadata.num_row_groups):
        of_group = table.metadata.row_group(group)
        stop = start + of_group.num_rows
        if stop > first:
            row_bytes = max(1, of_group.total_byte_size // max(1, of_group.num_rows))
            n_rows = max(1, min(_MOST_BATCH_ROWS, _BATCH_BYTES // row_bytes))
            # A thread of Arrow's could drop a buffer of Python's while the interpreter ends.
            batches = table.iter_batches(batch_size=n_rows, row_groups=[group], use_threads=False)
            position = start
            for batch in batches:
                if position + batch.num_rows > first:
                    yield position, batch
                position += batch.num_rows
        start = stop


def _group_of(table: Any, row: int) -> int:
    stop = 0
    for group in range(table.metadata.num_row_groups):
        stop += table.metadata.row_group(group).num_rows
        if row < stop:
            return group
    return -1


def _records(batch: Any) -> list[dict[str, Any] | DocumentError]:
    """The rows of a batch; nanoseconds as text, since Python's times end at microseconds."""
    columns = {
        name: column.cast(pa.string())
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    try:
        values = zip(*(column.to_pylist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]
    except _BAD_VALUES:
        return [_record(columns, index) for index in range(batch.num_rows)]


def _record(columns: dict[str, Any], index: int) -> dict[str, Any] | DocumentError:
    try:
        return {name: column[index].as_py() for name, column in columns.items()}
    except _BAD_VALUES as error:
        return DocumentError(
            "plan",
            "bad_row",
            f"the row holds a value that cannot be read ({type(error).__name__}): "
            "write the table again with valid UTF-8 and values in range",
        )


def _row(row: int, record: dict[str, Any] | DocumentError) -> Row:
    content = record.error.encode() if isinstance(record, DocumentError) else canonical_json(record)
    return Row(row, 0, len(content), digest_of(content), record)


def _check_columns(columns: Sequence[str], settings: ReadSettings) -> None:
    if settings.text_field not in columns:
        raise DocumentError(
            "plan",
            "no_text",
            f"there is no text column {printable(settings.text_field)!r}; the columns are "
            f"{names(dict.fromkeys(columns))}: name the one that holds the text with --text-field",
        )
