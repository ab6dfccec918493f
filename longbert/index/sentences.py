"""Search by the vectors of a query's sentences, and of the whole of it, together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.fusion import lowered
from longbert.core.ranking import Ids, top_documents
from longbert.core.sentences import query_sentences
from longbert.index.dense import DenseSearch

AT_LEAST = 50
STAGE = 50
"""Documents that an index which is not exact looks for at first."""

_GROWTH = 4

LONG_CHARS = 20_000
"""Length of a query from which on the vector of the whole is that of its parts."""


def query_parts(text: str) -> list[str]:
    """What of a query is encoded: its sentences, if there are several, and the whole, last.

    One vector of several statements lies near none of the passages that make them. A whole of
    more than :data:`LONG_CHARS` is not read a second time: see :func:`with_whole`.
    """
    spans = query_sentences(text)
    if len(spans) == 1:
        return [text]
    parts = [text[start:end] for start, end in spans]
    return parts if len(text) > LONG_CHARS else [*parts, text]


def with_whole(vectors: FloatArray, parts: Sequence[str], text: str) -> FloatArray:
    """Vectors of the parts of a query, that of the whole last.

    A text of many windows has the mean of their vectors, and nearly the same is the mean over its
    parts, by their lengths.

    Args:
        vectors: shape (parts, width).
        parts: as :func:`query_parts` gives them.
        text: the query.
    """
    if parts[-1] == text:
        return vectors
    whole = np.average(vectors, axis=0, weights=[len(part) for part in parts])
    return np.vstack([vectors, whole.astype(np.float32)])


class SentenceSearch:
    """A document's score is the mean of its scores for the parts of the query.

    Args:
        dense: ranks documents for one vector.
        ids: names documents, by which equal scores are told apart.
    """

    def __init__(self, dense: DenseSearch, ids: Ids) -> None:
        self._dense = dense
        self._ids = ids

    def top(
        self, query: FloatArray, k: int, rank: str, *, allowed: BoolArray | None
    ) -> tuple[IntArray, FloatArray]:
        """Find the best ``k`` documents and their scores.

        An index that is not exact may find others where more are wanted. There the best
        :data:`STAGE` come first; what is new among twice as many follows them, and so on. So what
        is found first does not depend on ``k``. Scores of what follows are lowered, if need be.

        Args:
            query: vectors of its parts. Shape: (parts, width).
            k: documents wanted.
            rank: as in :meth:`longbert.index.dense.DenseSearch.top`.
            allowed: documents that may be found; None: all. Shape: (documents,).
        """
        if self._dense.is_exact(rank):
            return self._best(query, k, rank, allowed)
        n_wanted = STAGE
        documents, scores = found, _ = self._best(query, n_wanted, rank, allowed)
        while len(documents) < k and len(found) == n_wanted:
            n_wanted *= 2
            found, of_found = self._best(query, n_wanted, rank, allowed)
            is_new = ~np.isin(found, documents)
            further = lowered(of_found[is_new], float(scores[-1]))
            documents = np.concatenate([documents, found[is_new]])
            scores = np.concatenate([scores, further])
        return documents[:k], scores[:k]

    def near(self, query: FloatArray, k: int, rank: str, *, allowed: BoolArray | None) -> IntArray:
        """The best ``k`` documents for the whole query, in any order: candidates to score."""
        return self.top(query[-1:], k, rank, allowed=allowed)[0]

    def document_scores(self, query: FloatArray, documents: IntArray, rank: str) -> FloatArray:
        """Score some documents. Shape: (documents,)."""
        return _mean(self._dense.document_scores(query, documents, rank))

    def _best(
        self, query: FloatArray, k: int, rank: str, allowed: BoolArray | None
    ) -> tuple[IntArray, FloatArray]:
        """The best ``k`` documents and their scores.

        By the threshold algorithm (Fagin et al. 2003): a document among the best of no part scores
        at most the mean of the last ones' scores. So the lists grow until the k-th result is above
        that: at the bound, a tie could still come before it.
        """
        if len(query) == 1:
            return self._dense.top(query[0], k, rank, allowed=allowed)
        n_wanted = max(AT_LEAST, 2 * k)
        while True:
            lists = [self._dense.top(one, n_wanted, rank, allowed=allowed) for one in query]
            documents = np.unique(np.concatenate([found for found, _ in lists]))
            scores = self.document_scores(query, documents, rank)
            top = top_documents(scores, documents, k, self._ids)
            if any(len(found) < n_wanted for found, _ in lists):
                return documents[top], scores[top]
            bound = _mean(np.array([[last[-1]] for _, last in lists], np.float32))[0]
            if len(top) == k and scores[top[-1]] > bound:
                return documents[top], scores[top]
            n_wanted *= _GROWTH


def _mean(scores: FloatArray) -> FloatArray:
    """Means over the parts, which grow with each score. Shape: (documents,)."""
    added = np.zeros(scores.shape[1], np.float64)
    # One after the other: the bound must be added up exactly as the scores are.
    for of_part in scores:
        added += of_part
    return np.asarray(added / len(scores), np.float32)
