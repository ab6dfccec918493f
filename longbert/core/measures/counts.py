"""Precision, recall and F1 from counts per document and label, and the bootstrap of sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.arrays import Array, DoubleArray, IntArray
from longbert.errors import ConfigError

N_RESAMPLES = 1_000
LEVEL = 0.95

GOLD, PREDICTED, CORRECT = range(3)
"""Meaning of the last axis of counts."""

_CELLS_AT_A_TIME = 1 << 22


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure and its interval; no interval where none was asked for or none can be given."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """For programs."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Scores of one label.

    Where nothing was predicted the precision is 0, where there is nothing to find the recall,
    and the F1 where both.

    Attributes:
        n_gold: how often it is right (the support).
        n_predicted: how often it was predicted.
        n_correct: how often both.
    """

    label: str
    n_gold: int
    n_predicted: int
    n_correct: int

    @property
    def precision(self) -> float:
        """Share of the predictions that are right."""
        return self.n_correct / self.n_predicted if self.n_predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of what is right that was predicted."""
        return self.n_correct / self.n_gold if self.n_gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.n_gold + self.n_predicted
        return 2 * self.n_correct / total if total else 0.0

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "label": self.label,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "support": self.n_gold,
            "predicted": self.n_predicted,
            "correct": self.n_correct,
        }


def label_scores(counts: IntArray, labels: Sequence[str]) -> tuple[LabelScores, ...]:
    """Scores of each label over all documents.

    Args:
        counts: Shape: (n_documents, n_labels, 3), see :data:`GOLD`.
    """
    return tuple(
        LabelScores(label, *(int(one) for one in row))
        for label, row in zip(labels, counts.sum(axis=0), strict=True)
    )


def micro_f1(totals: DoubleArray) -> DoubleArray:
    """F1 over all labels together. Shapes: (..., n_labels, 3) in, (...) out."""
    return _f1(totals.sum(axis=-2))


def macro_f1(totals: DoubleArray) -> DoubleArray:
    """Mean F1 of the labels that occur, right or predicted.

    0 where none does. Shapes: (..., n_labels, 3) in, (...) out.
    """
    occurs = (totals[..., GOLD] + totals[..., PREDICTED]) > 0
    n_labels = occurs.sum(axis=-1)
    sums: DoubleArray = (_f1(totals) * occurs).sum(axis=-1)
    means: DoubleArray = sums / np.maximum(n_labels, 1)
    return means


def precision_recall(totals: DoubleArray) -> tuple[float, float]:
    """Precision and recall over all labels together. Shape: (n_labels, 3)."""
    n_gold, n_predicted, n_correct = (int(one) for one in totals.sum(axis=0))
    scores = LabelScores("", n_gold, n_predicted, n_correct)
    return scores.precision, scores.recall


def check_number(n_documents: int) -> None:
    """Raises ConfigError where there is nothing to measure."""
    if n_documents == 0:
        raise ConfigError("measures need at least 1 document, got 0: label some documents")


def estimate(
    counts: Array,
    statistics: Sequence[Callable[[DoubleArray], DoubleArray]],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[Estimate, ...]:
    """Statistics of sums over documents, with percentile intervals of a bootstrap.

    Documents are drawn, not labels or entities, since those of one document depend on each
    other (Efron & Tibshirani 1993, chapter 13). All statistics see the same draws.

    Args:
        counts: what each document adds to the sums. Shape: (n_documents, ...), at least one.
        statistics: from sums of shape (n_resamples, ...) to values of shape (n_resamples,).
        n_resamples: 0 for no interval.
        seed: of numpy's default generator.
        level: share of the resamples that lie in the interval, in (0, 1).

    Raises:
        ConfigError: there is no document, or a setting is out of range.
    """
    n_documents = len(counts)
    check_number(n_documents)
    if n_resamples < 0:
        raise ConfigError(f"n_resamples must be at least 0, got {n_resamples}: try {N_RESAMPLES}")
    if not 0 < level < 1:
        raise ConfigError(f"level must be in (0, 1), got {level}: try {LEVEL}")
    flat = counts.reshape(n_documents, -1).astype(np.float64)
    values = [float(of(flat.sum(axis=0).reshape(1, *counts.shape[1:]))[0]) for of in statistics]
    if not n_resamples:
        return tuple(map(Estimate, values))
    generator = np.random.default_rng(seed)
    drawn: list[list[DoubleArray]] = [[] for _ in statistics]
    n_at_a_time = max(1, _CELLS_AT_A_TIME // n_documents)
    for first in range(0, n_resamples, n_at_a_time):
        n_rows = min(n_at_a_time, n_resamples - first)
        weights = np.empty((n_rows, n_documents))
        for row in weights:
            chosen = generator.integers(0, n_documents, n_documents)
            row[:] = np.bincount(chosen, minlength=n_documents)
        sums = (weights @ flat).reshape(n_rows, *counts.shape[1:])
        for of, found in zip(statistics, drawn, strict=True):
            found.append(of(sums))
    tails = [(1 - level) / 2, (1 + level) / 2]
    intervals = [np.quantile(np.concatenate(found), tails) for found in drawn]
    return tuple(
        Estimate(value, float(low), float(high))
        for value, (low, high) in zip(values, intervals, strict=True)
    )


def _f1(totals: DoubleArray) -> DoubleArray:
    """Shapes: (..., 3) in, (...) out."""
    both = totals[..., GOLD] + totals[..., PREDICTED]
    f1: DoubleArray = 2 * totals[..., CORRECT] / np.where(both > 0, both, 1)
    return f1
