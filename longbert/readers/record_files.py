"""Files of records, a document each, whatever their kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from longbert.errors import DocumentError
from longbert.readers.fields import metadata, own_id, replace_surrogates, text
from longbert.readers.kinds import Kind, RecordReader, Row, RowSource
from longbert.readers.refs import (
    changed,
    check_reader,
    error_for,
    error_row,
    failed_file,
    unreadable,
)
from longbert.readers.settings import ReadSettings
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem


def scan(
    filesystem: FileSystem, file: InputFile, kind: Kind, settings: ReadSettings
) -> Iterator[DocumentRef]:
    """The documents of a file, and what is wrong with it."""
    reader = kind.fingerprint()
    n_rows = 0
    try:
        for row in kind.record_reader().rows(filesystem, file, settings):
            yield _ref(file, row, reader, settings)
            n_rows = row.row + 1
    except DocumentError as error:
        yield failed_file(filesystem, file, kind, error, row=n_rows)
        return
    except OSError as error:
        yield failed_file(filesystem, file, kind, unreadable("plan", error), row=n_rows)
        return
    if n_rows == 0:
        empty = DocumentError("plan", "empty", "it holds no record: leave it out of the inputs")
        yield failed_file(filesystem, file, kind, empty)


def read(
    filesystem: FileSystem, refs: Sequence[DocumentRef], kind: Kind, settings: ReadSettings
) -> Iterator[Document | ErrorRow]:
    """The documents of refs to one file, which is opened once."""
    known = (kind.fingerprint(),)
    reader = kind.record_reader()
    with ExitStack() as files:
        source: RowSource | None = None
        for ref in refs:
            if ref.error is not None:
                yield ref.error
                continue
            check_reader(ref, known)
            try:
                if source is None:
                    source = files.enter_context(reader.open_rows(filesystem, ref.file, settings))
                yield _document(ref, source.row(ref), settings)
            except DocumentError:
                # What is wrong with it now was not wrong when it was planned.
                yield error_for(ref, changed())
            except OSError as error:
                yield error_for(ref, unreadable("read", error))


def records(
    filesystem: FileSystem, file: InputFile, kind: Kind, settings: ReadSettings
) -> Iterator[tuple[int, dict[str, Any] | DocumentError]]:
    """Every record with its position from 0; what is wrong with one, or with the file, instead."""
    n_rows = 0
    reader: RecordReader = kind.record_reader()
    try:
        for row in reader.rows(filesystem, file, settings):
            yield row.row, row.record
            n_rows = row.row + 1
    except DocumentError as error:
        yield n_rows, error
    except OSError as error:
        yield n_rows, unreadable("plan", error)


def _ref(file: InputFile, row: Row, reader: str, settings: ReadSettings) -> DocumentRef:
    identifier: str | None = None
    own: str | None = None
    failure: ErrorRow | None = None
    try:
        if isinstance(row.record, DocumentError):
            raise row.record
        own = own_id(row.record, settings)
        identifier = own if own is not None else _id_of_place(file, row.row)
        text(row.record, settings)
        metadata(row.record, settings)
    except DocumentError as error:
        failure = error_row(f"{file.source}#{row.row + 1}", identifier, error)
    return DocumentRef(
        file=file,
        row=row.row,
        start=row.start,
        stop=row.stop,
        document_id=identifier,
        digest=row.digest,
        reader=reader,
        has_own_id=own is not None,
        error=failure,
    )


def _document(ref: DocumentRef, row: Row, settings: ReadSettings) -> Document:
    if row.digest != ref.digest or isinstance(row.record, DocumentError):
        raise changed()
    content, n_replaced = replace_surrogates(text(row.record, settings))
    return Document(
        document_id=own_id(row.record, settings) or _id_of_place(ref.file, row.row),
        text=content,
        source=ref.source,
        metadata=metadata(row.record, settings),
        n_chars_replaced=n_replaced,
    )


def _id_of_place(file: InputFile, row: int) -> str:
    return f"{file.document_id}#{row + 1}"
