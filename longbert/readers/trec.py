"""TREC's files, runs and relevance judgments, read as trec_eval does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from urllib.parse import unquote

import numpy as np

from longbert.errors import InputError, shown
from longbert.readers.judgments import checked_grade

_RUN_FIELDS = "query_id Q0 document_id rank score tag"
_JUDGMENT_FIELDS = "query_id 0 document_id grade"


def parse_run(data: bytes, *, name: str) -> dict[str, list[str]]:
    """Read a run: the ids of the documents found for each query, best first.

    Scores alone decide, as float32, and of equal ones the document whose id sorts last comes
    first. Ids are percent-decoded.

    Args:
        data: lines of six fields with white space between them.
        name: of the file, for messages.

    Raises:
        InputError: with the number of the line and what is wrong with it.
    """
    scores: dict[str, dict[str, np.float32]] = {}
    for where, (query, _, document, _, score, _) in _lines(data, name, _RUN_FIELDS):
        own = scores.setdefault(unquote(query), {})
        if unquote(document) in own:
            raise _named_twice(query, document, where)
        own[unquote(document)] = _score(score, where)
    return {
        query: sorted(own, key=lambda one: (own[one], one.encode()), reverse=True)
        for query, own in scores.items()
    }


def parse_qrels(data: bytes, *, name: str) -> dict[str, dict[str, int]]:
    """Read judgments: the grades of documents by query and document.

    Ids are percent-decoded. Grades below 0, by which some collections mark what is worse than
    not relevant, are read as 0.

    Args:
        data: lines of four fields with white space between them.
        name: of the file, for messages.

    Raises:
        InputError: with the number of the line and what is wrong with it.
    """
    grades: dict[str, dict[str, int]] = {}
    for where, (query, _, document, grade) in _lines(data, name, _JUDGMENT_FIELDS):
        own = grades.setdefault(unquote(query), {})
        if unquote(document) in own:
            raise _named_twice(query, document, where)
        try:
            own[unquote(document)] = checked_grade(max(0, int(grade)), where)
        except ValueError:
            raise InputError(
                f"{where}: grade must be a whole number, is {shown(grade)}: write 1 for relevant"
            ) from None
    return grades


def _lines(data: bytes, name: str, fields: str) -> Iterator[tuple[str, list[str]]]:
    n_fields = len(fields.split())
    n_lines = 0
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        values = line.split()
        if not values:
            continue
        n_lines += 1
        where = f"{name} line {number}"
        if len(values) != n_fields:
            raise InputError(f"{where} has {len(values)} fields, must have {n_fields}: {fields}")
        try:
            yield where, [value.decode() for value in values]
        except UnicodeDecodeError:
            raise InputError(f"{where} is not UTF-8: save the file as UTF-8") from None
    if not n_lines:
        raise InputError(f"{name} is empty: each of its lines must be {fields}")


def _score(written: str, where: str) -> np.float32:
    try:
        score = float(written)
    except ValueError:
        score = math.nan
    if math.isnan(score):
        raise InputError(f"{where}: score must be a number, is {shown(written)}: write it as 12.5")
    with np.errstate(over="ignore"):
        return np.float32(score)


def _named_twice(query: str, document: str, where: str) -> InputError:
    return InputError(
        f"{where}: document {shown(document)} stands twice under query {shown(query)}: "
        "keep one of the lines"
    )
