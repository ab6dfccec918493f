"""Exact search for documents by their passages."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from longbert.core.ranking import (
    DEFAULT_RANK,
    MEAN_OF,
    ScoredPassage,
    Span,
    check_rank,
    document_scores,
    join_neighbours,
    rows_of,
    similarities,
    top_documents,
    top_passages,
)
from longbert.errors import ConfigError, FingerprintError, ModelError, shown
from longbert.index.snapshot import IndexSnapshot, open_snapshot
from longbert.index.tables import Integers, read_texts
from longbert.index.vectors import lengths, unit_vectors
from longbert.store.folder import OutputFolder
from longbert.store.manifest import IndexDescription

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]
"""Texts to vectors, shape ``(n, width)``, by the model that made the output."""

_QUERIES_AT_ONCE = 128
_CANDIDATES_PER_RESULT = 8
_CANDIDATES_AT_LEAST = 100
_GROWTH = 4
_ROWS_AT_ONCE = 8192
_IDS_COMPARED = 20_000


@dataclass(frozen=True, slots=True)
class HitPassage:
    """A stretch of a document that fits the query; half-open, in code points of its text."""

    char_start: int
    char_end: int
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found; ``rank`` counts from 1, ``passages`` are the best ones, best first."""

    rank: int
    document_id: str
    score: float
    passages: tuple[HitPassage, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A hit before its texts are read; ``rows`` are its best passages."""

    document: int
    score: float
    rows: Integers
    scores: Floats


class Index:
    """The vectors of an output folder, opened for search.

    Results are exact and deterministic: documents of the same score come in the order of the
    tables, and no score depends on the other queries of a call.
    """

    def __init__(self, snapshot: IndexSnapshot, *, encode: Encode) -> None:
        self._snapshot = snapshot
        self._encode = encode
        self._positions: dict[str, int] | None = None

    @classmethod
    def open(cls, output: OutputFolder, *, encode: Encode) -> Index:
        """Open the index that the manifest of an output folder names.

        Args:
            output: the folder.
            encode: makes queries into vectors, by the model that made the output.

        Raises:
            OutputError: there is no finished output, it has no vectors, or a file is damaged.
        """
        return cls(open_snapshot(output), encode=encode)

    @property
    def document_ids(self) -> Sequence[str]:
        """Ids of all documents, in the order of the inputs."""
        return self._snapshot.document_ids

    @property
    def description(self) -> IndexDescription:
        """Type, metric, dimensions, counts and sizes of the index."""
        return self._snapshot.description

    def search(self, text: str, k: int = 10, rank: str = DEFAULT_RANK) -> list[Hit]:
        """Find the ``k`` documents nearest to a text; see :meth:`search_many`."""
        return self.search_many([text], k, rank)[0]

    def search_many(
        self, texts: Sequence[str], k: int = 10, rank: str = DEFAULT_RANK
    ) -> list[list[Hit]]:
        """Find the ``k`` documents nearest to each text.

        Args:
            k: documents wanted, at least 1; fewer come if there are not as many.
            rank: ``"best"``: by the best passage; ``"best-mean"``: by the mean of the three
                best passages; ``"document"``: by the vector of the whole document.

        Raises:
            ConfigError: a text is empty, or ``k`` or ``rank`` is out of range.
            FingerprintError: the encoder's vectors do not fit the index.
        """
        _check(k, rank)
        for text in texts:
            if not text.strip():
                raise ConfigError("the query text is empty: give at least one word")
        hits: list[list[Hit]] = []
        for start in range(0, len(texts), _QUERIES_AT_ONCE):
            queries = self._encoded(texts[start : start + _QUERIES_AT_ONCE])
            hits.extend(self._hits(self._search(queries, k, rank, left_out=None)))
        return hits

    def like(self, document_id: str, k: int = 10, rank: str = DEFAULT_RANK) -> list[Hit]:
        """Find the documents most like one of the output, which is itself left out.

        Raises:
            ConfigError: no document has this id, or ``k`` or ``rank`` is out of range.
        """
        _check(k, rank)
        position = self._position(document_id)
        query = self._snapshot.documents.reconstruct_batch(np.array([position], np.int64))
        return self._hits(self._search(query, k, rank, left_out=position))[0]

    def _encoded(self, texts: Sequence[str]) -> Floats:
        queries = np.ascontiguousarray(self._encode(texts), np.float32)
        width = self._snapshot.description.dimensions
        if queries.shape != (len(texts), width):
            raise FingerprintError(
                f"the encoder made an array of shape {queries.shape} of {len(texts)} queries, the "
                f"index has {width} dimensions: query with the model that made the output"
            )
        if not np.isfinite(queries).all():
            raise ModelError(
                "the model made a vector that is not finite of a query: try --precision float32"
            )
        return unit_vectors(queries) if self._snapshot.description.metric == "cosine" else queries

    def _search(
        self, queries: Floats, k: int, rank: str, *, left_out: int | None
    ) -> list[list[_Found]]:
        """Search for vectors, shape (n, width); all scores are computed one query at a time."""
        by_document = rank == "document"
        index = self._snapshot.documents if by_document else self._snapshot.passages
        description = self._snapshot.description
        entry = description.documents if by_document else description.passages
        wanted = max(_CANDIDATES_AT_LEAST, _CANDIDATES_PER_RESULT * k)
        if not len(queries) or not index.ntotal:
            return [[] for _ in queries]
        scores, rows = index.search(queries, min(wanted, index.ntotal))
        slacks = _rounding(lengths(queries), entry.longest_vector, queries.shape[1])
        found = []
        for number, query in enumerate(queries):
            first = rows[number], float(scores[number, -1]) + slacks[number]
            documents, best = self._top(index, query, first, k, rank, left_out, slacks[number])
            found.append(
                [
                    self._found(query, int(document), float(score))
                    for document, score in zip(documents, best, strict=True)
                ]
            )
        return found

    def _top(
        self,
        index: Any,
        query: Floats,
        first: tuple[Integers, float],
        k: int,
        rank: str,
        left_out: int | None,
        slack: float,
    ) -> tuple[Integers, Floats]:
        """Find the best ``k`` documents for one query.

        A document that is not among the candidates scores at most ``bound``, what the worst
        candidate row scored and what rounding may add. The candidates grow until the k-th
        result is above that: at the bound, a tie could still come before it.
        """
        rows, bound = first
        documents = np.zeros(0, np.int64)
        scores = np.zeros(0, np.float32)
        while True:
            everything = len(rows) == index.ntotal
            if everything:
                candidates = np.arange(len(self._snapshot.document_ids))
            else:
                candidates = rows if rank == "document" else self._snapshot.table.document[rows]
            new = np.setdiff1d(candidates, documents)
            new = new[new != left_out] if left_out is not None else new
            documents = np.concatenate([documents, new])
            scores = np.concatenate([scores, self._document_scores(query, new, rank)])
            top = top_documents(scores, documents, k)
            if everything or (len(top) == k and scores[top[-1]] > bound):
                return documents[top], scores[top]
            n_wanted = min(_GROWTH * len(rows), index.ntotal)
            if n_wanted == index.ntotal:
                rows, bound = np.arange(n_wanted), -np.inf
            else:
                found_scores, found = index.search(query[np.newaxis], n_wanted)
                rows, bound = found[0], float(found_scores[0, -1]) + slack

    def _document_scores(self, query: Floats, documents: Integers, rank: str) -> Floats:
        if rank == "document":
            return _exact(self._snapshot.documents, query, documents)
        rows, sizes = self._rows(documents)
        return document_scores(_exact(self._snapshot.passages, query, rows), sizes, rank=rank)

    def _rows(self, documents: Integers) -> tuple[Integers, Integers]:
        places, sizes = rows_of(documents, self._snapshot.starts)
        return self._snapshot.rows[places], sizes

    def _found(self, query: Floats, document: int, score: float) -> _Found:
        rows, _ = self._rows(np.array([document], np.int64))
        scores = _exact(self._snapshot.passages, query, rows)
        best = top_passages(scores, self._snapshot.table.ordinal[rows], MEAN_OF)
        return _Found(document, score, rows[best], scores[best])

    def _hits(self, found: Sequence[Sequence[_Found]]) -> list[list[Hit]]:
        """Read the texts of all results together, then put them in."""
        snapshot = self._snapshot
        wanted = [row for results in found for one in results for row in one.rows.tolist()]
        texts = read_texts(snapshot.output, snapshot.table, wanted)
        return [
            [
                Hit(
                    rank,
                    snapshot.document_ids[one.document],
                    one.score,
                    self._passages(one, texts),
                )
                for rank, one in enumerate(results, start=1)
            ]
            for results in found
        ]

    def _passages(self, found: _Found, texts: dict[int, str]) -> tuple[HitPassage, ...]:
        table = self._snapshot.table
        by_ordinal = {int(table.ordinal[row]): texts[row] for row in found.rows.tolist()}
        spans = join_neighbours(
            ScoredPassage(
                int(table.ordinal[row]),
                int(table.char_start[row]),
                int(table.char_end[row]),
                score,
            )
            for row, score in zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        )
        return tuple(
            HitPassage(span.char_start, span.char_end, span.score, _text(span, by_ordinal))
            for span in spans
        )

    def _position(self, document_id: str) -> int:
        if self._positions is None:
            self._positions = {one: row for row, one in enumerate(self._snapshot.document_ids)}
        try:
            return self._positions[document_id]
        except KeyError:
            raise ConfigError(
                f"the output has no document {shown(document_id)}{self._nearest(document_id)}"
            ) from None

    def _nearest(self, document_id: str) -> str:
        ids = self._snapshot.document_ids
        if len(ids) > _IDS_COMPARED:
            ids = heapq.nsmallest(
                _IDS_COMPARED, ids, key=lambda one: abs(len(one) - len(document_id))
            )
        if close := get_close_matches(document_id, ids, n=3, cutoff=0.5):
            return f": the nearest ids are {', '.join(map(shown, close))}"
        return f": its ids look like {', '.join(map(shown, ids[:3]))}"


def _check(k: int, rank: str) -> None:
    check_rank(rank)
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}")


def _exact(index: Any, query: Floats, rows: Integers) -> Floats:
    """Score rows of an index, independent of which rows come together. Shape: (rows,)."""
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        scores[start : start + len(block)] = similarities(index.reconstruct_batch(block), query)
    return scores


def _rounding(
    query_lengths: npt.NDArray[np.float64], longest_vector: float, width: int
) -> npt.NDArray[np.float64]:
    """Bound how far FAISS's float32 sum may be from the exact inner product.

    At most ``width * 2**-24`` of the product of the lengths in whatever order it is summed
    (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1); twice that,
    to cover the rounding of our own scores.
    """
    return (width + 8) * 2.0**-23 * query_lengths * longest_vector


def _text(span: Span, by_ordinal: dict[int, str]) -> str:
    ordinals = range(span.first_ordinal, span.last_ordinal + 1)
    return "".join(by_ordinal[ordinal] for ordinal in ordinals)
