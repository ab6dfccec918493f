"""Search for documents by their words and by their vectors."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.fusion import combined_passages
from longbert.core.ranks import DENSE_RANKS, LEXICAL_RANKS, check_rank
from longbert.errors import ConfigError, OutputError, shown
from longbert.index.dense import DenseSearch
from longbert.index.excerpts import Excerpt, Hit, Wanted, read_excerpts
from longbert.index.hybrid import DEPTH, Kinds, Query, fused
from longbert.index.lexical.corpus import LexicalMatch
from longbert.index.opened import open_vectors
from longbert.index.reranking import RERANKED, LoadReranker, Rerank, reranked
from longbert.index.sentences import SentenceSearch, query_parts, with_whole
from longbert.index.snapshot import IndexSnapshot, open_snapshot
from longbert.index.texts import read_texts
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexDescription
from longbert.store.manifest import Manifest

Encode = Callable[[Sequence[str]], FloatArray]
"""Texts to vectors, shape ``(n, width)``, by the model that made the output."""

_QUERIES_AT_ONCE = 128
_IDS_COMPARED = 20_000


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

    def __init__(
        self,
        snapshot: IndexSnapshot,
        *,
        encode: Encode,
        load_reranker: LoadReranker | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._encode = encode
        self._load_reranker = load_reranker
        self._positions: dict[str, int] | None = None
        self._last_filter: tuple[IndexSnapshot, str, BoolArray] | None = None

    @classmethod
    def open(
        cls,
        output: OutputFolder,
        *,
        encode: Encode,
        load_reranker: LoadReranker | None = None,
    ) -> Index:
        """Open the indexes that the manifest of an output folder names.

        Args:
            output: the folder.
            encode: makes queries into vectors, by the model that made the output.
            load_reranker: loads a model that reads query and passage together; None: there is none.

        Raises:
            OutputError: there is no finished output, or a file is damaged.
        """
        return cls(open_snapshot(output), encode=encode, load_reranker=load_reranker)

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

    def count(self, filter: str | None = None) -> int:
        """How many documents fit a filter, or there are.

        Raises:
            ConfigError: the filter is wrong.
        """
        allowed = self._allowed(filter)
        return len(self.document_ids) if allowed is None else int(allowed.sum())

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

    @property
    def _by_sentence(self) -> SentenceSearch:
        return SentenceSearch(self._dense, self._snapshot.ids)

    def search(
        self,
        text: str,
        k: int = 10,
        rank: str | None = None,
        *,
        filter: str | None = None,
        rerank: str | None = None,
        rerank_label: str | None = None,
    ) -> list[Hit]:
        """Find the ``k`` documents that fit a text best; see :meth:`search_many`."""
        (hits,) = self.search_many(
            [text], k, rank, filter=filter, rerank=rerank, rerank_label=rerank_label
        )
        return hits

    def search_many(
        self,
        texts: Sequence[str],
        k: int = 10,
        rank: str | None = None,
        *,
        filter: str | None = None,
        rerank: str | None = None,
        rerank_label: str | None = None,
    ) -> list[list[Hit]]:
        """Find the ``k`` documents that fit each text best.

        Args:
            texts: of any length.
            k: documents wanted, at least 1; fewer if there are not that many.
            rank: ``"lexical"``: by words and pairs of neighbouring words, in the whole document,
                in its best run of passages, and in the best pair of passages for each sentence of
                the query; ``"best"``: by the vectors of the best passage for each sentence and
                for the whole query; ``"best-mean"``: by the mean of the three best;
                ``"document"``: by the vector of the whole document; ``"hybrid"``: ``lexical`` and
                ``best`` together; None: :attr:`default_rank`.
            filter: which documents may be found, as in ``"label = 'neg' and score > 0.8"``; it
                is applied before the documents are ranked. None: all.
            rerank: a cross-encoder, a folder or hub id, that puts the first 50 documents into a
                new order by the passages that are shown, then the next 50, and so on; None: none
                does.
            rerank_label: of a cross-encoder of several labels, the one that means relevant.

        Raises:
            ConfigError: a text is empty, ``k``, ``rank`` or ``rerank_label`` is out of range, or
                the filter is not in the language or names an unknown field.
            ModelError: the cross-encoder cannot be found or used.
            OutputError: ``rank`` needs vectors, and there are none.
            FingerprintError: the encoder's vectors do not fit the index.
        """
        rank = self._checked(k, rank)
        model = self._reranker(rerank, rerank_label)
        depth = k if model is None else -(-k // RERANKED) * RERANKED
        hits: list[list[Hit]] = []
        for queries in self._queries(texts, rank, filter):
            hits.extend(self._hits([self._found(query, depth, rank) for query in queries]))
        if model is None:
            return hits
        return [reranked(text, own, k, model) for text, own in zip(texts, hits, strict=True)]

    def kind_scores(self, text: str) -> tuple[list[str], dict[str, FloatArray]]:
        """What each kind of search says of a query, before their scores are fused.

        Args:
            text: of any length.

        Returns:
            The ids of the candidates that are fused first, and their scores by kind (a key of
            :data:`longbert.core.fusion.WEIGHTS`). Shape of each: (candidates,).
        """
        ((query,),) = self._queries([text], self.default_rank, None)
        kinds = self._kinds(query)
        candidates, _ = kinds.best(DEPTH)
        return self._snapshot.ids(candidates), kinds.scores(candidates)

    def rankings(
        self,
        texts: Sequence[str],
        k: int = 10,
        rank: str | None = None,
        *,
        filter: str | None = None,
    ) -> list[list[str]]:
        """The ids that :meth:`search_many` finds, best first; no text is read."""
        rank = self._checked(k, rank)
        ids = self._snapshot.document_ids
        return [
            [ids[document] for document in self._ranked(query, k, rank)[0].tolist()]
            for queries in self._queries(texts, rank, filter)
            for query in queries
        ]

    def like(
        self, document_id: str, k: int = 10, rank: str | None = None, *, filter: str | None = None
    ) -> list[Hit]:
        """Find the documents most similar to one in the output, which is itself left out.

        Args:
            filter: which documents may be found; see :meth:`search_many`.

        Raises:
            ConfigError: no document has this id, ``k`` or ``rank`` is out of range, or the filter
                is wrong.
            OutputError: ``rank`` needs vectors, and there are none.
        """
        rank = self._checked(k, rank)
        position = self._position(document_id)
        others = np.ones(len(self.document_ids), np.bool_)
        others[position] = False
        allowed = self._allowed(filter)
        vectors = None
        if rank in DENSE_RANKS:
            vectors = self._dense.of_document(position)[np.newaxis]
        match = self._match(self._text(position), rank) if rank in LEXICAL_RANKS else None
        query = Query(vectors, match, others if allowed is None else others & allowed)
        return self._hits([self._found(query, k, rank)])[0]

    def _queries(
        self, texts: Sequence[str], rank: str, filter: str | None
    ) -> Iterator[list[Query]]:
        """The queries, block after block."""
        if isinstance(texts, str):
            raise ConfigError(f"search_many takes a list of texts, got {shown(texts)}: use search")
        for text in texts:
            if not isinstance(text, str):
                raise ConfigError(
                    f"a query must be a text, got {shown(text)}: use search_many for several"
                )
            if not text.strip():
                raise ConfigError("the query text is empty: give at least one word")
        allowed = self._allowed(filter)
        for start in range(0, len(texts), _QUERIES_AT_ONCE):
            some = texts[start : start + _QUERIES_AT_ONCE]
            yield [
                Query(vectors, self._match(text, rank), allowed)
                for text, vectors in zip(some, self._vectors(some, rank), strict=True)
            ]

    def _allowed(self, filter: str | None) -> BoolArray | None:
        """The documents that a filter lets through; the last one asked for is kept."""
        if filter is None:
            return None
        if not isinstance(filter, str):
            raise ConfigError(
                f"filter must be a text such as \"label = 'neg'\", got {shown(filter)}"
            )
        snapshot = self._snapshot
        last = self._last_filter
        if last is None or last[0] is not snapshot or last[1] != filter:
            # lark is loaded no sooner than here.
            from longbert.index.filters.masks import matching_documents

            allowed = matching_documents([part.tables for part in snapshot.parts], filter)
            self._last_filter = last = snapshot, filter, allowed
        return last[2]

    def _checked(self, k: int, rank: str | None) -> str:
        if rank is None:
            rank = self.default_rank
        check_rank(rank)
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ConfigError(f"k must be at least 1, and a whole number, got {shown(k)}")
        return rank

    def _reranker(self, name: str | None, label: str | None) -> Rerank | None:
        if name is None and label is not None:
            raise ConfigError(f"rerank_label is {shown(label)}, but rerank names no model: name it")
        if name is None:
            return None
        if self._load_reranker is None:
            raise ConfigError(
                "rerank names a model, and this index was opened without any: leave it out"
            )
        return self._load_reranker(name, label)

    def _vectors(self, texts: Sequence[str], rank: str) -> Sequence[FloatArray | None]:
        if rank not in DENSE_RANKS:
            return [None] * len(texts)
        parts = [[text] if rank == "document" else query_parts(text) for text in texts]
        flat = [part for of_text in parts for part in of_text]
        vectors = self._dense.queries(self._encode(flat), n_texts=len(flat))
        by_text = np.split(vectors, np.cumsum([len(of_text) for of_text in parts])[:-1])
        whole = map(with_whole, by_text, parts, texts)
        return [self._dense.queries(vectors, n_texts=len(vectors)) for vectors in whole]

    def _match(self, text: str, rank: str) -> LexicalMatch | None:
        return self._snapshot.words.match(text) if rank in LEXICAL_RANKS else None

    def _ranked(self, query: Query, k: int, rank: str) -> tuple[IntArray, FloatArray]:
        """The best ``k`` documents and their scores."""
        if query.vectors is not None and rank not in LEXICAL_RANKS:
            return self._by_sentence.top(query.vectors, k, rank, allowed=query.allowed)
        return fused(self._kinds(query), k, self._snapshot.ids)

    def _kinds(self, query: Query) -> Kinds:
        dense = None if query.vectors is None else self._by_sentence
        return Kinds(query, dense, self._snapshot.ids)

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
