"""Search for documents by the vectors of their passages."""

from __future__ import annotations

import numpy as np

from longbert.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from longbert.core.ranking import Ids, document_scores, score_ceilings, top_documents
from longbert.errors import FingerprintError, ModelError
from longbert.index.opened import VectorIndex
from longbert.index.snapshot import IndexSnapshot
from longbert.index.vectors import unit_vectors

CANDIDATES_PER_RESULT = 8
CANDIDATES_AT_LEAST = 100
GROWTH = 4
AT_ONCE = 32
FEW = 5_000
"""Rows that are scored one and all where no more are allowed."""


class DenseSearch:
    """The vectors of an output, ranked by their inner products with that of a query.

    Args:
        snapshot: the tables.
        vectors: whose rows are those of the tables.
    """

    def __init__(self, snapshot: IndexSnapshot, vectors: VectorIndex) -> None:
        self._snapshot = snapshot
        self._vectors = vectors

    def is_exact(self, rank: str) -> bool:
        """Whether every document that belongs among the best is found."""
        table = self._vectors.documents if rank == "document" else self._vectors.passages
        return table.is_exact

    def queries(self, encoded: FloatArray, *, n_texts: int) -> FloatArray:
        """Check and scale what the encoder made of some texts. Shape: (n_texts, width).

        Raises:
            FingerprintError: the vectors do not fit the index.
            ModelError: one is not finite.
        """
        queries = np.ascontiguousarray(encoded, np.float32)
        width = self._vectors.description.dimensions
        if queries.shape != (n_texts, width):
            raise FingerprintError(
                f"the encoder made an array of shape {queries.shape} of {n_texts} queries, the "
                f"index has {width} dimensions: query with the model that made the output"
            )
        if not np.isfinite(queries).all():
            raise ModelError(
                "the model made a vector with NaN or infinity for a query: try --precision float32"
            )
        return unit_vectors(queries) if self._vectors.description.metric == "cosine" else queries

    def of_document(self, document: int) -> FloatArray:
        """A document's vector as a query. Shape: (width,)."""
        vector: FloatArray = self._vectors.documents.vectors(np.array([document], np.int64))[0]
        return vector

    def top(
        self,
        query: FloatArray,
        k: int,
        rank: str,
        *,
        allowed: BoolArray | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Find the best ``k`` documents and their scores, whatever other queries there are.

        A row that was not found scores at most ``bound``: what the worst row found did, and what
        rounding may add. So does a document of which no row was found, and for any other there
        is a ceiling. The search goes on until the k-th result is above all of them: at the bound,
        a tie could still come before it. Of an index that is not exact that is so for the rows
        that the search comes by, and it looks harder only while these are of too few documents.

        Args:
            query: shape (width,).
            k: documents wanted.
            rank: one of :data:`longbert.core.ranking.DENSE_RANKS`, ``"hybrid"`` aside.
            allowed: documents that may be results; None: all. Shape: (documents,).
        """
        n_documents = self._snapshot.n_documents
        may = np.ones(n_documents, np.bool_) if allowed is None else allowed
        by_document = rank == "document"
        table = self._vectors.documents if by_document else self._vectors.passages
        mask = None
        # Where most are allowed, it is quicker to look for a few more than to check every row.
        if 2 * np.count_nonzero(may) < n_documents:
            mask = may
            if not by_document:
                mask = may[self._snapshot.documents_of(np.arange(table.n_rows))]
        n_rows = table.n_rows if mask is None else int(np.count_nonzero(mask))
        n_wanted, harder = max(CANDIDATES_AT_LEAST, CANDIDATES_PER_RESULT * k), 1
        if mask is not None and n_rows <= FEW:
            n_wanted = n_rows
        scored = _Scored(self, query, k, rank, self._snapshot.ids)
        while n_wanted < n_rows:
            found = table.search(query, n_wanted, harder=harder, allowed=mask)
            slack = table.rounding(query)
            bound = found.bound + slack
            owners = found.rows if by_document else self._snapshot.documents_of(found.rows)
            is_kept = may[owners]
            documents, numbers = np.unique(owners[is_kept], return_inverse=True)
            sizes = np.ones(len(documents), np.int64)
            if not by_document:
                _, sizes = self._snapshot.rows_of(documents)
            ceilings = score_ceilings(
                found.scores[is_kept], numbers, sizes, bound, rank="best" if by_document else rank
            )
            scored.add(documents, ceilings + slack)
            is_all = len(found.rows) < n_wanted
            if scored.is_full and (scored.worst > bound or is_all):
                return scored.top()
            n_wanted *= GROWTH
            harder *= 2 if is_all else 1
        scored.add(np.flatnonzero(may), np.full(np.count_nonzero(may), np.inf))
        return scored.top()

    def document_scores(self, queries: FloatArray, documents: IntArray, rank: str) -> FloatArray:
        """Score some documents, whose vectors are read once for all queries.

        Args:
            queries: shape (..., width).
            documents: their positions.
            rank: as for :meth:`top`.

        Returns:
            Shape: (..., documents).
        """
        if rank == "document":
            return self._vectors.documents.scores(queries, documents)
        rows, sizes = self._snapshot.rows_of(documents)
        return document_scores(self._vectors.passages.scores(queries, rows), sizes, rank=rank)

    def passage_scores(self, query: FloatArray, document: int) -> FloatArray:
        """Score the passages of a document, by ordinal. Shape: (passages of the document,)."""
        rows, _ = self._snapshot.rows_of(np.array([document], np.int64))
        return self._vectors.passages.scores(query, rows)


class _Scored:
    """Documents that have been scored so far, of which the best ``k`` are wanted."""

    def __init__(self, search: DenseSearch, query: FloatArray, k: int, rank: str, ids: Ids) -> None:
        self._search = search
        self._query = query
        self._k = k
        self._rank = rank
        self._ids = ids
        self._documents = np.zeros(0, np.int64)
        self._scores = np.zeros(0, np.float32)

    @property
    def is_full(self) -> bool:
        """Whether there are ``k``."""
        return len(self._documents) == self._k

    @property
    def worst(self) -> float:
        """The score of the last of the best; minus infinity before there are ``k``."""
        return float(self._scores[-1]) if self.is_full else -np.inf

    def add(self, documents: IntArray, ceilings: DoubleArray) -> None:
        """Score those of some documents that can be among the best by their ceilings."""
        is_new = ~np.isin(documents, self._documents)
        documents, ceilings = documents[is_new], ceilings[is_new]
        order = np.argsort(-ceilings, kind="stable")
        n_at_once = max(AT_ONCE, self._k)
        for start in range(0, len(order), n_at_once):
            block = order[start : start + n_at_once]
            if ceilings[block[0]] < self.worst:
                return
            new = documents[block]
            scores = self._search.document_scores(self._query, new, self._rank)
            scores = np.concatenate([self._scores, scores])
            new = np.concatenate([self._documents, new])
            top = top_documents(scores, new, self._k, self._ids)
            self._documents, self._scores = new[top], scores[top]

    def top(self) -> tuple[IntArray, FloatArray]:
        """The best documents and their scores."""
        return self._documents, self._scores
