"""Ranking of documents by their passages, and joining of passages that stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from longbert.arrays import DoubleArray, FloatArray, IntArray

MEAN_OF = 3
"""Passages that ``best-mean`` averages."""

DENSE_IN_HYBRID = "best"
"""How vectors rank documents where words do, too."""

Ids = Callable[[IntArray], Sequence[str]]
"""From positions of documents to their ids."""

_PASSAGES_COUNTED = {"best": 1, "best-mean": MEAN_OF}


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage of one document with its similarity to the query."""

    ordinal: int
    char_start: int
    char_end: int
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring passages as one; the ordinals are inclusive on both sides."""

    first_ordinal: int
    last_ordinal: int
    char_start: int
    char_end: int
    score: float


def similarities(vectors: FloatArray, queries: FloatArray) -> FloatArray:
    """Inner products, each the same to the bit whatever other vectors or queries come along.

    A matrix product alone would not do: its order of summation depends on the shapes. But it is
    near enough that almost always only one float32 is in reach, whatever the order (Higham,
    Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). Elsewhere the products are
    added up one by one.

    Args:
        vectors: shape (n, width).
        queries: one, shape (width,), or several, shape (queries, width).

    Returns:
        Summed in float64 and rounded once to float32. Shape: (n,) or (queries, n).
    """
    wide, asked = vectors.astype(np.float64), queries.astype(np.float64)
    sums = asked @ wide.T
    # Products of two float32 are exact in float64, so only the sums are rounded, in both ways.
    reach = (2 * vectors.shape[1] + 8) * 2.0**-53 * np.multiply.outer(_length(asked), _length(wide))
    scores: FloatArray = (sums - reach).astype(np.float32)
    *of_queries, rows = np.nonzero(scores != (sums + reach).astype(np.float32))
    products = np.multiply(vectors[rows], queries[tuple(of_queries)], dtype=np.float64)
    scores[(*of_queries, rows)] = products.sum(axis=1)
    return scores


def document_scores(scores: FloatArray, sizes: IntArray, *, rank: str) -> FloatArray:
    """Score documents by their passages, for one query or for several at once.

    Args:
        scores: of the passages, document after document. Shape: (..., passages).
        sizes: passages of each document, adding up to the number of passages.
            Shape: (documents,).
        rank: ``"best"``: the best passage's score; ``"best-mean"``: the mean of the best
            three, or of as many as there are.

    Returns:
        Minus infinity for a document without passages. Shape: (..., documents).
    """
    means = np.full((*scores.shape[:-1], len(sizes)), -np.inf, np.float32)
    filled = np.flatnonzero(sizes)
    if not len(filled):
        return means
    sizes = sizes[filled]
    firsts = np.cumsum(sizes) - sizes
    counted = np.minimum(sizes, _PASSAGES_COUNTED[rank])
    left = scores.astype(np.float64)
    best = np.maximum.reduceat(left, firsts, axis=-1)
    sums = best.copy()
    # Added from the best down, hence the same sum each time.
    for place in range(1, int(counted.max())):
        _leave_out(left, best, sizes)
        best = np.maximum.reduceat(left, firsts, axis=-1)
        sums += np.where(place < counted, best, 0.0)
    means[..., filled] = sums / counted
    return means


def score_ceilings(
    scores: FloatArray, documents: IntArray, sizes: IntArray, bound: float, *, rank: str
) -> DoubleArray:
    """What documents can score at most, of which only some passages have been scored.

    Args:
        scores: of those passages. Shape: (passages,).
        documents: their documents, numbered from 0 without gaps. Shape: (passages,).
        sizes: passages that each document has. Shape: (documents,).
        bound: what a passage that was not scored has at most.
        rank: as for :func:`document_scores`.

    Returns:
        Shape: (documents,).
    """
    best_first = np.lexsort((-scores, documents))
    ordered = documents[best_first]
    place = np.arange(len(scores)) - np.searchsorted(ordered, ordered)
    counted = np.minimum(sizes, _PASSAGES_COUNTED[rank])
    best = best_first[place < counted[ordered]]
    known = np.bincount(documents[best], minlength=len(sizes))
    sums = np.bincount(documents[best], weights=scores[best], minlength=len(sizes))
    ceilings: DoubleArray = (sums + (counted - known) * bound) / counted
    return ceilings


def top_documents(scores: FloatArray, documents: IntArray, k: int, ids: Ids) -> IntArray:
    """Pick the best ``k``: highest score first, ties in the order of their ids.

    Args:
        scores: minus infinity where a document has no score and is never picked.
        documents: their positions.
        ids: asked only for those that share a score, and only where that decides.

    Returns:
        Indices into ``scores``. Shape: (at most k,).
    """
    places = np.flatnonzero(np.isfinite(scores))
    if len(places) > k:
        worst = np.partition(scores[places], -k)[-k]
        places = places[scores[places] >= worst]
    places = places[np.argsort(-scores[places], kind="stable")]
    ordered = scores[places]
    is_tied = np.zeros(len(places), np.bool_)
    as_next = np.flatnonzero(ordered[1:] == ordered[:-1])
    is_tied[as_next] = is_tied[as_next + 1] = True
    tied = np.flatnonzero(is_tied)
    names = ids(documents[places[tied]]) if len(tied) else ()
    by_id = np.zeros(len(places), np.int64)
    by_id[tied[sorted(range(len(names)), key=names.__getitem__)]] = np.arange(len(names))
    return places[np.lexsort((by_id, -ordered))][:k]


def top_passages(scores: FloatArray, ordinals: IntArray, k: int) -> IntArray:
    """Pick one document's best ``k`` passages, ties by ordinal; indices into ``scores``."""
    return np.lexsort((ordinals, -scores))[:k]


def join_neighbours(passages: Iterable[ScoredPassage]) -> tuple[Span, ...]:
    """Join passages of one document whose ordinals follow one another.

    Returns:
        Spans with the best score among their passages; best first, ties by ordinal.
    """
    spans: list[Span] = []
    for passage in sorted(passages, key=lambda one: one.ordinal):
        if spans and spans[-1].last_ordinal + 1 == passage.ordinal:
            spans[-1] = _extended(spans[-1], passage)
        else:
            spans.append(
                Span(
                    passage.ordinal,
                    passage.ordinal,
                    passage.char_start,
                    passage.char_end,
                    passage.score,
                )
            )
    return tuple(sorted(spans, key=lambda span: (-span.score, span.first_ordinal)))


def rows_between(firsts: IntArray, sizes: IntArray) -> IntArray:
    """List rows that stand together in runs.

    Args:
        firsts: first row of each run. Shape: (runs,).
        sizes: rows of each run. Shape: (runs,).

    Returns:
        The rows, run after run. Shape: (sum of sizes,).
    """
    shifts = firsts - (np.cumsum(sizes) - sizes)
    return np.repeat(shifts, sizes) + np.arange(int(sizes.sum()))


def _leave_out(scores: DoubleArray, best: DoubleArray, sizes: IntArray) -> None:
    """Set each document's first passage that scores ``best`` to minus infinity."""
    documents = np.repeat(np.arange(best.size).reshape(best.shape), sizes, axis=-1)
    places = np.flatnonzero(scores == np.repeat(best, sizes, axis=-1))
    owners = documents.ravel()[places]
    is_first = np.concatenate([[True], owners[1:] != owners[:-1]])[: len(places)]
    np.put(scores, places[is_first], -np.inf)


def _length(vectors: DoubleArray) -> DoubleArray:
    length: DoubleArray = np.sqrt(np.einsum("...w,...w->...", vectors, vectors))
    return length


def _extended(span: Span, passage: ScoredPassage) -> Span:
    return Span(
        span.first_ordinal,
        passage.ordinal,
        span.char_start,
        passage.char_end,
        max(span.score, passage.score),
    )
