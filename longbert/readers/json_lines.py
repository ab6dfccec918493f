"""JSON lines, plain or gzip: a document a line."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any, cast

from longbert.errors import DocumentError
from longbert.readers.decoding import BOM_UTF8, has_wide_bom
from longbert.readers.fields import (
    Fields,
    changed,
    digest_of,
    document_id,
    error_for,
    error_row,
    failed_file,
    metadata,
    printable,
    replace_surrogates,
    text,
    unreadable,
)
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem

_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error)


def scan(filesystem: FileSystem, file: InputFile, fields: Fields) -> Iterator[DocumentRef]:
    """See :func:`longbert.readers.documents.scan`; offsets are those of the decompressed stream."""
    row = 0
    start = 0
    n_refs = 0
    blank = hashlib.sha256()
    try:
        with _opened(filesystem, file) as stream:
            while line := stream.readline():
                if start == 0 and has_wide_bom(line):
                    yield failed_file(filesystem, file, _wide())
                    return
                stop = start + len(line)
                if _body(line, start).strip():
                    yield _ref(file, fields, row, start, line)
                    n_refs += 1
                else:
                    blank.update(line)
                row, start = row + 1, stop
    except _DAMAGED:
        yield failed_file(filesystem, file, _damaged(), row=row)
        return
    except OSError as error:
        yield failed_file(filesystem, file, unreadable("plan", error), row=row)
        return
    if n_refs == 0:
        empty = DocumentError(
            "plan", "empty", f"there is no record in the {start} bytes: leave it out of the inputs"
        )
        source = printable(file.path)
        yield DocumentRef(
            file=file,
            row=0,
            start=0,
            stop=start,
            document_id=None,
            source=source,
            digest=blank.hexdigest(),
            error=error_row(source, None, empty),
        )


def read(
    filesystem: FileSystem, refs: Sequence[DocumentRef], fields: Fields
) -> Iterator[Document | ErrorRow]:
    """See :func:`longbert.readers.documents.read`."""
    with ExitStack() as files:
        stream: IO[bytes] | None = None
        broken: DocumentError | None = None
        for ref in refs:
            if ref.error is not None:
                yield ref.error
                continue
            try:
                # A damaged gzip is not read again from its start for every line after.
                if broken is not None:
                    raise broken
                if stream is None:
                    stream = files.enter_context(_opened(filesystem, ref.file))
                stream.seek(ref.start)
                line = stream.read(ref.stop - ref.start)
                yield _document(ref, line, fields)
            except DocumentError as error:
                yield error_for(ref, error)
            except _DAMAGED:
                broken = changed()
                yield error_for(ref, broken)
            except OSError as error:
                yield error_for(ref, unreadable("read", error))


def records(
    filesystem: FileSystem, file: InputFile
) -> Iterator[tuple[int, dict[str, Any] | DocumentError]]:
    """See :func:`longbert.readers.documents.records`."""
    row = 0
    start = 0
    try:
        with _opened(filesystem, file) as stream:
            while line := stream.readline():
                if start == 0 and has_wide_bom(line):
                    yield row, _wide()
                    return
                body = _body(line, start)
                if body.strip():
                    yield row, _record_or_error(body)
                row, start = row + 1, start + len(line)
    except _DAMAGED:
        yield row, _damaged()
    except OSError as error:
        yield row, unreadable("plan", error)


@contextmanager
def _opened(filesystem: FileSystem, file: InputFile) -> Iterator[IO[bytes]]:
    with filesystem.open(file.path) as raw:
        if file.compressed:
            with gzip.open(raw) as stream:
                yield cast(IO[bytes], stream)
        else:
            yield raw


def _ref(file: InputFile, fields: Fields, row: int, start: int, line: bytes) -> DocumentRef:
    source = f"{printable(file.path)}#{row + 1}"
    identifier: str | None = None
    failure: ErrorRow | None = None
    try:
        record = _record(_body(line, start))
        identifier = document_id(record, fields, without=f"{file.document_id}#{row + 1}")
        text(record, fields)
        metadata(record, fields)
    except DocumentError as error:
        failure = error_row(source, identifier, error)
    return DocumentRef(
        file=file,
        row=row,
        start=start,
        stop=start + len(line),
        document_id=identifier,
        source=source,
        digest=digest_of(line),
        error=failure,
    )


def _document(ref: DocumentRef, line: bytes, fields: Fields) -> Document:
    if digest_of(line) != ref.digest:
        raise changed()
    record = _record(_body(line, ref.start))
    content, n_replaced = replace_surrogates(text(record, fields))
    return Document(
        document_id=document_id(record, fields, without=ref.document_id or ref.source),
        text=content,
        source=ref.source,
        metadata=metadata(record, fields),
        n_chars_replaced=n_replaced,
    )


def _body(line: bytes, start: int) -> bytes:
    """The line without the byte order mark that some editors put before the first one."""
    return line.removeprefix(BOM_UTF8) if start == 0 else line


def _record_or_error(line: bytes) -> dict[str, Any] | DocumentError:
    try:
        return _record(line)
    except DocumentError as error:
        return error


def _record(line: bytes) -> dict[str, Any]:
    try:
        # A line break in an unfinished string would be blamed in its place.
        record = json.loads(line.decode().rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise DocumentError(
            "plan",
            "encoding",
            f"byte {error.start} of the line is not UTF-8: convert the file to UTF-8",
        ) from None
    except RecursionError:
        raise _bad_json("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        # `msg` names what was expected; the exception itself may quote the document.
        what = error.msg.split(":")[0].removesuffix(" at")
        raise _bad_json(f"{what} at character {error.pos}") from None
    except ValueError:
        raise _bad_json("a number in it has too many digits") from None
    if not isinstance(record, dict):
        raise DocumentError(
            "plan",
            "not_an_object",
            f"the line is a JSON {_JSON_NAMES[type(record)]}, not an object: "
            'write {"id": ..., "text": ...}, one a line',
        )
    return record


_JSON_NAMES = {
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def _bad_json(what: str) -> DocumentError:
    return DocumentError(
        "plan", "bad_json", f"the line is not valid JSON: {what}: write one whole record a line"
    )


def _damaged() -> DocumentError:
    return DocumentError(
        "plan",
        "bad_gzip",
        "the gzip data is damaged or cut short from here on: "
        "copy or compress the file again (gzip -t checks it)",
    )


def _wide() -> DocumentError:
    return DocumentError(
        "plan", "encoding", "the file begins as UTF-16 or UTF-32: convert it to UTF-8"
    )
