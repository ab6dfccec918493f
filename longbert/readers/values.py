"""Values of JSON and Parquet: read without loss, and as strings."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from longbert.errors import DocumentError, shown

_MOST_INTEGER_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class WrittenNumber:
    """A number that Python would spell in another way: ``1e400``, ``1.10``, 5,000 digits."""

    written: str

    def __float__(self) -> float:
        return float(self.written)


def parse_float(written: str) -> float | WrittenNumber:
    """A number with a fraction or an exponent."""
    value = float(written)
    return value if repr(value) == written else WrittenNumber(written)


def parse_int(written: str) -> int | WrittenNumber:
    """A number without; one of more digits than Python converts is kept as it is written."""
    if len(written) > _MOST_INTEGER_CHARS or written == "-0":
        return WrittenNumber(written)
    return int(written)


def to_json(value: Any) -> str:
    """Compact JSON, with numbers as they were written; raises RecursionError."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_refuse)
    except _WrittenNumberFound:
        # Rare, and many times slower.
        return "".join(_pieces(value))


def kind_of(value: Any) -> str:
    """What a value of JSON is, without showing it, for messages: ``a string``."""
    if isinstance(value, WrittenNumber):
        return "a number"
    return _KINDS.get(type(value), f"a {type(value).__name__}")


_KINDS = {
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def as_string(value: Any) -> str:
    """A value of a field: strings as they are, lists and objects as JSON; raises RecursionError."""
    if isinstance(value, str):
        return value
    is_json = isinstance(value, int | float | list | dict | WrittenNumber)
    return to_json(value) if is_json else plain(value)


class _WrittenNumberFound(Exception):
    pass


def _refuse(value: Any) -> Any:
    if isinstance(value, WrittenNumber):
        raise _WrittenNumberFound
    return plain(value)


def plain(value: Any) -> str:
    """Values that Parquet has and JSON has not."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, WrittenNumber):
        yield value.written
    elif isinstance(value, dict):
        before = "{"
        for name, item in value.items():
            yield f"{before}{json.dumps(name, ensure_ascii=False)}:"
            yield from _pieces(item)
            before = ","
        yield "}" if value else "{}"
    elif isinstance(value, list):
        before = "["
        for item in value:
            yield before
            yield from _pieces(item)
            before = ","
        yield "]" if value else "[]"
    else:
        yield json.dumps(value, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = Counter(name for name, _ in pairs)
        twice = next(name for name, count in names.items() if count > 1)
        raise DocumentError(
            "plan",
            "duplicate_field",
            f"the key {shown(twice)} stands {names[twice]} times in one object, and only one of "
            "its values could be kept: give each key once",
        )
    return record


# The standard library's parser reads 200 to 300 MB/s of long texts. Faster ones let the last of
# two equal keys win without a word, and none keeps numbers as they are written.
DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=parse_float, parse_int=parse_int)
"""For whatever people write as JSON: no key is dropped, and no number changed."""
