"""95% intervals of scores between 0 and 1 that hold on few documents, too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from longbert.arrays import Array, DoubleArray, IntArray
from longbert.core.measures.counts import CORRECT, GOLD, PREDICTED, Estimate, check_number

_NORMAL_QUANTILE = 1.959963984540054
"""97.5% of a normal distribution lie below it."""

_HALVINGS = 60


def proportion(n_right: int, n: int) -> Estimate:
    """A share of independent outcomes, with the interval of Wilson (1927).

    Six of six right give 1.0 [0.61, 1.0], where resampling them would give [1.0, 1.0].

    Args:
        n_right: in ``[0, n]``.
        n: at least 1.

    Raises:
        ConfigError: there is nothing.
    """
    check_number(n)
    return _wilson(n_right / n, n)


def score_estimates(
    counts: IntArray, statistics: Sequence[Callable[[DoubleArray], DoubleArray]]
) -> tuple[Estimate, ...]:
    """Scores such as F1, each with Wilson's interval at its effective sample size.

    The outcomes in a document depend on each other, so a score is worth fewer independent ones
    than there are: as many as would give a proportion the variance that the jackknife over
    documents finds (Kish 1965), fewer still where few documents say what that variance is (Korn &
    Graubard 1998). Where every outcome is right, or every one wrong, there is no variance to be
    seen, and a document counts as a single outcome.

    Args:
        counts: of each document. Shape: (n_documents, n_labels, 3), at least one document; see
            :data:`longbert.core.measures.counts.GOLD`.
        statistics: from totals of shape (n, n_labels, 3) to values in [0, 1] of shape (n,).

    Returns:
        Estimates without an interval where fewer than two documents have anything to count.

    Raises:
        ConfigError: there is no document.
    """
    check_number(len(counts))
    exact = counts.astype(np.float64)
    n_counted = int((counts[..., :CORRECT].sum(axis=(1, 2)) > 0).sum())
    totals = exact.sum(axis=0)
    outcomes = totals[:, GOLD] + totals[:, PREDICTED] - totals[:, CORRECT]
    estimates = []
    for of in statistics:
        value = float(of(totals[None])[0])
        if n_counted < 2:
            estimates.append(Estimate(value))
            continue
        n_effective = float(n_counted)
        if 0 < value < 1:
            variance = _jackknife_variance(of(totals - exact))
            n_effective = float(outcomes.sum())
            if variance > 0:
                n_effective = min(n_effective, value * (1 - value) / variance)
            n_effective *= (_NORMAL_QUANTILE / student_quantile(n_counted - 1)) ** 2
        estimates.append(_wilson(value, n_effective))
    return tuple(estimates)


def student_quantile(n_degrees: int) -> float:
    """97.5% of Student's distribution lie below it.

    By bisection of the closed form for whole degrees of freedom (Abramowitz & Stegun 1964, 26.7.3
    and 26.7.4).

    Args:
        n_degrees: degrees of freedom, at least 1.
    """
    is_odd = n_degrees % 2
    # The factors by which a term of the sum exceeds the last one, but for the cosine squared.
    steps = np.arange(3 if is_odd else 2, n_degrees - 1, 2, dtype=np.float64)
    factors = (steps - 1) / steps

    def share_within(angle: float) -> float:
        square = math.cos(angle) ** 2
        terms = 1 + float(np.cumprod(factors * square).sum())
        if not is_odd:
            return math.sin(angle) * terms
        inner = math.sin(angle) * math.cos(angle) * terms if n_degrees > 1 else 0.0
        return 2 / math.pi * (angle + inner)

    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if share_within(middle) < 0.95 else (low, middle)
    return math.tan(low) * math.sqrt(n_degrees)


def _jackknife_variance(values: Array) -> float:
    """Of a statistic from its values without each document (Efron & Tibshirani 1993, ch. 11)."""
    n = len(values)
    return float((n - 1) / n * np.square(values - values.mean()).sum())


def _wilson(value: float, n: float) -> Estimate:
    square = _NORMAL_QUANTILE**2
    middle = (value + square / (2 * n)) / (1 + square / n)
    reach = _NORMAL_QUANTILE * math.sqrt(value * (1 - value) / n + square / (4 * n * n))
    reach /= 1 + square / n
    # Rounding may leave the value just outside.
    return Estimate(
        value, max(0.0, min(value, middle - reach)), min(1.0, max(value, middle + reach))
    )
