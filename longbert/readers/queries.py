"""Reading queries: JSON lines with the fields ``id`` and ``text``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longbert.errors import DocumentError, InputError, shown
from longbert.readers.values import DECODER, kind_of

_EXAMPLE = '{"id": "1", "text": "what was agreed?"}'


@dataclass(frozen=True, slots=True)
class Query:
    """A line of a file of queries.

    Attributes:
        where: the file and the line, for messages.
        fields: the whole object, numbers as they are written.
    """

    where: str
    query_id: str
    text: str
    fields: Mapping[str, Any]


def parse_queries(data: bytes, *, name: str) -> dict[str, str]:
    """Read the texts of queries by their ids, in the order of the file.

    Args:
        data: a query a line; empty lines are passed over.
        name: of the file, for messages.

    Raises:
        InputError: with the number of the line and what is wrong with it.
    """
    return {query.query_id: query.text for query in read_queries(data, name=name)}


def read_queries(data: bytes, *, name: str) -> list[Query]:
    """Read queries with all their fields; see :func:`parse_queries`."""
    queries: dict[str, Query] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        query = _parsed(line, f"{name} line {number}")
        if query.query_id in queries:
            raise InputError(
                f"{query.where}: id {shown(query.query_id)} is that of line "
                f"{lines[query.query_id]}, too: give every query its own id"
            )
        queries[query.query_id] = query
        lines[query.query_id] = number
    if not queries:
        raise InputError(f"{name} has no queries: write one JSON object a line, such as {_EXAMPLE}")
    return list(queries.values())


def check_query(text: str, where: str) -> str:
    """Return a query's text or id, if it is neither empty nor impossible to encode.

    Raises:
        InputError: otherwise; ``where`` says in the message which one it is.
    """
    if not text.strip():
        raise InputError(f"{where} is empty: give at least one word to search for")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where} has a lone surrogate at character {error.start + 1}, "
            "so it is not valid Unicode: write it as UTF-8"
        ) from None
    return text


def _parsed(line: bytes, where: str) -> Query:
    try:
        record: Any = DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not UTF-8 (byte {error.start + 1}): save the file as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where} is not JSON ({error}): write one JSON object with id and text a line"
        ) from None
    except DocumentError as error:
        raise InputError(f"{where}: {error.message}") from None
    if not isinstance(record, dict):
        raise InputError(
            f"{where} must be a JSON object with id and text, got {kind_of(record)}: write "
            f"{_EXAMPLE}"
        )
    for field in ("id", "text"):
        if field not in record:
            known = ", ".join(map(shown, record)) or "none"
            raise InputError(f"{where} has no field {field!r}; its fields are: {known}")
    query_id, text = record["id"], record["text"]
    if isinstance(query_id, int) and not isinstance(query_id, bool):
        query_id = str(query_id)
    if not isinstance(query_id, str) or not query_id:
        raise InputError(
            f"{where}: id must be a string or whole number that is not empty: write {_EXAMPLE}"
        )
    if not isinstance(text, str):
        raise InputError(f"{where}: text must be a string, got {kind_of(text)}: write {_EXAMPLE}")
    return Query(
        where,
        check_query(query_id, f"{where}: id"),
        check_query(text, f"{where}: text"),
        record,
    )
