"""Several kinds of search for one query: each finds documents, all score them, one ranking.

A kind retrieves and aggregates by itself, in :mod:`longbert.core.lexical` and
:mod:`longbert.index.dense`; here their scores are fused by :mod:`longbert.core.fusion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from longbert.arrays import FloatArray, IntArray
from longbert.core.fusion import WEIGHTS, combined
from longbert.core.ranking import DENSE_IN_HYBRID, top_documents
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
        left_out: a document that is no result.
    """

    vectors: FloatArray | None
    match: LexicalMatch | None
    left_out: int | None


def fused(
    query: Query,
    k: int,
    dense: SentenceSearch | None,
    *,
    weights: Mapping[str, float] = WEIGHTS,
) -> tuple[IntArray, FloatArray]:
    """The best ``k`` documents by all kinds of search together, and their scores.

    Args:
        query: with what kinds are to take part.
        k: documents wanted.
        dense: that the query's vectors are for; None where it has none.
        weights: by kind; one that is not named is left out.
    """
    lexical = _lexical_scores(query.match, weights)
    vectors = query.vectors if "dense" in weights else None
    depth = max(_DEPTH, 2 * k)
    found = [_best(scores, depth, query.left_out) for scores in lexical.values()]
    if dense is not None and vectors is not None:
        found.append(dense.near(vectors, depth, DENSE_IN_HYBRID, left_out=query.left_out))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    candidates = np.unique(np.concatenate(found))
    by_kind = {kind: scores[candidates] for kind, scores in lexical.items()}
    if dense is not None and vectors is not None:
        by_kind["dense"] = dense.document_scores(vectors, candidates, DENSE_IN_HYBRID)
    scores = combined(by_kind, weights)
    top = top_documents(scores, candidates, k)
    return candidates[top], scores[top]


def _lexical_scores(
    match: LexicalMatch | None, weights: Mapping[str, float]
) -> dict[str, FloatArray]:
    """Scores of all documents by each kind of search by words."""
    if match is None:
        return {}
    by_kind = {"runs": match.runs, "sentences": match.sentences, "documents": match.documents}
    return {kind: scores for kind, scores in by_kind.items() if kind in weights}


def _best(scores: FloatArray, depth: int, left_out: int | None) -> IntArray:
    """The best documents of one kind of search, of those that it finds."""
    kept = np.where(scores > 0, scores, -np.inf)
    if left_out is not None:
        kept[left_out] = -np.inf
    return top_documents(kept, np.arange(len(kept)), depth)
