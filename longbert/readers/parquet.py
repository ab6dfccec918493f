"""Parquet: a record a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longbert.errors import DocumentError, shown
from longbert.readers.fields import canonical_json, names
from longbert.readers.kinds import Row
from longbert.readers.record_batch import RecordBatch
from longbert.readers.refs import changed, digest_of
from longbert.readers.settings import ReadSettings
from longbert.records import DocumentRef, InputFile
from longbert.store.filesystem import FileSystem

_BATCH_BYTES = 8 << 20
_MOST_BATCH_ROWS = 1_024
_BUFFER_BYTES = 1 << 20


def rows(filesystem: FileSystem, file: InputFile, settings: ReadSettings) -> Iterator[Row]:
    """Every row; its size is that of its fields as JSON.

    Raises:
        DocumentError: the columns do not make records, or the file is not Parquet from here on.
        OSError: the file system does not give the file.
    """
    with _failures("plan"), _opened(filesystem, file) as table:
        _check_columns(table.schema_arrow, settings)
        for position, batch in _batches(table, first=0, settings=settings):
            for index in range(len(batch)):
                yield _row(position + index, batch[index])


@contextmanager
def open_rows(filesystem: FileSystem, file: InputFile, settings: ReadSettings) -> Iterator[_Rows]:
    """Rows by position."""
    with ExitStack() as stack:
        with _failures("read"):
            table = stack.enter_context(_opened(filesystem, file))
        yield _Rows(table, settings)


class _Rows:
    """Rows by position, read onward; row groups without a wanted row are not touched."""

    def __init__(self, table: Any, settings: ReadSettings) -> None:
        self._table = table
        self._settings = settings
        self._batches: Iterator[tuple[int, RecordBatch]] = iter(())
        self._group = -1
        self._first = 0
        self._batch: RecordBatch | None = None

    def row(self, ref: DocumentRef) -> Row:
        """The row of a ref; raises DocumentError or OSError."""
        wanted = -1 if ref.row is None else ref.row
        with _failures("read"):
            group = _group_of(self._table, wanted)
            if group != self._group or wanted < self._first:
                self._batches = _batches(self._table, first=wanted, settings=self._settings)
                self._group, self._first, self._batch = group, wanted, None
            while self._batch is None or wanted >= self._first + len(self._batch):
                following = next(self._batches, None)
                if following is None:
                    self._group = -1
                    raise changed()
                self._first, self._batch = following
            return _row(wanted, self._batch[wanted - self._first])


@contextmanager
def _opened(filesystem: FileSystem, file: InputFile) -> Iterator[Any]:
    with filesystem.open(file.path) as stream:
        metadata = pq.read_metadata(stream)
        stream.seek(0)
        with pq.ParquetFile(
            stream,
            metadata=metadata,
            # A value that stands in many rows is kept once, however long it is.
            read_dictionary=_dictionaries(metadata),
            # Without a buffer Arrow reads the whole column chunk of a row group at once.
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
        ) as table:
            yield table


def _dictionaries(metadata: Any) -> list[str]:
    """Columns of strings or bytes that the file keeps as dictionaries."""
    found: dict[str, None] = {}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            if column.has_dictionary_page and column.physical_type == "BYTE_ARRAY":
                found[column.path_in_schema] = None
    return list(found)


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


def _batches(
    table: Any, *, first: int, settings: ReadSettings
) -> Iterator[tuple[int, RecordBatch]]:
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
                    yield position, RecordBatch(batch, settings)
                position += batch.num_rows
        start = stop


def _group_of(table: Any, row: int) -> int:
    stop = 0
    for group in range(table.metadata.num_row_groups):
        stop += table.metadata.row_group(group).num_rows
        if row < stop:
            return group
    return -1


def _row(row: int, record: dict[str, Any] | DocumentError) -> Row:
    content = record.error.encode() if isinstance(record, DocumentError) else canonical_json(record)
    return Row(row, 0, len(content), digest_of(content), record)


def _check_columns(schema: Any, settings: ReadSettings) -> None:
    twice = _field_twice(list(schema))
    if twice is not None:
        raise DocumentError(
            "plan",
            "duplicate_field",
            f"two columns, or two fields of one, are called {shown(twice)}, and only one of "
            "them could be kept: rename or drop the other",
        )
    if settings.text_field not in schema.names:
        raise DocumentError(
            "plan",
            "no_text",
            f"there is no text column {shown(settings.text_field)}; the columns are "
            f"{names(schema.names)}: name the one that holds the text with --text-field",
        )


def _field_twice(fields: Sequence[Any]) -> str | None:
    """The first name that two fields share, in a table or inside one of its columns."""
    counts = Counter(field.name for field in fields)
    inside = (
        _field_twice([field.type.field(n) for n in range(field.type.num_fields)])
        for field in fields
        if pa.types.is_nested(field.type)
    )
    return next((name for name, count in counts.items() if count > 1), None) or next(
        (name for name in inside if name is not None), None
    )
