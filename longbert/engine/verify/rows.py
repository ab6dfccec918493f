"""Rows of a part: whether they fit together, and whether spans give the texts beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from longbert.core.passages import passage_id
from longbert.core.spans import span_problems
from longbert.index.vectors import column_vectors
from longbert.store.fingerprints import RowSettings

Rows = list[dict[str, Any]]


def row_problems(tables: Mapping[str, pa.Table], settings: RowSettings) -> Iterator[str]:
    """Check the rows of all tables of a part.

    Args:
        tables: of the part, by name.
        settings: that the rows were made with.
    """
    has_vectors = any(head.name == "embedding" for one in settings.passes for head in one.heads)
    for table in ("documents", "passages"):
        yield from _vector_problems(table, tables[table], has_vectors=has_vectors)
    # Passes over whole documents come first; without a pass, passages take all of the text.
    reads_all = not settings.passes or settings.passes[0].reads == "all"
    yield from _document_problems(tables, reads_all=reads_all)


def plain_rows(table: pa.Table) -> Rows:
    """Rows without vectors and metadata."""
    columns = [name for name in table.column_names if name not in ("embedding", "metadata")]
    rows: Rows = table.select(columns).to_pylist()
    return rows


def _vector_problems(name: str, table: pa.Table, *, has_vectors: bool) -> Iterator[str]:
    if not len(table):
        return
    try:
        vectors = column_vectors(table.column("embedding").combine_chunks())
    except ValueError as error:
        yield f"{name}: {error}"
        return
    if has_vectors and vectors is None:
        yield f"{name}: there is an embedding model, but no row has a vector"
    elif vectors is not None and not has_vectors:
        yield f"{name}: rows have vectors, but there is no embedding model"
    elif vectors is not None:
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            first = table.column("document_id")[int(wrong[0])].as_py()
            yield (
                f"{name}: NaN or infinity in {len(wrong):,} of {len(vectors):,} vectors, first in "
                f"document {first!r}"
            )


def _document_problems(tables: Mapping[str, pa.Table], *, reads_all: bool) -> Iterator[str]:
    failed = {(row["source"], row["document_id"]) for row in plain_rows(tables["errors"])}
    passages = _by_document(tables["passages"])
    entities = _by_document(tables["entities"])
    classes = _by_document(tables["classifications"])
    windows = _by_document(tables["window_scores"]) if "window_scores" in tables else {}
    for row in plain_rows(tables["documents"]):
        document_id = row["document_id"]
        where = f"document {document_id!r}"
        if (row["source"], document_id) in failed:
            yield f"{where}: in the output twice"
        if reads_all and row["n_chars_covered"] != row["n_chars"]:
            yield f"{where}: {row['n_chars_covered']} of {row['n_chars']} characters are covered"
        own = passages.pop(document_id, [])
        text = "".join(passage["text"] for passage in own)
        if hashlib.sha256(text.encode()).hexdigest() != row["content_sha256"]:
            yield f"{where}: the passages do not add up to the document's text"
        yield from (f"{where}: {problem}" for problem in _passage_problems(own, row["n_chars"]))
        for passage in own:
            if passage["passage_id"] != passage_id(document_id, passage["ordinal"]):
                yield f"{where}: passage {passage['ordinal']} has the wrong id"
        for spans in _spans_by_head(entities.pop(document_id, [])):
            yield from (f"{where}: {problem}" for problem in span_problems(text, spans))
        classes.pop(document_id, None)
        for window in windows.pop(document_id, []):
            if not 0 <= window["char_start"] <= window["char_end"] <= len(text):
                yield f"{where}: window {window['window']} is not a span of the text"
    for table, rest in (
        ("passages", passages),
        ("entities", entities),
        ("classifications", classes),
        ("window_scores", windows),
    ):
        for document_id in rest:
            yield f"{table} has rows of {document_id!r}, which is not in documents"


def _spans_by_head(entities: Rows) -> Iterable[list[tuple[int, int, str]]]:
    """Start, end and text of the entities of each head, in the order of the table."""
    by_head: dict[str, list[tuple[int, int, str]]] = {}
    for entity in entities:
        span = entity["char_start"], entity["char_end"], entity["text"]
        by_head.setdefault(entity["head"], []).append(span)
    return by_head.values()


def _passage_problems(passages: Rows, n_chars: int) -> Iterator[str]:
    reached = 0
    for ordinal, passage in enumerate(passages):
        if passage["ordinal"] != ordinal:
            yield f"passage {ordinal} is missing or out of order"
            return
        if passage["char_start"] != reached or passage["char_end"] < reached:
            yield f"passage {ordinal} does not begin where the one before ends"
            return
        if passage["char_end"] - reached != len(passage["text"]):
            yield f"passage {ordinal} has a text of another length than its span"
        reached = passage["char_end"]
    if reached != n_chars:
        yield f"the passages end at character {reached} of {n_chars}"


def _by_document(table: pa.Table) -> dict[str, Rows]:
    grouped: dict[str, Rows] = {}
    for row in plain_rows(table):
        grouped.setdefault(row["document_id"], []).append(row)
    return grouped
