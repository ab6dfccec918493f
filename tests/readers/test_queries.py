"""Queries as JSON lines."""

from __future__ import annotations

import pytest

from longbert.errors import InputError
from longbert.readers.queries import check_query, parse_queries


def test_queries_keep_their_ids_and_order() -> None:
    data = b'\xef\xbb\xbf{"id": "z", "text": "one", "more": 1}\r\n\n{"id": 7, "text": "two"}'
    assert list(parse_queries(data, name="q").items()) == [("z", "one"), ("7", "two")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2 is not JSON"),
        (b"[" * 100_000, "line 2 is not JSON"),
        (b"\xff", r"line 2 is not UTF-8 \(byte 1\)"),
        (b"[]", "line 2 must be a JSON object with id and text, got a list"),
        (b'{"id": "b"}', "line 2 has no field 'text'; its fields are: 'id'"),
        (b'{"text": "b"}', "line 2 has no field 'id'; its fields are: 'text'"),
        (b'{"id": null, "text": "b"}', "line 2: id must be a string or whole number"),
        (b'{"id": true, "text": "b"}', "line 2: id must be a string or whole number"),
        (b'{"id": "", "text": "b"}', "line 2: id must be a string or whole number"),
        (b'{"id": "b", "text": 1}', "line 2: text must be a string, got a number"),
        (b'{"id": "b", "text": " "}', "line 2: text is empty"),
        (b'{"id": "b", "text": "\\ud800"}', "line 2: text has a lone surrogate at character 1"),
        (b'{"id": "c", "text": "b", "text": "d"}', "line 2: the key 'text' stands 2 times"),
        (b'{"id": 1.50, "text": "b"}', "line 2: id must be a string or whole number"),
        (b'{"id": "a", "text": "b"}', "line 2: id 'a' is that of line 1, too"),
    ],
)
def test_a_bad_line_of_queries_is_named(line: bytes, message: str) -> None:
    data = b'{"id": "a", "text": "one"}\n' + line + b"\n"
    with pytest.raises(InputError, match=f"^queries.jsonl {message}") as raised:
        parse_queries(data, name="queries.jsonl")
    assert raised.value.exit_status == 2


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_a_file_without_queries_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^q has no queries: write one JSON object a line"):
        parse_queries(data, name="q")


@pytest.mark.parametrize("text", ["", "  ", "\udc80"])
def test_an_empty_or_broken_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"TEXT (is empty|has a lone surrogate at character 1)"):
        check_query(text, "TEXT")


def test_a_long_id_is_shortened() -> None:
    line = b'{"id": "%s", "text": "a"}\n' % (b"i" * 5000)
    with pytest.raises(InputError) as raised:
        parse_queries(line * 2, name="q")
    assert len(str(raised.value)) < 200
