"""Several kinds of search for one query: each finds documents, all score them, one ranking.

A kind retrieves and aggregates by itself, in :mod:`longbert.core.lexical` and
:mod:`longbert.index.dense`; here their scores are fused by :mod:`longbert.core.fusion`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.fusion import combined, lowered
from longbert.core.ranking import DENSE_IN_HYBRID, Ids, top_documents
from longbert.index.lexical.corpus import LexicalMatch
from longbert.index.sentences import SentenceSearch

DEPTH = 50
"""Best documents of each kind of search that are fused first."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query as each kind of search takes it; None where it does not take part.

    Attributes:
        vectors: of its parts, that of the whole last. Shape: (parts, width).
        match: what its words find.
        allowed: documents that may be found; None: all. Shape: (documents,).
    """

    vectors: FloatArray | None
    match: LexicalMatch | None
    allowed: BoolArray | None


class Kinds:
    """The kinds of search that take part in a query.

    Args:
        query: what each of them looks for.
        dense: that the query's vectors are for; None where it has none.
        ids: names documents, by which equal scores are told apart.
    """

    def __init__(self, query: Query, dense: SentenceSearch | None, ids: Ids) -> None:
        self._query = query
        self._dense = dense
        self._ids = ids
        self._lexical: dict[str, FloatArray] = {}
        if query.match is not None:
            self._lexical["runs"] = query.match.runs
            self._lexical["sentences"] = query.match.sentences
            self._lexical["documents"] = query.match.documents

    def best(self, depth: int) -> tuple[IntArray, bool]:
        """The best documents of each kind, ascending, and whether there are no others."""
        query = self._query
        found = [
            _best(scores, depth, query.allowed, self._ids) for scores in self._lexical.values()
        ]
        if self._dense is not None and query.vectors is not None:
            near = self._dense.near(query.vectors, depth, DENSE_IN_HYBRID, allowed=query.allowed)
            found.append(near)
        # np.unique would load numpy's masked arrays.
        documents = np.array(sorted({one for some in found for one in some.tolist()}), np.int64)
        return documents, all(len(some) < depth for some in found)

    def scores(self, documents: IntArray) -> dict[str, FloatArray]:
        """What all kinds say of some documents. Shape of each: (documents,)."""
        by_kind = {kind: scores[documents] for kind, scores in self._lexical.items()}
        if self._dense is not None and self._query.vectors is not None:
            vectors = self._query.vectors
            by_kind["dense"] = self._dense.document_scores(vectors, documents, DENSE_IN_HYBRID)
        return by_kind


def fused(kinds: Kinds, k: int, ids: Ids) -> tuple[IntArray, FloatArray]:
    """The best ``k`` documents by all kinds of search together, and their scores.

    The best of each kind are fused. If they are fewer than ``k``, those of twice the depth follow
    them, and so on. So what is found first does not depend on ``k``. The mean and deviation are
    those of the first ones, and what follows is shifted to score less.

    Args:
        kinds: that take part.
        k: documents wanted.
        ids: names documents, by which equal scores are told apart.
    """
    documents, is_all = kinds.best(DEPTH)
    first = kinds.scores(documents)
    found, scores = _top(documents, combined(first), k, ids)
    depth, seen = DEPTH, documents
    while len(found) < k and not is_all:
        depth *= 2
        documents, is_all = kinds.best(depth)
        documents = documents[~np.isin(documents, seen)]
        seen = np.concatenate([seen, documents])
        further = lowered(combined(kinds.scores(documents), like=first), float(scores[-1]))
        more, of_more = _top(documents, further, k - len(found), ids)
        found, scores = np.concatenate([found, more]), np.concatenate([scores, of_more])
    return found, scores


def _top(documents: IntArray, scores: FloatArray, k: int, ids: Ids) -> tuple[IntArray, FloatArray]:
    top = top_documents(scores, documents, k, ids)
    return documents[top], scores[top]


def _best(scores: FloatArray, depth: int, allowed: BoolArray | None, ids: Ids) -> IntArray:
    """The best documents of one kind of search, of those that it finds."""
    kept = np.where(scores > 0, scores, -np.inf)
    if allowed is not None:
        kept[~allowed] = -np.inf
    return top_documents(kept, np.arange(len(kept)), depth, ids)
