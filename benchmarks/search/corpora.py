"""Corpora with known answers: QMSum's meetings and XQuAD's articles."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its one relevant document.

    Attributes:
        answers: half-open spans of that document that answer it; none where only the document
            is known.
    """

    text: str
    relevant: str
    answers: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents as JSON lines have them, and queries about them."""

    name: str
    documents: Sequence[dict[str, Any]]
    queries: Sequence[Query]


def read_meetings(documents: Path, queries: Path) -> list[Corpus]:
    """Meetings as two disjoint corpora.

    Args:
        documents: JSON lines with ``id`` and ``text``.
        queries: JSON lines with ``text`` and ``relevant``, the ids of the relevant documents.
    """
    rows = list(_rows(documents))
    asked = [Query(one["text"], one["relevant"][0]) for one in _rows(queries)]
    series = list(dict.fromkeys(_series(row["id"]) for row in rows))
    corpora = []
    for half in (0, 1):
        own = set(series[half::2])
        kept = [row for row in rows if _series(row["id"]) in own]
        of_half = [query for query in asked if _series(query.relevant) in own]
        corpora.append(Corpus(f"meetings-{half + 1}", kept, of_half))
    return corpora


def read_articles(path: Path) -> Corpus:
    """Articles with questions whose answers are spans of the text.

    Args:
        path: JSON lines with ``id``, ``text`` and ``questions``, each with ``text`` and
            ``answers``.
    """
    rows = list(_rows(path))
    queries = [
        Query(question["text"], row["id"], tuple((a, b) for a, b in question["answers"]))
        for row in rows
        for question in row["questions"]
    ]
    documents = [{"id": row["id"], "text": row["text"]} for row in rows]
    return Corpus("articles", documents, queries)


def _series(document_id: str) -> str:
    """The meetings a, b, c and d of one group are about one thing, and stay together."""
    return document_id.rstrip("abcd")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
