"""From the fields of a record to id, text and metadata."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from longbert.errors import DocumentError
from longbert.readers.settings import ReadSettings

MOST_ID_CHARS = 1_000

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> tuple[str, int]:
    """Replace lone surrogates one for one by U+FFFD; also how many there were."""
    return _LONE_SURROGATE.subn("�", text)


def printable(text: str) -> str:
    """A name as UTF-8 and Parquet can take it; undecodable bytes of a path are surrogates."""
    return replace_surrogates(text)[0]


def own_id(record: Mapping[str, Any], settings: ReadSettings) -> str | None:
    """The id that the record names, None if it names none.

    Raises:
        DocumentError: the id is empty, too long, or neither a string nor an integer.
    """
    value = record.get(settings.id_field)
    if value is None:
        return None
    name = f"id field {printable(settings.id_field)!r}"
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


def text(record: Mapping[str, Any], settings: ReadSettings) -> str:
    """The record's text as it is, lone surrogates included.

    Raises:
        DocumentError: there is none, or it is not a string.
    """
    value = record.get(settings.text_field)
    name = f"text field {printable(settings.text_field)!r}"
    if value is None and settings.text_field in record:
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


def metadata(record: Mapping[str, Any], settings: ReadSettings) -> dict[str, str]:
    """All other fields as strings; what is not a string as compact JSON, null left out."""
    own = (settings.id_field, settings.text_field)
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
