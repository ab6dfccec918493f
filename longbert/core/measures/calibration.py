"""Whether scores are the probabilities that they look like, and a temperature that mends them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longbert.arrays import AnyFloatArray, BoolArray, DoubleArray, IntArray
from longbert.errors import ConfigError

N_BINS = 15
"""As in Guo et al. 2017."""

LOWEST_TEMPERATURE = 0.05
HIGHEST_TEMPERATURE = 20.0

_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Scores in ``(low, high]``, and how often they were right; the first bin holds 0, too.

    Attributes:
        mean_score, share_right: None where the bin is empty.
    """

    low: float
    high: float
    n: int
    mean_score: float | None
    share_right: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Agreement of scores with how often they are right.

    Attributes:
        expected_error: mean over the bins of the distance between mean score and share that is
            right, weighted by what lies in them (expected calibration error); in [0, 1].
        bins: of equal width, from 0 to 1.
    """

    expected_error: float
    bins: tuple[ReliabilityBin, ...]

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "expected_calibration_error": self.expected_error,
            "bins": [asdict(one) for one in self.bins],
        }


def calibration(scores: DoubleArray, is_right: BoolArray, *, n_bins: int = N_BINS) -> Calibration:
    """Reliability table and expected calibration error (Guo et al. 2017, section 2).

    For one label a document, give the score of the predicted label and whether it is right; for
    many, the score of every label and whether the document has it.

    Args:
        scores: in [0, 1]. Shape: (n,), at least one.
        is_right: Shape: (n,).
        n_bins: at least 1.

    Raises:
        ConfigError: shapes differ, there is nothing, or a score is out of range.
    """
    if n_bins < 1:
        raise ConfigError(f"n_bins must be at least 1, got {n_bins}: try {N_BINS}")
    if scores.shape != is_right.shape or scores.ndim != 1 or not len(scores):
        raise ConfigError(
            f"scores and outcomes must be two rows of one length of at least 1, got shapes "
            f"{scores.shape} and {is_right.shape}: give an outcome for every score"
        )
    exact = scores.astype(np.float64)
    if not (np.isfinite(exact).all() and exact.min() >= 0 and exact.max() <= 1):
        raise ConfigError(
            f"scores must be in [0, 1], got {exact.min()} to {exact.max()}: give probabilities"
        )
    edges = np.linspace(0, 1, n_bins + 1)
    places = np.clip(np.searchsorted(edges, exact, side="left") - 1, 0, n_bins - 1)
    n = np.bincount(places, minlength=n_bins)
    of_scores = np.bincount(places, weights=exact, minlength=n_bins)
    of_right = np.bincount(places, weights=is_right, minlength=n_bins)
    return Calibration(
        expected_error=float(np.abs(of_scores - of_right).sum() / len(exact)),
        bins=tuple(
            ReliabilityBin(
                low=float(edges[place]),
                high=float(edges[place + 1]),
                n=int(n[place]),
                mean_score=float(of_scores[place] / n[place]) if n[place] else None,
                share_right=float(of_right[place] / n[place]) if n[place] else None,
            )
            for place in range(n_bins)
        ),
    )


def fit_temperature(logits: AnyFloatArray, gold: IntArray) -> float:
    """The temperature T that makes softmax(logits / T) fit the gold labels best.

    Minimises the negative log-likelihood (Guo et al. 2017, section 4.2). It is convex in 1 / T,
    so bisection of its slope finds the minimum, the same on every machine but for rounding.

    Args:
        logits: Shape: (n_documents, n_labels).
        gold: indices of the right labels. Shape: (n_documents,), at least one.

    Returns:
        In [0.05, 20]: the lower end where every label is right and no T is best, the upper one
        where the logits are no better than chance; 1 where they do not depend on T at all.

    Raises:
        ConfigError: shapes do not fit, there is nothing, or a logit is not finite.
    """
    exact = _checked(logits, gold.shape, (len(logits),))
    centred = exact - exact[np.arange(len(exact)), gold][:, None]

    def slope(inverse: float) -> float:
        scaled = centred * inverse
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        means: DoubleArray = (weights * centred).sum(axis=1) / weights.sum(axis=1)
        return float(means.mean())

    return _root(slope)


def fit_temperature_multi_label(logits: AnyFloatArray, gold: BoolArray) -> float:
    """As :func:`fit_temperature` for sigmoid(logits / T), one T for all labels.

    Args:
        logits: Shape: (n_documents, n_labels).
        gold: whether the document has the label. Shape: (n_documents, n_labels).

    Raises:
        ConfigError: shapes do not fit, there is nothing, or a logit is not finite.
    """
    exact = _checked(logits, gold.shape, logits.shape)
    signed = np.where(gold, exact, -exact)

    def slope(inverse: float) -> float:
        scaled = signed * inverse
        small = np.exp(-np.abs(scaled))
        wrong = np.where(scaled >= 0, small / (1 + small), 1 / (1 + small))
        return float(-(signed * wrong).mean())

    return _root(slope)


def _checked(logits: AnyFloatArray, found: tuple[int, ...], wanted: tuple[int, ...]) -> DoubleArray:
    if logits.ndim != 2 or not logits.size or found != wanted:
        raise ConfigError(
            f"logits must be (documents, labels) and fit the gold labels, got {logits.shape} and "
            f"{found}: give logits for every labelled document"
        )
    exact = logits.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ConfigError("logits must be finite, got NaN or infinity: train the head again")
    return exact


def _root(slope: Callable[[float], float]) -> float:
    """1 / b, where the slope, which rises with b, goes through 0."""
    low, high = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    at_low, at_high = slope(low), slope(high)
    if at_low == at_high == 0:
        return 1.0
    if at_low >= 0:
        return HIGHEST_TEMPERATURE
    if at_high <= 0:
        return LOWEST_TEMPERATURE
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return 1 / math.sqrt(low * high)
