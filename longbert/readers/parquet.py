"""Parquet: a document a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longbert.errors import DocumentError
from longbert.readers.fields import (
    Fields,
    canonical_json,
    changed,
    digest_of,
    document_id,
    error_for,
    error_row,
    failed_file,
    metadata,
    names,
    printable,
    replace_surrogates,
    text,
    unreadable,
)
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem

_BATCH_BYTES = 8 << 20
_MOST_BATCH_ROWS = 4_096
_BUFFER_BYTES = 1 << 20

_FAILURES = (pa.ArrowException, OSError)


def scan(filesystem: FileSystem, file: InputFile, fields: Fields) -> Iterator[DocumentRef]:
    """See :func:`longbert.readers.documents.scan`; a row's size is that of its fields as JSON."""
    n_rows = 0
    try:
        with _opened(filesystem, file) as table:
            columns = table.schema_arrow.names
            if fields.text_field not in columns:
                yield failed_file(filesystem, file, _no_column(fields, columns))
                return
            for row, batch, index in _rows(table, first=0):
                yield _ref(filesystem, file, fields, row, batch, index)
                n_rows = row + 1
    except _FAILURES as error:
        yield failed_file(filesystem, file, _failure(error), row=n_rows)
        return
    if n_rows == 0:
        empty = DocumentError("plan", "empty", "the table has no rows: leave it out of the inputs")
        yield failed_file(filesystem, file, empty)


def read(
    filesystem: FileSystem, refs: Sequence[DocumentRef], fields: Fields
) -> Iterator[Document | ErrorRow]:
    """See :func:`longbert.readers.documents.read`."""
    with ExitStack() as files:
        cursor: _Cursor | None = None
        for ref in refs:
            if ref.error is not None:
                yield ref.error
                continue
            try:
                if cursor is None:
                    cursor = _Cursor(files.enter_context(_opened(filesystem, ref.file)))
                yield _document(ref, cursor.record(ref.row), fields)
            except DocumentError:
                # What is wrong with it now was not wrong when it was planned.
                yield error_for(ref, changed())
            except _FAILURES as error:
                is_arrow = not _is_of_the_disk(error)
                yield error_for(ref, changed() if is_arrow else unreadable("read", error))


def records(
    filesystem: FileSystem, file: InputFile
) -> Iterator[tuple[int, dict[str, Any] | DocumentError]]:
    """See :func:`longbert.readers.documents.records`."""
    n_rows = 0
    try:
        with _opened(filesystem, file) as table:
            for row, batch, index in _rows(table, first=0):
                yield row, _record_or_error(batch, index)
                n_rows = row + 1
    except _FAILURES as error:
        yield n_rows, _failure(error)


class _Cursor:
    """Rows by position, read onward; row groups without a wanted row are not touched."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._rows: Iterator[tuple[int, Any, int]] = iter(())
        self._group = -1
        self._row = -1

    def record(self, row: int) -> dict[str, Any]:
        """Raises DocumentError if there is no such row."""
        group = _group_of(self._table, row)
        if group != self._group or row <= self._row:
            self._rows = _rows(self._table, first=row)
        self._group, self._row = -1, -1
        for position, batch, index in self._rows:
            if position == row:
                self._group, self._row = group, row
                return _record(batch, index)
        raise changed()


@contextmanager
def _opened(filesystem: FileSystem, file: InputFile) -> Iterator[Any]:
    with (
        filesystem.open(file.path) as stream,
        # Without a buffer Arrow reads the whole column chunk of a row group at once.
        pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False) as table,
    ):
        yield table


def _rows(table: Any, *, first: int) -> Iterator[tuple[int, Any, int]]:
    """Every row from ``first`` on: its position, its batch, its position in the batch."""
    start = 0
    for group in range(table.metadata.num_row_groups):
        of_group = table.metadata.row_group(group)
        stop = start + of_group.num_rows
        if stop > first:
            row_bytes = max(1, of_group.total_byte_size // of_group.num_rows)
            n_rows = max(1, min(_MOST_BATCH_ROWS, _BATCH_BYTES // row_bytes))
            position = start
            for batch in table.iter_batches(batch_size=n_rows, row_groups=[group]):
                columns = _columns(batch)
                for index in range(max(0, first - position), batch.num_rows):
                    yield position + index, columns, index
                position += batch.num_rows
        start = stop


def _group_of(table: Any, row: int) -> int:
    stop = 0
    for group in range(table.metadata.num_row_groups):
        stop += table.metadata.row_group(group).num_rows
        if row < stop:
            return group
    return -1


def _columns(batch: Any) -> dict[str, Any]:
    """Columns by name; nanoseconds as text, since Python's own times end at microseconds."""
    return {
        name: column.cast(pa.string())
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }


def _record_or_error(columns: dict[str, Any], index: int) -> dict[str, Any] | DocumentError:
    try:
        return _record(columns, index)
    except DocumentError as error:
        return error


def _record(columns: dict[str, Any], index: int) -> dict[str, Any]:
    try:
        return {name: column[index].as_py() for name, column in columns.items()}
    except (ValueError, OverflowError, NotImplementedError) as error:
        raise DocumentError(
            "plan",
            "bad_row",
            f"the row holds a value that cannot be read ({type(error).__name__}): "
            "write the table again with valid UTF-8 and values in range",
        ) from None


def _ref(
    filesystem: FileSystem,
    file: InputFile,
    fields: Fields,
    row: int,
    columns: dict[str, Any],
    index: int,
) -> DocumentRef:
    source = f"{printable(file.path)}#{row + 1}"
    try:
        record = _record(columns, index)
    except DocumentError as error:
        return failed_file(filesystem, file, error, row=row)
    identifier: str | None = None
    failure: ErrorRow | None = None
    try:
        identifier = document_id(record, fields, without=f"{file.document_id}#{row + 1}")
        text(record, fields)
    except DocumentError as error:
        failure = error_row(source, identifier, error)
    content = canonical_json(record)
    return DocumentRef(
        file=file,
        row=row,
        start=0,
        stop=len(content),
        document_id=identifier,
        source=source,
        digest=digest_of(content),
        error=failure,
    )


def _document(ref: DocumentRef, record: dict[str, Any], fields: Fields) -> Document:
    if digest_of(canonical_json(record)) != ref.digest:
        raise changed()
    content, n_replaced = replace_surrogates(text(record, fields))
    return Document(
        document_id=document_id(record, fields, without=ref.document_id or ref.source),
        text=content,
        source=ref.source,
        metadata=metadata(record, fields),
        n_chars_replaced=n_replaced,
    )


def _is_of_the_disk(error: BaseException) -> bool:
    """Arrow reports damaged data as an OSError, too, but without a number."""
    return isinstance(error, OSError) and error.errno is not None


def _failure(error: BaseException) -> DocumentError:
    if isinstance(error, OSError) and _is_of_the_disk(error):
        return unreadable("plan", error)
    return DocumentError(
        "plan",
        "bad_parquet",
        "the file is not Parquet, or is damaged, encrypted or cut short: write it again",
    )


def _no_column(fields: Fields, columns: list[str]) -> DocumentError:
    return DocumentError(
        "plan",
        "no_text",
        f"there is no text column {printable(fields.text_field)!r}; the columns are "
        f"{names(dict.fromkeys(columns))}: name the one that holds the text with --text-field",
    )
