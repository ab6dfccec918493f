"""Files that are one document each: plain text and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from longbert.errors import DocumentError
from longbert.readers.decoding import decode
from longbert.readers.fields import (
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
from longbert.readers.html import html_text
from longbert.records import Document, DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem


def scan(filesystem: FileSystem, file: InputFile, fields: Fields) -> Iterator[DocumentRef]:
    """See :func:`longbert.readers.documents.scan`."""
    try:
        digest, n_bytes = digest_of_file(filesystem, file.path)
    except OSError as error:
        yield failed_file(filesystem, file, unreadable("plan", error))
        return
    if n_bytes == 0:
        empty = DocumentError("plan", "empty", "the file has 0 bytes: leave it out of the inputs")
        yield failed_file(filesystem, file, empty)
        return
    yield DocumentRef(
        file=file,
        row=0,
        start=0,
        stop=n_bytes,
        document_id=file.document_id,
        source=printable(file.path),
        digest=digest,
    )


def read(
    filesystem: FileSystem, refs: Sequence[DocumentRef], fields: Fields
) -> Iterator[Document | ErrorRow]:
    """See :func:`longbert.readers.documents.read`."""
    for ref in refs:
        if ref.error is not None:
            yield ref.error
            continue
        try:
            yield _document(filesystem, ref)
        except DocumentError as error:
            yield error_for(ref, error)
        except OSError as error:
            yield error_for(ref, unreadable("read", error))


def _document(filesystem: FileSystem, ref: DocumentRef) -> Document:
    with filesystem.open(ref.file.path) as stream:
        data = stream.read()
    if digest_of(data) != ref.digest:
        raise changed()
    decoded = html_text(data) if ref.file.kind == "html" else decode(data)
    content, n_replaced = replace_surrogates(decoded)
    return Document(
        document_id=ref.document_id or ref.file.document_id,
        text=content,
        source=ref.source,
        metadata={},
        n_chars_replaced=n_replaced,
    )
