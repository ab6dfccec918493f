"""Relevance judgments: which documents answer a query, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longbert.errors import InputError, shown
from longbert.readers.queries import Query, read_queries
from longbert.readers.values import WrittenNumber, kind_of

MOST_GRADE = 1000
"""Highest grade; trec_eval's tables are as long as the highest that there is."""


@dataclass(frozen=True, slots=True)
class JudgedQueries:
    """Queries with the documents that people judged.

    Attributes:
        texts: of the queries, by id, in the order of the file.
        grades: of documents by query and document, at least 0; those of grade 0 are not
            relevant, as are all that are not named.
    """

    texts: Mapping[str, str]
    grades: Mapping[str, Mapping[str, int]]


def parse_judged_queries(data: bytes, *, name: str) -> JudgedQueries:
    """Read JSON lines with ``id``, ``text`` and ``relevant``.

    Args:
        data: in each line, ``relevant`` is a list of ids, which get grade 1, or an object of id
            and grade.
        name: of the file, for messages.

    Raises:
        InputError: with the number of the line and what is wrong with it.
    """
    queries = read_queries(data, name=name)
    return JudgedQueries(
        texts={query.query_id: query.text for query in queries},
        grades={query.query_id: _grades(query) for query in queries},
    )


def _grades(query: Query) -> dict[str, int]:
    if "relevant" not in query.fields:
        known = ", ".join(map(shown, query.fields))
        raise InputError(
            f"{query.where} has no field 'relevant'; its fields are: {known}. Name the documents "
            "that answer it, or give the judgments as a file of TREC with --qrels"
        )
    relevant = query.fields["relevant"]
    if isinstance(relevant, dict):
        return {one: checked_grade(grade, query.where) for one, grade in relevant.items()}
    if not isinstance(relevant, list) or not all(isinstance(one, str) for one in relevant):
        raise InputError(
            f"{query.where}: relevant must be a list of document ids, or an object of id and "
            f"grade, got {_kind(relevant)}"
        )
    return dict.fromkeys(relevant, 1)


def checked_grade(grade: Any, where: str) -> int:
    """A grade, if it is a whole number from 0 to :data:`MOST_GRADE`.

    Raises:
        InputError: otherwise.
    """
    is_whole = isinstance(grade, int) and not isinstance(grade, bool)
    if is_whole and 0 <= grade <= MOST_GRADE:
        return int(grade)
    found = shown(grade) if is_whole else _kind(grade)
    raise InputError(
        f"{where}: grade must be a whole number from 0 (not relevant) to {MOST_GRADE}, got {found}"
    )


def _kind(value: Any) -> str:
    """What a value is, without showing it."""
    if isinstance(value, list):
        return "a list of other things"
    if isinstance(value, float | WrittenNumber):
        return f"{value if isinstance(value, float) else value.written}"
    return kind_of(value)
