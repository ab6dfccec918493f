"""Ranking of documents by their passages, and joining of passages that stand side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from longbert.arrays import FloatArray, IntArray
from longbert.errors import ConfigError, nearest

MEAN_OF = 3
"""Passages that ``best-mean`` averages."""

RANKS = ("hybrid", "lexical", "best", "best-mean", "document")

DENSE_RANKS = ("hybrid", "best", "best-mean", "document")
"""Those that compare vectors."""

LEXICAL_RANKS = ("hybrid", "lexical")
"""Those that compare words."""

DENSE_IN_HYBRID = "best"
"""How vectors rank documents where words do, too."""

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


def check_rank(rank: str) -> None:
    """Refuse what is not one of :data:`RANKS`.

    Raises:
        ConfigError: with the known ones.
    """
    if rank not in RANKS:
        raise ConfigError(
            f"rank must be one of {', '.join(RANKS)}, got {rank!r}{nearest(rank, RANKS)}"
        )


def similarities(vectors: FloatArray, query: FloatArray) -> FloatArray:
    """Inner products, each the same to the bit whatever other vectors come along.

    A matrix product would not do: its order of summation depends on the shapes.

    Args:
        vectors: shape (n, width).
        query: shape (width,).

    Returns:
        Summed in float64 and rounded once to float32. Shape: (n,).
    """
    products = np.multiply(vectors, query, dtype=np.float64)
    rounded: FloatArray = products.sum(axis=1).astype(np.float32)
    return rounded


def document_scores(scores: FloatArray, sizes: IntArray, *, rank: str) -> FloatArray:
    """Score documents by their passages.

    Args:
        scores: of the passages, document after document. Shape: (passages,).
        sizes: passages of each document, adding up to ``len(scores)``. Shape: (documents,).
        rank: ``"best"``: the best passage's score; ``"best-mean"``: the mean of the best
            three, or of as many as there are.

    Returns:
        Minus infinity for a document without passages. Shape: (documents,).
    """
    counted = _PASSAGES_COUNTED[rank]
    documents = np.repeat(np.arange(len(sizes)), sizes)
    best_first = np.lexsort((-scores, documents))
    place = np.arange(len(scores)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    best = best_first[place < counted]
    # bincount adds in float64 and in this order, hence the same sum each time.
    sums = np.bincount(documents[best], weights=scores[best], minlength=len(sizes))
    means = np.full(len(sizes), -np.inf, np.float32)
    np.divide(sums, np.minimum(sizes, counted), out=means, where=sizes > 0, casting="same_kind")
    return means


def top_documents(scores: FloatArray, documents: IntArray, k: int) -> IntArray:
    """Pick the best ``k``: highest score first, ties in the order of the documents.

    Args:
        scores: minus infinity where a document has no score and is never picked.
        documents: positions in the order of the documents, in any order here.

    Returns:
        Indices into ``scores``. Shape: (at most k,).
    """
    order = np.lexsort((documents, -scores))
    return order[np.isfinite(scores[order])][:k]


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


def rows_of(documents: IntArray, starts: IntArray) -> tuple[IntArray, IntArray]:
    """List the rows of some documents where a document's rows stand together.

    Args:
        documents: positions of the documents wanted.
        starts: first row of every document, and the end of the last. Shape: (documents + 1,).

    Returns:
        The rows, document after document as asked, and the number of each one's rows.
    """
    sizes = starts[documents + 1] - starts[documents]
    shifts = starts[documents] - (np.cumsum(sizes) - sizes)
    return np.repeat(shifts, sizes) + np.arange(int(sizes.sum())), sizes


def _extended(span: Span, passage: ScoredPassage) -> Span:
    return Span(
        span.first_ordinal,
        passage.ordinal,
        span.char_start,
        passage.char_end,
        max(span.score, passage.score),
    )
