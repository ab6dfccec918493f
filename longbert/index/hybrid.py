"""Several kinds of search for one query: each finds documents, all score them, one ranking.

A kind retrieves and aggregates by itself, in :mod:`longbert.core.lexical` and
:mod:`longbert.index.dense`; here their scores are fused by :mod:`longbert.core.fusion`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.fusion import combined
from longbert.core.ranking import DENSE_IN_HYBRID, Ids, top_documents
from longbert.index.lexical.corpus import LexicalMatch
from longbert.index.sentences import SentenceSearch

_DEPTH = 50
"""Best documents of each kind of search that are fused, or twice the documents wanted."""


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


def fused(
    query: Query, k: int, dense: SentenceSearch | None, ids: Ids
) -> tuple[IntArray, FloatArray]:
    """The best ``k`` documents by all kinds of search together, and their scores.

    Args:
        query: with what kinds are to take part.
        k: documents wanted.
        dense: that the query's vectors are for; None where it has none.
        ids: names documents, by which equal scores are told apart.
    """
    candidates, by_kind = candidate_scores(query, k, dense, ids)
    scores = combined(by_kind)
    top = top_documents(scores, candidates, k, ids)
    return candidates[top], scores[top]


def candidate_scores(
    query: Query, k: int, dense: SentenceSearch | None, ids: Ids
) -> tuple[IntArray, dict[str, FloatArray]]:
    """The best documents of each kind of search, ascending, and what all kinds say of them.

    Args:
        query, k, dense, ids: as in :func:`fused`.

    Returns:
        Documents, and their scores by kind. Shape of all: (candidates,).
    """
    depth = max(_DEPTH, 2 * k)
    lexical: dict[str, FloatArray] = {}
    if query.match is not None:
        lexical["runs"] = query.match.runs
        lexical["sentences"] = query.match.sentences
        lexical["documents"] = query.match.documents
    found = [_best(scores, depth, query.allowed, ids) for scores in lexical.values()]
    if dense is not None and query.vectors is not None:
        found.append(dense.near(query.vectors, depth, DENSE_IN_HYBRID, allowed=query.allowed))
    # np.unique would load numpy's masked arrays.
    candidates = np.array(sorted({one for some in found for one in some.tolist()}), np.int64)
    by_kind = {kind: scores[candidates] for kind, scores in lexical.items()}
    if dense is not None and query.vectors is not None:
        by_kind["dense"] = dense.document_scores(query.vectors, candidates, DENSE_IN_HYBRID)
    return candidates, by_kind


def _best(scores: FloatArray, depth: int, allowed: BoolArray | None, ids: Ids) -> IntArray:
    """The best documents of one kind of search, of those that it finds."""
    kept = np.where(scores > 0, scores, -np.inf)
    if allowed is not None:
        kept[~allowed] = -np.inf
    return top_documents(kept, np.arange(len(kept)), depth, ids)
