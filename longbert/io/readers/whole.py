"""Files that are one document each: plain text and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from longbert.errors import DocumentError
from longbert.io.decoding import decode
from longbert.io.filesystem import FileSystem
from longbert.io.html import html_text
from longbert.io.readers.fields import (
    Fields,
    changed,
    digest_of,
    digest_of_file,
    error_for,
    failed_file,
    printable,
    replace_surrogates,
    unreadable,
)
from longbert.records import Document, ErrorRow, InputFile, Stub


def scan(filesystem: FileSystem, file: InputFile, fields: Fields) -> Iterator[Stub]:
    """See :func:`longbert.io.readers.scan`."""
    try:
        digest, n_bytes = digest_of_file(filesystem, file.path)
    except OSError as error:
        yield failed_file(filesystem, file, unreadable("plan", error))
        return
    if n_bytes == 0:
        empty = DocumentError("plan", "empty", "the file has 0 bytes: leave it out of the inputs")
        yield failed_file(filesystem, file, empty)
        return
    yield Stub(
        file=file,
        row=0,
        start=0,
        stop=n_bytes,
        document_id=file.document_id,
        source=printable(file.path),
        digest=digest,
    )


def read(
    filesystem: FileSystem, stubs: Sequence[Stub], fields: Fields
) -> Iterator[Document | ErrorRow]:
    """See :func:`longbert.io.readers.read`."""
    for stub in stubs:
        if stub.error is not None:
            yield stub.error
            continue
        try:
            yield _document(filesystem, stub)
        except DocumentError as error:
            yield error_for(stub, error)
        except OSError as error:
            yield error_for(stub, unreadable("read", error))


def _document(filesystem: FileSystem, stub: Stub) -> Document:
    with filesystem.open(stub.file.path) as stream:
        data = stream.read()
    if digest_of(data) != stub.digest:
        raise changed()
    decoded = html_text(data) if stub.file.kind == "html" else decode(data)
    content, n_replaced = replace_surrogates(decoded)
    return Document(
        document_id=stub.document_id or stub.file.document_id,
        text=content,
        source=stub.source,
        metadata={},
        n_chars_replaced=n_replaced,
    )
