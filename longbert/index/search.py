"""Search for documents by their words and by their vectors."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np

from longbert.arrays import FloatArray, IntArray
from longbert.core.fusion import combined, combined_passages
from longbert.core.ranking import (
    DENSE_IN_HYBRID,
    DENSE_RANKS,
    LEXICAL_RANKS,
    check_rank,
    top_documents,
)
from longbert.errors import ConfigError, OutputError, shown
from longbert.index.dense import DenseSearch
from longbert.index.excerpts import Excerpt, HitPassage, Wanted, read_excerpts
from longbert.index.lexical.corpus import LexicalMatch
from longbert.index.snapshot import IndexSnapshot, open_snapshot, open_vectors
from longbert.index.texts import read_texts
from longbert.store.folder import OutputFolder
from longbert.store.manifest import IndexDescription, Manifest

Encode = Callable[[Sequence[str]], FloatArray]
"""Texts to vectors, shape ``(n, width)``, by the model that made the output."""

_QUERIES_AT_ONCE = 128
_DEPTH = 50
"""Best documents of each kind of search that are fused, or twice the documents wanted."""
_IDS_COMPARED = 20_000


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found.

    Attributes:
        rank: counts from 1.
        passages: that fit best, best first.
        title: its first line.
        n_chars: of its text.
    """

    rank: int
    document_id: str
    score: float
    passages: tuple[HitPassage, ...]
    title: str = ""
    n_chars: int = 0


@dataclass(frozen=True, slots=True)
class _Query:
    """A query as each kind of search takes it; None where it does not take part.

    Attributes:
        left_out: a document that is no result.
    """

    vector: FloatArray | None
    match: LexicalMatch | None
    left_out: int | None


@dataclass(frozen=True, slots=True)
class _Found:
    """A hit before its texts are read."""

    score: float
    wanted: Wanted


class Index:
    """An output folder, opened for search.

    Results are deterministic: documents of the same score come in the order of their ids, and no
    score depends on the other queries of a call.

    An index is a snapshot: while runs change the output, it goes on answering as it did when it
    was opened, until :meth:`reload`.
    """

    def __init__(self, snapshot: IndexSnapshot, *, encode: Encode) -> None:
        self._snapshot = snapshot
        self._encode = encode
        self._positions: dict[str, int] | None = None

    @classmethod
    def open(cls, output: OutputFolder, *, encode: Encode) -> Index:
        """Open the indexes that the manifest of an output folder names.

        Args:
            output: the folder.
            encode: makes queries into vectors, by the model that made the output.

        Raises:
            OutputError: there is no finished output, or a file is damaged.
        """
        return cls(open_snapshot(output), encode=encode)

    def reload(self) -> bool:
        """Turn to what the last run into the folder has published.

        Parts that are still there stay open, so this costs no more than what has changed. No
        other thread may be searching meanwhile.

        Returns:
            Whether anything has changed.

        Raises:
            OutputError: the output is unfinished, or a file is damaged; the index stays as it was.
        """
        snapshot = open_snapshot(self._snapshot.output, before=self._snapshot)
        if snapshot is self._snapshot:
            return False
        self._snapshot = snapshot
        self._positions = None
        self.__dict__.pop("_dense", None)
        return True

    @property
    def manifest(self) -> Manifest:
        """The manifest of the output as it was opened."""
        return self._snapshot.manifest

    @property
    def document_ids(self) -> Sequence[str]:
        """Ids of all documents, in the order of the tables; read as they are asked for."""
        return self._snapshot.document_ids

    @property
    def description(self) -> IndexDescription | None:
        """Type, metric, dimensions, counts and sizes of the vectors; None if there are none."""
        return self._snapshot.description

    @property
    def default_rank(self) -> str:
        """``"hybrid"`` if the documents have vectors, else ``"lexical"``."""
        return "lexical" if self._snapshot.description is None else "hybrid"

    @cached_property
    def _dense(self) -> DenseSearch:
        """Opened when it is first wanted: words alone need no vectors in memory."""
        description = self._snapshot.description
        if description is None:
            raise OutputError(
                f"{self._snapshot.output.path} has no vectors, since it was made with --embed none "
                "or holds no document: rank by words, with --rank lexical, or run longbert with "
                "an embedding model, such as --embed minilm"
            )
        return DenseSearch(self._snapshot, open_vectors(self._snapshot, description))

    def search(self, text: str, k: int = 10, rank: str | None = None) -> list[Hit]:
        """Find the ``k`` documents that fit a text best; see :meth:`search_many`."""
        return self.search_many([text], k, rank)[0]

    def search_many(
        self, texts: Sequence[str], k: int = 10, rank: str | None = None
    ) -> list[list[Hit]]:
        """Find the ``k`` documents that fit each text best.

        Args:
            texts: of any length.
            k: documents wanted, at least 1; fewer if there are not that many.
            rank: ``"lexical"``: by words and pairs of neighbouring words, in the whole document
                and in its best run of passages; ``"best"``: by the vector of the best passage;
                ``"best-mean"``: by the mean of the three best; ``"document"``: by the vector of
                the whole document; ``"hybrid"``: ``lexical`` and ``best-mean`` together; None:
                :attr:`default_rank`.

        Raises:
            ConfigError: a text is empty, or ``k`` or ``rank`` is out of range.
            OutputError: ``rank`` needs vectors, and there are none.
            FingerprintError: the encoder's vectors do not fit the index.
        """
        rank = self._checked(k, rank)
        for text in texts:
            if not text.strip():
                raise ConfigError("the query text is empty: give at least one word")
        hits: list[list[Hit]] = []
        for start in range(0, len(texts), _QUERIES_AT_ONCE):
            some = texts[start : start + _QUERIES_AT_ONCE]
            found = [
                self._found(_Query(vector, self._match(text, rank), left_out=None), k, rank)
                for text, vector in zip(some, self._vectors(some, rank), strict=True)
            ]
            hits.extend(self._hits(found))
        return hits

    def like(self, document_id: str, k: int = 10, rank: str | None = None) -> list[Hit]:
        """Find the documents most similar to one in the output, which is itself left out.

        Raises:
            ConfigError: no document has this id, or ``k`` or ``rank`` is out of range.
            OutputError: ``rank`` needs vectors, and there are none.
        """
        rank = self._checked(k, rank)
        position = self._position(document_id)
        vector = self._dense.of_document(position) if rank in DENSE_RANKS else None
        match = self._match(self._text(position), rank) if rank in LEXICAL_RANKS else None
        found = self._found(_Query(vector, match, left_out=position), k, rank)
        return self._hits([found])[0]

    def _checked(self, k: int, rank: str | None) -> str:
        if rank is None:
            rank = self.default_rank
        check_rank(rank)
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}")
        return rank

    def _vectors(self, texts: Sequence[str], rank: str) -> Sequence[FloatArray | None]:
        if rank not in DENSE_RANKS:
            return [None] * len(texts)
        return list(self._dense.queries(self._encode(texts), n_texts=len(texts)))

    def _match(self, text: str, rank: str) -> LexicalMatch | None:
        return self._snapshot.words.match(text) if rank in LEXICAL_RANKS else None

    def _ranked(self, query: _Query, k: int, rank: str) -> tuple[IntArray, FloatArray]:
        """The best ``k`` documents and their scores."""
        if query.vector is not None and rank not in LEXICAL_RANKS:
            return self._dense.top(query.vector, k, rank, left_out=query.left_out)
        if query.vector is None and query.match is None:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        candidates = self._candidates(query, max(_DEPTH, 2 * k))
        by_kind = {}
        if query.match is not None:
            by_kind["runs"] = query.match.runs[candidates]
            by_kind["documents"] = query.match.documents[candidates]
        if query.vector is not None:
            by_kind["dense"] = self._dense.document_scores(
                query.vector, candidates, DENSE_IN_HYBRID
            )
        scores = combined(by_kind)
        top = top_documents(scores, candidates, k, self._snapshot.ids)
        return candidates[top], scores[top]

    def _candidates(self, query: _Query, depth: int) -> IntArray:
        """The best documents of each kind of search, ascending."""
        found = []
        if query.match is not None:
            everything = np.arange(self._snapshot.n_documents)
            for scores in (query.match.runs, query.match.documents):
                kept = np.where(scores > 0, scores, -np.inf)
                if query.left_out is not None:
                    kept[query.left_out] = -np.inf
                found.append(top_documents(kept, everything, depth, self._snapshot.ids))
        if query.vector is not None:
            documents, _ = self._dense.top(
                query.vector, depth, DENSE_IN_HYBRID, left_out=query.left_out
            )
            found.append(documents)
        return np.array(sorted({one for some in found for one in some.tolist()}), np.int64)

    def _passage_scores(self, query: _Query, document: int) -> FloatArray:
        by_kind = {}
        if query.match is not None:
            by_kind["words"] = query.match.passages(document)
        if query.vector is not None:
            by_kind["dense"] = self._dense.passage_scores(query.vector, document)
        return combined_passages(by_kind)

    def _found(self, query: _Query, k: int, rank: str) -> list[_Found]:
        weights = {} if query.match is None else query.match.term_weights
        return [
            _Found(score, Wanted(document, self._passage_scores(query, document), weights))
            for document, score in zip(
                *(one.tolist() for one in self._ranked(query, k, rank)), strict=True
            )
        ]

    def _hits(self, found: Sequence[Sequence[_Found]]) -> list[list[Hit]]:
        """Read the texts of all results at once and fill them in."""
        wanted = [one.wanted for results in found for one in results]
        excerpts = iter(read_excerpts(self._snapshot, wanted))
        return [
            [self._hit(rank, one, next(excerpts)) for rank, one in enumerate(results, start=1)]
            for results in found
        ]

    def _hit(self, rank: int, found: _Found, excerpt: Excerpt) -> Hit:
        return Hit(
            rank=rank,
            document_id=self._snapshot.document_ids[found.wanted.document],
            score=found.score,
            passages=excerpt.passages,
            title=excerpt.title,
            n_chars=excerpt.n_chars,
        )

    def _text(self, document: int) -> str:
        rows, _ = self._snapshot.rows_of(np.array([document], np.int64))
        texts = read_texts(self._snapshot, rows.tolist())
        return "".join(texts[row] for row in rows.tolist())

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
        ids: Sequence[str] = self._snapshot.document_ids
        if len(ids) > _IDS_COMPARED:
            ids = heapq.nsmallest(
                _IDS_COMPARED, ids, key=lambda one: abs(len(one) - len(document_id))
            )
        if close := get_close_matches(document_id, ids, n=3, cutoff=0.5):
            return f": the nearest ids are {', '.join(map(shown, close))}"
        return f": its ids look like {', '.join(map(shown, ids[:3]))}"
