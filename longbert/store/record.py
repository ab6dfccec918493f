"""Records that are kept as JSON: parsed, checked, and written the same for the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from longbert.errors import DamagedError, OutputError

FORMAT = 4
"""Version of the layout; any other is refused."""


RecordType = TypeVar("RecordType", bound="Record")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all records that are kept as JSON."""


def to_builtins(record: Record) -> dict[str, Any]:
    """A record for JSON: dictionaries, lists and plain values."""
    content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    return content


def to_json(content: Record | Mapping[str, Any]) -> bytes:
    """A record as JSON bytes: the same content gives the same bytes."""
    plain = to_builtins(content) if isinstance(content, Record) else content
    return (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode()


def from_json(data: bytes, kind: type[RecordType], *, path: str) -> RecordType:
    """Parse and check a record's file.

    Args:
        data: its content.
        kind: of record.
        path: for messages.

    Raises:
        DamagedError: it is not what longbert writes.
        OutputError: it is of another format.
    """
    try:
        content = msgspec.json.decode(data)
        if "format" in kind.__struct_fields__ and isinstance(content, dict):
            _check_format(content.get("format"), path)
        return msgspec.convert(content, kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DamagedError(
            f"{path} is damaged ({error}): restore it, or remove it and run longbert again, which "
            "keeps the parts that are complete"
        ) from None


def _check_format(found: object, path: str) -> None:
    if found != FORMAT:
        raise OutputError(
            f"{path} has format {found!r}, and this version of longbert reads and writes format "
            f"{FORMAT}: run into another folder, or use the version that wrote it"
        )
