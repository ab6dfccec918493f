"""Search for documents by the vectors of their passages."""

from __future__ import annotations

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.ranking import document_scores, top_documents
from longbert.errors import FingerprintError, ModelError
from longbert.index.opened import VectorIndex
from longbert.index.snapshot import IndexSnapshot
from longbert.index.vectors import unit_vectors

_CANDIDATES_PER_RESULT = 8
_CANDIDATES_AT_LEAST = 100
_GROWTH = 4
_FEW = 5_000
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
        left_out: int | None = None,
        allowed: BoolArray | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Find the best ``k`` documents and their scores, whatever other queries there are.

        A document that is not among the candidates scores at most ``bound``, what the worst
        candidate row scored and what rounding may add. The candidates grow until the k-th
        result is above that: at the bound, a tie could still come before it. An index that is
        not exact looks harder each time, too.

        Args:
            query: shape (width,).
            k: documents wanted.
            rank: one of :data:`longbert.core.ranking.DENSE_RANKS`, ``"hybrid"`` aside.
            left_out: a document that is no result.
            allowed: documents that may be results; None: all. Shape: (documents,).
        """
        by_document = rank == "document"
        table = self._vectors.documents if by_document else self._vectors.passages
        mask = allowed
        if allowed is not None and not by_document:
            mask = allowed[self._snapshot.table.document]
        n_rows = table.n_rows if mask is None else int(np.count_nonzero(mask))
        everything = mask is not None and n_rows <= _FEW
        documents = np.zeros(0, np.int64)
        scores = np.zeros(0, np.float32)
        n_wanted, harder = max(_CANDIDATES_AT_LEAST, _CANDIDATES_PER_RESULT * k), 1
        while True:
            everything = everything or n_wanted >= n_rows
            if everything:
                candidates = self._all(allowed)
                bound = -np.inf
            else:
                found = table.search(query, n_wanted, harder=harder, allowed=mask)
                bound = found.bound + table.rounding(query)
                rows = found.rows
                candidates = rows if by_document else self._snapshot.table.document[rows]
            new = np.setdiff1d(candidates, documents)
            new = new[new != left_out] if left_out is not None else new
            documents = np.concatenate([documents, new])
            scores = np.concatenate([scores, self.document_scores(query, new, rank)])
            top = top_documents(scores, documents, k)
            if everything or (len(top) == k and scores[top[-1]] > bound):
                return documents[top], scores[top]
            n_wanted, harder = n_wanted * _GROWTH, harder * 2

    def document_scores(self, query: FloatArray, documents: IntArray, rank: str) -> FloatArray:
        """Score some documents. Shape: (documents,)."""
        if rank == "document":
            return self._vectors.documents.scores(query, documents)
        rows, sizes = self._snapshot.rows_of(documents)
        return document_scores(self._vectors.passages.scores(query, rows), sizes, rank=rank)

    def passage_scores(self, query: FloatArray, document: int) -> FloatArray:
        """Score the passages of a document, by ordinal. Shape: (passages of the document,)."""
        rows, _ = self._snapshot.rows_of(np.array([document], np.int64))
        return self._vectors.passages.scores(query, rows)

    def _all(self, allowed: BoolArray | None) -> IntArray:
        if allowed is not None:
            return np.flatnonzero(allowed)
        return np.arange(len(self._snapshot.document_ids))
