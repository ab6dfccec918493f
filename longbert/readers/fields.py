"""From the fields of a record to id, text and metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from longbert.errors import DocumentError, shown
from longbert.readers.settings import ReadSettings, utf8_size
from longbert.readers.values import WrittenNumber, as_string, plain

MOST_ID_CHARS = 1_000
_MOST_SHOWN_CHARS = 60

# Of a character in UTF-8, so that few texts need to be measured.
_MOST_CHAR_BYTES = 4
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=plain)


def replace_surrogates(text: str) -> tuple[str, int]:
    """Replace lone surrogates one for one by U+FFFD; also how many there were."""
    return (text, 0) if text.isascii() else _LONE_SURROGATE.subn("\ufffd", text)


def printable(text: str) -> str:
    """A text as UTF-8 and Parquet can take it."""
    return replace_surrogates(text)[0]


def own_id(record: Mapping[str, Any], settings: ReadSettings) -> str | None:
    """The id that the record names, None if it names none.

    Raises:
        DocumentError: the id is empty, too long, or neither a string nor an integer.
    """
    value = record.get(settings.id_field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DocumentError(
            "plan",
            "bad_id",
            f"id field {shown(settings.id_field)} must be a string or an integer, got "
            f"{_type_name(value)}: convert it, or name another field with --id-field",
        )
    identifier = str(value)
    if not 0 < len(identifier) <= MOST_ID_CHARS:
        raise DocumentError(
            "plan",
            "bad_id",
            f"id field {shown(settings.id_field)} must have 1 to {MOST_ID_CHARS:,} "
            f"characters, got {len(identifier):,}: shorten it, or name another field with "
            "--id-field",
        )
    return printable(identifier)


def text(record: Mapping[str, Any], settings: ReadSettings) -> str:
    """The record's text as it is, lone surrogates included.

    Raises:
        DocumentError: there is none, it is not a string, or it is too long.
    """
    value = record.get(settings.text_field)
    if not isinstance(value, str):
        raise _bad_text(record, settings)
    check_text_size(value, settings)
    return value


def _bad_text(record: Mapping[str, Any], settings: ReadSettings) -> DocumentError:
    value = record.get(settings.text_field)
    name = f"text field {shown(settings.text_field)}"
    if value is not None:
        return DocumentError(
            "plan",
            "bad_text",
            f"{name} must be a string, got {_type_name(value)}: "
            "convert it, or name another field with --text-field",
        )
    if settings.text_field in record:
        return DocumentError(
            "plan", "no_text", f"{name} is null: give it a string, or leave it out"
        )
    return DocumentError(
        "plan",
        "no_text",
        f"there is no {name}; the fields are {names(record)}: "
        "name the one that holds the text with --text-field",
    )


def _type_name(value: Any) -> str:
    return "float" if isinstance(value, WrittenNumber) else type(value).__name__


def check_text_size(text: str, settings: ReadSettings, *, stage: str = "plan") -> None:
    """Raise DocumentError if a text has too many bytes in UTF-8."""
    limit = settings.max_text_bytes
    if len(text) > limit // _MOST_CHAR_BYTES and (n_bytes := utf8_size(text)) > limit:
        raise settings.too_large(
            "the text", n_bytes, "max_text_bytes", remedy="split the document", stage=stage
        )


def metadata(record: Mapping[str, Any], settings: ReadSettings) -> dict[str, str]:
    """All other fields as strings; what is not a string as compact JSON, null left out.

    Raises:
        DocumentError: there is too much of it, or it is nested too deeply.
    """
    own = (settings.id_field, settings.text_field)
    try:
        fields = {
            printable(name): printable(as_string(value))
            for name, value in record.items()
            if name not in own and value is not None
        }
    except RecursionError:
        raise DocumentError(
            "plan", "bad_metadata", "a field is nested too deeply: leave it out"
        ) from None
    check_metadata_size(fields, settings)
    return fields


def check_metadata_size(
    fields: Mapping[str, str], settings: ReadSettings, *, stage: str = "plan"
) -> None:
    """Raise DocumentError if all names and values together have too many bytes in UTF-8."""
    n_chars = sum(map(len, fields)) + sum(map(len, fields.values()))
    if n_chars <= settings.max_metadata_bytes // _MOST_CHAR_BYTES:
        return
    sizes = {name: utf8_size(name) + utf8_size(value) for name, value in fields.items()}
    n_bytes = sum(sizes.values())
    if n_bytes > settings.max_metadata_bytes:
        largest = max(sizes, key=lambda name: sizes[name])
        remedy = f"leave fields out; the largest is {shown(largest)}"
        raise settings.too_large(
            "the metadata", n_bytes, "max_metadata_bytes", remedy=remedy, stage=stage
        )


def names(record: Iterable[str], *, most: int = 20) -> str:
    """The names of fields for a message, cut to a readable length."""
    all_names = list(record)
    listed = [printable(name)[:_MOST_SHOWN_CHARS] for name in all_names[:most]]
    more = len(all_names) - len(listed)
    return (", ".join(listed) or "none") + (f" and {more} more" if more > 0 else "")


def canonical_json(record: Mapping[str, Any]) -> bytes:
    """One and the same bytes for the same fields, in whatever order they come."""
    return _CANONICAL.encode(record).encode()
