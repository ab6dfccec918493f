"""Ranking the documents of one snapshot, and reading what is shown of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.fusion import combined_passages
from longbert.core.ranks import DENSE_RANKS, LEXICAL_RANKS
from longbert.errors import ConfigError, LongbertError, OutputError
from longbert.index.dense import DenseSearch
from longbert.index.excerpts import Excerpt, Hit, Wanted, read_excerpts
from longbert.index.hybrid import DEPTH, Kinds, Query, fused
from longbert.index.lexical.corpus import LexicalMatch
from longbert.index.lookup import IdLookup
from longbert.index.opened import open_vectors
from longbert.index.sentences import SentenceSearch, query_parts, with_whole
from longbert.index.snapshot import IndexSnapshot
from longbert.index.texts import read_texts
from longbert.store.layout import ERRORS

Encode = Callable[[Sequence[str]], FloatArray]
"""Texts to vectors, shape ``(n, width)``, by the model that made the output."""

_QUERIES_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class _Found:
    """A hit before its texts are read."""

    score: float
    wanted: Wanted


class SnapshotSearch:
    """Ranks the documents of a snapshot.

    Every file is opened when a ranking first reads it: words alone need no vectors, and vectors
    no words.

    Args:
        snapshot: of the output.
        encode: makes queries into vectors.
    """

    def __init__(self, snapshot: IndexSnapshot, encode: Encode) -> None:
        self.snapshot = snapshot
        self._encode = encode
        self._ids = IdLookup(snapshot.document_ids)
        self._last_filter: tuple[str, BoolArray] | None = None

    def allowed(self, filter: str) -> BoolArray:
        """The documents that a filter lets through; the last one asked for is kept.

        Raises:
            ConfigError: the filter is wrong.
        """
        if self._last_filter is None or self._last_filter[0] != filter:
            # lark is loaded no sooner than here.
            from longbert.index.filters.masks import matching_documents

            tables = [part.tables for part in self.snapshot.parts]
            self._last_filter = filter, matching_documents(tables, filter)
        return self._last_filter[1]

    def queries(
        self, texts: Sequence[str], rank: str, allowed: BoolArray | None
    ) -> Iterator[list[Query]]:
        """Texts as queries, block after block."""
        for start in range(0, len(texts), _QUERIES_AT_ONCE):
            some = texts[start : start + _QUERIES_AT_ONCE]
            yield [
                Query(vectors, self._match(text, rank), allowed)
                for text, vectors in zip(some, self._vectors(some, rank), strict=True)
            ]

    def query_of(self, document_id: str, rank: str, allowed: BoolArray | None) -> Query:
        """A document as a query, which does not find itself.

        Raises:
            ConfigError: there is no such document.
        """
        position = self._ids.position(document_id)
        others = np.ones(self.snapshot.n_documents, np.bool_)
        others[position] = False
        vectors = None
        if rank in DENSE_RANKS:
            vectors = self._dense.of_document(position)[np.newaxis]
        match = self._match(self._text(position), rank) if rank in LEXICAL_RANKS else None
        return Query(vectors, match, others if allowed is None else others & allowed)

    def ranked(self, query: Query, k: int, rank: str) -> tuple[IntArray, FloatArray]:
        """The best ``k`` documents and their scores."""
        if query.vectors is not None and rank not in LEXICAL_RANKS:
            return self._by_sentence.top(query.vectors, k, rank, allowed=query.allowed)
        return fused(self._kinds(query), k, self.snapshot.ids)

    def kind_scores(self, query: Query) -> tuple[list[str], dict[str, FloatArray]]:
        """The candidates that are fused first, and what each kind of search says of them."""
        kinds = self._kinds(query)
        candidates, _ = kinds.best(DEPTH)
        return self.snapshot.ids(candidates), kinds.scores(candidates)

    def hits(self, queries: Sequence[Query], k: int, rank: str) -> list[list[Hit]]:
        """The best ``k`` documents of each query; the texts of all are read at once."""
        found = [self._found(query, k, rank) for query in queries]
        wanted = [one.wanted for results in found for one in results]
        excerpts = iter(read_excerpts(self.snapshot, wanted))
        return [
            [self._hit(rank, one, next(excerpts)) for rank, one in enumerate(results, start=1)]
            for results in found
        ]

    @cached_property
    def _dense(self) -> DenseSearch:
        vectors = self.snapshot.vectors
        if vectors is None:
            raise self._no_vectors()
        return DenseSearch(self.snapshot, open_vectors(self.snapshot, vectors))

    def _no_vectors(self) -> LongbertError:
        output, manifest = self.snapshot.output, self.snapshot.manifest
        if manifest.index_settings is not None:
            return OutputError(
                f"{output.path} holds no document: {output.join(ERRORS)} says of each input why"
            )
        return ConfigError(
            f"{output.path} has no index of vectors, since it was made with --embed none: rank by "
            "words, with --rank lexical, or run longbert with an embedding model, such as --embed "
            "minilm"
        )

    @property
    def _by_sentence(self) -> SentenceSearch:
        return SentenceSearch(self._dense, self.snapshot.ids)

    def _vectors(self, texts: Sequence[str], rank: str) -> Sequence[FloatArray | None]:
        if rank not in DENSE_RANKS:
            return [None] * len(texts)
        dense = self._dense
        parts = [[text] if rank == "document" else query_parts(text) for text in texts]
        flat = [part for of_text in parts for part in of_text]
        vectors = dense.queries(self._encode(flat), n_texts=len(flat))
        by_text = np.split(vectors, np.cumsum([len(of_text) for of_text in parts])[:-1])
        whole = map(with_whole, by_text, parts, texts)
        return [dense.queries(vectors, n_texts=len(vectors)) for vectors in whole]

    def _match(self, text: str, rank: str) -> LexicalMatch | None:
        return self.snapshot.words.match(text) if rank in LEXICAL_RANKS else None

    def _kinds(self, query: Query) -> Kinds:
        dense = None if query.vectors is None else self._by_sentence
        return Kinds(query, dense, self.snapshot.ids)

    def _passage_scores(self, query: Query, document: int) -> FloatArray:
        by_kind = {}
        if query.match is not None:
            by_kind["words"] = query.match.passages(document)
        if query.vectors is not None:
            by_kind["dense"] = self._dense.passage_scores(query.vectors[-1], document)
        return combined_passages(by_kind)

    def _found(self, query: Query, k: int, rank: str) -> list[_Found]:
        weights = {} if query.match is None else query.match.term_weights
        return [
            _Found(score, Wanted(document, self._passage_scores(query, document), weights))
            for document, score in zip(
                *(one.tolist() for one in self.ranked(query, k, rank)), strict=True
            )
        ]

    def _hit(self, rank: int, found: _Found, excerpt: Excerpt) -> Hit:
        return Hit(
            rank=rank,
            document_id=self.snapshot.document_ids[found.wanted.document],
            score=found.score,
            passages=excerpt.passages,
            title=excerpt.title,
            n_chars=excerpt.n_chars,
        )

    def _text(self, document: int) -> str:
        rows, _ = self.snapshot.rows_of(np.array([document], np.int64))
        texts = read_texts(self.snapshot, rows.tolist())
        return "".join(texts[row] for row in rows.tolist())
