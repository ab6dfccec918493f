"""Fusion of rankings: what several kinds of search say of the same documents, as one score.

A convex combination of scores that are standardised per query, which loses less than reciprocal
ranks do (Bruch et al. 2022, arXiv:2210.11934).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from longbert.arrays import DoubleArray, FloatArray

WEIGHTS: Mapping[str, float] = {"runs": 1.0, "sentences": 1.0, "documents": 0.5, "dense": 0.8}
"""Weight of each kind of search in the default ranking."""

PASSAGE_WEIGHTS: Mapping[str, float] = {"words": 1.0, "dense": 0.7}
"""Weight of each kind of search in the score of a passage that is shown."""


def standardised(scores: FloatArray, like: FloatArray | None = None) -> DoubleArray:
    """Shift to mean 0 and scale to deviation 1; zeros where all scores are equal.

    The sums are exact, so that the order of the candidates changes no bit.

    Args:
        scores: of candidates.
        like: scores whose mean and deviation are taken; None: ``scores`` themselves.
    """
    values = (scores if like is None else like).astype(np.float64)
    if not len(values):
        return np.zeros(len(scores))
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum(np.square(values - mean)) / len(values))
    # Equal scores may differ from their mean by rounding.
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        return np.zeros(len(scores))
    scaled: DoubleArray = (scores.astype(np.float64) - mean) / deviation
    return scaled


def combined(
    scores: Mapping[str, FloatArray],
    weights: Mapping[str, float] = WEIGHTS,
    *,
    like: Mapping[str, FloatArray] | None = None,
) -> FloatArray:
    """Weighted mean of standardised scores.

    Args:
        scores: of the same candidates, by kind of search. Shape of each: (candidates,).
        weights: at least those of the kinds given.
        like: scores of other candidates, whose mean and deviation are taken; None: ``scores``.

    Returns:
        Shape: (candidates,); empty without any kind.
    """
    kinds = sorted(scores)
    if not kinds:
        return np.zeros(0, np.float32)
    like = scores if like is None else like
    total = sum(weights[kind] for kind in kinds)
    added = sum(weights[kind] * standardised(scores[kind], like[kind]) for kind in kinds)
    return np.asarray(added / total, np.float32)


def lowered(scores: FloatArray, bound: float) -> FloatArray:
    """Shift scores, if need be, so that the highest is below a bound. Shape: as ``scores``."""
    if not len(scores) or scores.max() < bound:
        return scores
    highest = np.nextafter(np.float32(bound), np.float32(-np.inf))
    shifted = scores.astype(np.float64) - float(scores.max()) + float(highest)
    return shifted.astype(np.float32)


def combined_passages(scores: Mapping[str, FloatArray]) -> FloatArray:
    """Weighted mean of the scores of a document's passages, each at most about 1.

    They are not standardised, so that passages of different documents compare.

    Args:
        scores: by key of :data:`PASSAGE_WEIGHTS`. Shape of each: (passages,).
    """
    kinds = sorted(scores)
    if len(kinds) == 1:
        return scores[kinds[0]]
    total = sum(PASSAGE_WEIGHTS[kind] for kind in kinds)
    added = sum(PASSAGE_WEIGHTS[kind] * scores[kind].astype(np.float64) for kind in kinds)
    return np.asarray(added / total, np.float32)
