"""Results of queries as records for programs, and as a run in TREC's format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from longbert.index.excerpts import Hit, HitPassage

RUN_TAG = "longbert"
"""The last column of a TREC run."""

_UNSAFE = re.compile(r"[%\s\x00-\x1f\x7f-\x9f]")


def hit_record(query_id: str, hit: Hit) -> dict[str, Any]:
    """A hit for JSON: scores as the shortest decimals that give the same float32."""
    return {
        "query_id": query_id,
        "rank": hit.rank,
        "document_id": hit.document_id,
        "score": _short(hit.score),
        "passages": [_passage_record(passage) for passage in hit.passages],
    }


def hit_records(results: Iterable[tuple[str, Sequence[Hit]]]) -> Iterator[dict[str, Any]]:
    """The hits of several queries, each with the query's id."""
    return (hit_record(query_id, hit) for query_id, hits in results for hit in hits)


def trec_lines(results: Iterable[tuple[str, Sequence[Hit]]]) -> Iterator[str]:
    """Lines as trec_eval reads them, without line ends.

    It splits lines at white space, so ids are percent-encoded. It orders by score alone, in
    float32, so equal scores are made to differ by the smallest step.
    """
    for query_id, hits in results:
        scores = _descending([hit.score for hit in hits])
        for hit, score in zip(hits, scores, strict=True):
            ids = _encoded(query_id), "Q0", _encoded(hit.document_id)
            yield " ".join((*ids, str(hit.rank), score, RUN_TAG))


def hits_table(results: Iterable[tuple[str, Sequence[Hit]]]) -> Any:
    """A row for each passage of each hit, and one without passage for a hit that has none."""
    rows = [
        (query_id, hit, passage)
        for query_id, hits in results
        for hit in hits
        for passage in hit.passages or (None,)
    ]
    columns = {name: [get(*row) for row in rows] for name, (_, get) in _HIT_COLUMNS.items()}
    schema = pa.schema([(name, kind) for name, (kind, _) in _HIT_COLUMNS.items()])
    return pa.table(columns, schema)


_HIT_COLUMNS: dict[str, tuple[Any, Callable[[str, Hit, HitPassage | None], Any]]] = {
    "query_id": (pa.string(), lambda query_id, hit, passage: query_id),
    "rank": (pa.int32(), lambda query_id, hit, passage: hit.rank),
    "document_id": (pa.string(), lambda query_id, hit, passage: hit.document_id),
    "score": (pa.float32(), lambda query_id, hit, passage: hit.score),
    "char_start": (pa.int64(), lambda query_id, hit, passage: passage and passage.char_start),
    "char_end": (pa.int64(), lambda query_id, hit, passage: passage and passage.char_end),
    "passage_score": (pa.float32(), lambda query_id, hit, passage: passage and passage.score),
    "text": (pa.string(), lambda query_id, hit, passage: passage and passage.text),
}


def _passage_record(passage: HitPassage) -> dict[str, Any]:
    return {
        "char_start": passage.char_start,
        "char_end": passage.char_end,
        "score": _short(passage.score),
        "text": passage.text,
    }


def _short(score: float) -> float:
    return float(str(np.float32(score)))


def _descending(scores: Sequence[float]) -> list[str]:
    """Scores as float32 in short decimals, each below the one before."""
    texts = []
    ceiling = np.float32(np.inf)
    for score in scores:
        value = min(np.float32(score), np.nextafter(ceiling, np.float32(-np.inf)))
        texts.append(str(value))
        ceiling = value
    return texts


def _encoded(name: str) -> str:
    """Percent-encode what would change the fields of a line, and the percent sign."""
    return _UNSAFE.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), name)
