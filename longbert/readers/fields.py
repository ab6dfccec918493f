"""From the fields of a record to id, text and metadata; shared by JSON lines and Parquet."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from longbert.errors import DocumentError
from longbert.records import DocumentRef, ErrorRow, InputFile
from longbert.store.filesystem import FileSystem

MOST_ID_CHARS = 1_000

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the fields that hold id and text; all others are metadata."""

    id_field: str
    text_field: str


def replace_surrogates(text: str) -> tuple[str, int]:
    """Replace lone surrogates one for one by U+FFFD; also how many there were."""
    return _LONE_SURROGATE.subn("�", text)


def printable(text: str) -> str:
    """A name as UTF-8 and Parquet can take it; undecodable bytes of a path are surrogates."""
    return replace_surrogates(text)[0]


def document_id(record: Mapping[str, Any], fields: Fields, *, without: str) -> str:
    """The record's own id, or ``without`` if it has none.

    Raises:
        DocumentError: the id is empty, too long, or neither a string nor an integer.
    """
    value = record.get(fields.id_field)
    if value is None:
        return without
    name = f"id field {printable(fields.id_field)!r}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DocumentError(
            "plan",
            "bad_id",
            f"{name} must be a string or an integer, got {type(value).__name__}: "
            "convert it, or name another field with --id-field",
        )
    identifier = str(value)
    if not 0 < len(identifier) <= MOST_ID_CHARS:
        raise DocumentError(
            "plan",
            "bad_id",
            f"{name} must have 1 to {MOST_ID_CHARS:,} characters, got {len(identifier):,}: "
            "shorten it, or name another field with --id-field",
        )
    return printable(identifier)


def text(record: Mapping[str, Any], fields: Fields) -> str:
    """The record's text as it is, lone surrogates included.

    Raises:
        DocumentError: there is none, or it is not a string.
    """
    value = record.get(fields.text_field)
    name = f"text field {printable(fields.text_field)!r}"
    if value is None and fields.text_field in record:
        raise DocumentError("plan", "no_text", f"{name} is null: give it a string, or leave it out")
    if value is None:
        raise DocumentError(
            "plan",
            "no_text",
            f"there is no {name}; the fields are {names(record)}: "
            "name the one that holds the text with --text-field",
        )
    if not isinstance(value, str):
        raise DocumentError(
            "plan",
            "bad_text",
            f"{name} must be a string, got {type(value).__name__}: "
            "convert it, or name another field with --text-field",
        )
    return value


def metadata(record: Mapping[str, Any], fields: Fields) -> dict[str, str]:
    """All other fields as strings; what is not a string as compact JSON, null left out."""
    own = (fields.id_field, fields.text_field)
    return {
        printable(name): printable(_as_string(value))
        for name, value in record.items()
        if name not in own and value is not None
    }


def names(record: Mapping[str, Any], *, most: int = 20, most_chars: int = 60) -> str:
    """The names of a record's fields for a message, cut to a readable length."""
    listed = [printable(name)[:most_chars] for name in list(record)[:most]]
    more = len(record) - len(listed)
    return (", ".join(listed) or "none") + (f" and {more} more" if more > 0 else "")


def canonical_json(record: Mapping[str, Any]) -> bytes:
    """One and the same bytes for the same fields, in whatever order they come."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), default=_plain).encode()


def _as_string(value: Any) -> str:
    plain = value if isinstance(value, str | int | float | list | dict) else _plain(value)
    if isinstance(plain, str):
        return plain
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> str:
    """Values that Parquet has and JSON has not."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_of_file(filesystem: FileSystem, path: str) -> tuple[str, int]:
    """SHA-256 of a file's bytes and their number, in bounded memory; raises OSError."""
    digest = hashlib.sha256()
    n_bytes = 0
    with filesystem.open(path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            n_bytes += len(chunk)
    return digest.hexdigest(), n_bytes


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
    """As :func:`error_row`, for a document that was planned."""
    return error_row(ref.source, ref.document_id, error)


def failed_file(
    filesystem: FileSystem, file: InputFile, error: DocumentError, *, row: int = 0
) -> DocumentRef:
    """The ref of a file that cannot be read from ``row`` on."""
    source = printable(file.path) + (f"#{row + 1}" if row else "")
    identifier = file.document_id if file.kind in ("text", "html") else None
    try:
        digest, n_bytes = digest_of_file(filesystem, file.path)
    except OSError:
        digest, n_bytes = digest_of(error.error.encode()), file.n_bytes
    return DocumentRef(
        file=file,
        row=row,
        start=0,
        stop=n_bytes,
        document_id=identifier,
        source=source,
        digest=digest,
        error=error_row(source, identifier, error),
    )
