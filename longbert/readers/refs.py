"""Digests of what refs stand for, and the rows of documents that cannot be read."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Collection
from typing import NamedTuple

from longbert.errors import DocumentError, FingerprintError
from longbert.readers.kinds import Kind
from longbert.records import DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem

_CHUNK_BYTES = 1 << 20


class FileDigest(NamedTuple):
    """What one reading of a file tells: SHA-256 in hexadecimal, size, and whether it is UTF-8."""

    digest: str
    n_bytes: int
    is_utf8: bool


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_of_file(filesystem: FileSystem, path: str) -> FileDigest:
    """Read a file in bounded memory; raises OSError."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_bytes = 0
    is_utf8 = True
    with filesystem.open(path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            n_bytes += len(chunk)
            is_utf8 = is_utf8 and _decodes(decoder, chunk)
    return FileDigest(digest.hexdigest(), n_bytes, is_utf8 and _decodes(decoder, b"", final=True))


def _decodes(decoder: codecs.IncrementalDecoder, data: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(data, final)
    except UnicodeDecodeError:
        return False
    return True


def unreadable(stage: str, error: OSError) -> DocumentError:
    """A file that the file system does not give."""
    return DocumentError(
        stage,
        "unreadable",
        f"the file cannot be read: {error.strerror or type(error).__name__}: "
        "make it readable, or leave it out of the inputs",
    )


def changed() -> DocumentError:
    """A document that is not what was planned."""
    return DocumentError("read", "changed", "the document changed since it was planned: run again")


def error_row(source: str, identifier: str | None, error: DocumentError) -> ErrorRow:
    """The row of the table ``errors``; its message begins with the source."""
    return ErrorRow(source, identifier, error.stage, error.error, f"{source}: {error.message}")


def error_for(ref: DocumentRef, error: DocumentError) -> ErrorRow:
    """The row of a document that was planned and could not be read."""
    return error_row(ref.source, ref.document_id, error)


def check_reader(ref: DocumentRef, known: Collection[str]) -> None:
    """Raise FingerprintError unless the versions that ref was planned with are here, too."""
    if ref.reader not in known:
        raise FingerprintError(
            f"{ref.file.source} was planned with the reader {ref.reader!r}, but here it is "
            f"{' or '.join(map(repr, known))}: install the same versions on every machine"
        )


def failed_listing(file: InputFile) -> DocumentRef:
    """The ref of a folder that could not be listed."""
    error = DocumentError(
        "plan",
        "unreadable",
        f"it cannot be listed: {file.problem}: make it readable, or leave it out of the inputs",
    )
    return DocumentRef(
        file=file,
        row=None,
        start=0,
        stop=0,
        document_id=None,
        digest=digest_of(file.problem.encode()),
        reader="",
        error=error_row(file.source, None, error),
    )


def failed_file(
    filesystem: FileSystem, file: InputFile, kind: Kind, error: DocumentError, *, row: int = 0
) -> DocumentRef:
    """The ref of a file that cannot be read from ``row`` on."""
    try:
        digest, n_bytes, _ = digest_of_file(filesystem, file.path)
    except OSError:
        digest, n_bytes = digest_of(error.error.encode()), file.n_bytes
    return failed_ref(file, kind, error, digest=digest, n_bytes=n_bytes, row=row)


def failed_ref(
    file: InputFile, kind: Kind, error: DocumentError, *, digest: str, n_bytes: int, row: int = 0
) -> DocumentRef:
    """As :func:`failed_file`, for a file whose digest is known."""
    source = f"{file.source}#{row + 1}" if row else file.source
    identifier = None if kind.holds_records else file.document_id
    return DocumentRef(
        file=file,
        row=row if kind.holds_records else None,
        start=0,
        stop=n_bytes,
        document_id=identifier,
        digest=digest,
        reader=kind.fingerprint(),
        error=error_row(source, identifier, error),
    )
