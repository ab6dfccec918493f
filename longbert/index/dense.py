"""Exact search for documents by the vectors of their passages."""

from __future__ import annotations

from typing import Any

import numpy as np

from longbert.arrays import DoubleArray, FloatArray, IntArray
from longbert.core.ranking import document_scores, similarities, top_documents
from longbert.errors import FingerprintError, ModelError
from longbert.index.snapshot import IndexSnapshot, VectorIndex
from longbert.index.vectors import lengths, unit_vectors

_CANDIDATES_PER_RESULT = 8
_CANDIDATES_AT_LEAST = 100
_GROWTH = 4
_ROWS_AT_ONCE = 8192


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
        rows = np.array([document], np.int64)
        vector: FloatArray = self._vectors.documents.reconstruct_batch(rows)[0]
        return vector

    def top(
        self, query: FloatArray, k: int, rank: str, *, left_out: int | None
    ) -> tuple[IntArray, FloatArray]:
        """Find the best ``k`` documents and their scores, whatever other queries there are.

        A document that is not among the candidates scores at most ``bound``, what the worst
        candidate row scored and what rounding may add. The candidates grow until the k-th
        result is above that: at the bound, a tie could still come before it.
        """
        by_document = rank == "document"
        index = self._vectors.documents if by_document else self._vectors.passages
        description = self._vectors.description
        entry = description.documents if by_document else description.passages
        slack = _rounding(lengths(query[np.newaxis]), entry.longest_vector, len(query))[0]
        documents = np.zeros(0, np.int64)
        scores = np.zeros(0, np.float32)
        n_wanted = max(_CANDIDATES_AT_LEAST, _CANDIDATES_PER_RESULT * k)
        while True:
            everything = n_wanted >= index.ntotal
            if everything:
                candidates = np.arange(self._snapshot.n_documents)
                bound = -np.inf
            else:
                found, rows = index.search(query[np.newaxis], n_wanted)
                bound = float(found[0, -1]) + slack
                candidates = rows[0] if by_document else self._snapshot.documents_of(rows[0])
            new = np.setdiff1d(candidates, documents)
            new = new[new != left_out] if left_out is not None else new
            documents = np.concatenate([documents, new])
            scores = np.concatenate([scores, self.document_scores(query, new, rank)])
            top = top_documents(scores, documents, k, self._snapshot.ids)
            if everything or (len(top) == k and scores[top[-1]] > bound):
                return documents[top], scores[top]
            n_wanted *= _GROWTH

    def document_scores(self, query: FloatArray, documents: IntArray, rank: str) -> FloatArray:
        """Score some documents. Shape: (documents,)."""
        if rank == "document":
            return _exact(self._vectors.documents, query, documents)
        rows, sizes = self._snapshot.rows_of(documents)
        return document_scores(_exact(self._vectors.passages, query, rows), sizes, rank=rank)

    def passage_scores(self, query: FloatArray, document: int) -> FloatArray:
        """Score the passages of a document, by ordinal. Shape: (passages of the document,)."""
        rows, _ = self._snapshot.rows_of(np.array([document], np.int64))
        return _exact(self._vectors.passages, query, rows)


def _exact(index: Any, query: FloatArray, rows: IntArray) -> FloatArray:
    """Score rows of an index, independent of which rows come together. Shape: (rows,)."""
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        scores[start : start + len(block)] = similarities(index.reconstruct_batch(block), query)
    return scores


def _rounding(query_lengths: DoubleArray, longest_vector: float, width: int) -> DoubleArray:
    """Bound how far FAISS's float32 sum may be from the exact inner product.

    At most ``width * 2**-24`` of the product of the lengths in whatever order it is summed
    (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1); twice that,
    to cover the rounding of our own scores.
    """
    return (width + 8) * 2.0**-23 * query_lengths * longest_vector
