"""Queries with the documents that answer them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longbert.errors import InputError
from longbert.readers.judgments import parse_judged_queries


def line(**fields: Any) -> bytes:
    return json.dumps({"id": "q", "text": "what?", **fields}).encode() + b"\n"


def test_lists_and_grades() -> None:
    data = (
        line(relevant=["a", "b", "a"])
        + line(id=7, relevant={"a": 2, "b": 0})
        + line(id="none", relevant=[])
    )

    judged = parse_judged_queries(data, name="x")

    assert judged.texts == {"q": "what?", "7": "what?", "none": "what?"}
    assert judged.grades == {"q": {"a": 1, "b": 1}, "7": {"a": 2, "b": 0}, "none": {}}


@pytest.mark.parametrize(
    ("relevant", "problem"),
    [
        ("a", "relevant must be a list of document ids, or an object .*, got a string"),
        (None, "relevant must be a list .*, got null"),
        ([1, 2], "relevant must be a list .*, got a list of other things"),
        ({"a": 1.5}, r"grade must be a whole number from 0 \(not relevant\) to 1000, got 1.5"),
        ({"a": True}, "grade must be a whole number .*, got true or false"),
        ({"a": "1"}, "grade must be a whole number .*, got a string"),
        ({"a": -1}, "grade must be a whole number .*, got -1"),
        ({"a": 10**9}, "grade must be a whole number .*, got 1000000000"),
    ],
)
def test_what_is_no_judgment_is_told_with_its_line(relevant: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"x line 2: {problem}"):
        parse_judged_queries(line(id="first", relevant=[]) + line(relevant=relevant), name="x")


def test_a_number_that_python_would_write_otherwise_is_told_as_it_stands() -> None:
    data = b'{"id": "q", "text": "t", "relevant": {"a": 1.10}}'
    with pytest.raises(InputError, match=r"grade must be .*, got 1\.10$"):
        parse_judged_queries(data, name="x")


def test_queries_without_judgments_are_told() -> None:
    with pytest.raises(
        InputError, match=r"line 1 has no field 'relevant'; its fields are: 'id', 'text'.*--qrels"
    ):
        parse_judged_queries(line(), name="x")
