"""Measures of document labels (one or many a document) and of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.arrays import Array, BoolArray, DoubleArray, IntArray
from longbert.core.measures.counts import (
    N_RESAMPLES,
    Estimate,
    LabelScores,
    estimate,
    label_scores,
    macro_f1,
    micro_f1,
)
from longbert.core.measures.intervals import proportion, score_estimates
from longbert.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SingleLabelMeasures:
    """Agreement where each document has one label.

    Attributes:
        macro_f1: over the labels that occur, right or predicted.
        confusion: Shape: (n_labels, n_labels), gold by predicted, in the order of
            ``per_label``.
    """

    n_documents: int
    accuracy: Estimate
    macro_f1: Estimate
    per_label: tuple[LabelScores, ...]
    confusion: IntArray

    @property
    def highlights(self) -> Mapping[str, Estimate | None]:
        """The measures over all documents by the names that people see; None: not defined."""
        return {"accuracy": self.accuracy, "macro F1": self.macro_f1}

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "accuracy": self.accuracy.to_json(),
            "macro_f1": self.macro_f1.to_json(),
            "per_label": [one.to_json() for one in self.per_label],
            "confusion": {
                "labels": [one.label for one in self.per_label],
                "matrix": self.confusion.tolist(),
            },
        }


@dataclass(frozen=True, slots=True)
class MultiLabelMeasures:
    """Agreement where each document has any number of labels.

    Attributes:
        subset_accuracy: share of documents with all labels right and no other.
    """

    n_documents: int
    subset_accuracy: Estimate
    micro_f1: Estimate
    macro_f1: Estimate
    per_label: tuple[LabelScores, ...]

    @property
    def highlights(self) -> Mapping[str, Estimate | None]:
        """The measures over all documents by the names that people see; None: not defined."""
        return {
            "subset accuracy": self.subset_accuracy,
            "micro F1": self.micro_f1,
            "macro F1": self.macro_f1,
        }

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "subset_accuracy": self.subset_accuracy.to_json(),
            "micro_f1": self.micro_f1.to_json(),
            "macro_f1": self.macro_f1.to_json(),
            "per_label": [one.to_json() for one in self.per_label],
        }


@dataclass(frozen=True, slots=True)
class RegressionMeasures:
    """Agreement of numbers.

    Attributes:
        mean_absolute_error, root_mean_squared_error: in the unit of the numbers.
        pearson: correlation; None where it is not defined, with fewer than two documents or
            where one side is constant.
    """

    n_documents: int
    mean_absolute_error: Estimate
    root_mean_squared_error: Estimate
    pearson: float | None

    @property
    def highlights(self) -> Mapping[str, Estimate | None]:
        """The measures over all documents by the names that people see; None: not defined."""
        return {
            "mean absolute error": self.mean_absolute_error,
            "root mean squared error": self.root_mean_squared_error,
            "Pearson correlation": None if self.pearson is None else Estimate(self.pearson),
        }

    @property
    def per_label(self) -> tuple[LabelScores, ...]:
        """None: numbers have no labels."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "mean_absolute_error": self.mean_absolute_error.to_json(),
            "root_mean_squared_error": self.root_mean_squared_error.to_json(),
            "pearson": self.pearson,
        }


def single_label(
    gold: IntArray,
    predicted: IntArray,
    labels: Sequence[str],
) -> SingleLabelMeasures:
    """Accuracy, F1 and confusion of one label a document.

    Args:
        gold, predicted: indices into ``labels``. Shape: (n_documents,), at least one.

    Raises:
        ConfigError: the two differ in length, are empty, or an index is out of range.
    """
    _check_lengths(gold, predicted)
    for indices in (gold, predicted):
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(labels):
            raise ConfigError(
                f"label indices must be in [0, {len(labels)}), got {indices.min()} to "
                f"{indices.max()}: name every label"
            )
    of_gold = gold[:, None] == np.arange(len(labels))
    of_predicted = predicted[:, None] == np.arange(len(labels))
    counts = _counts(of_gold, of_predicted)
    accuracy = proportion(int((gold == predicted).sum()), len(gold))
    (macro,) = score_estimates(counts, (macro_f1,))
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (gold, predicted), 1)
    return SingleLabelMeasures(len(gold), accuracy, macro, label_scores(counts, labels), confusion)


def multi_label(
    gold: BoolArray,
    predicted: BoolArray,
    labels: Sequence[str],
) -> MultiLabelMeasures:
    """Subset accuracy and F1 of any number of labels a document.

    Args:
        gold, predicted: Shape: (n_documents, n_labels), at least one document.

    Raises:
        ConfigError: the two differ in length or are empty.
    """
    _check_lengths(gold, predicted)
    counts = _counts(gold, predicted)
    subset = proportion(int((gold == predicted).all(axis=1).sum()), len(gold))
    micro, macro = score_estimates(counts, (micro_f1, macro_f1))
    return MultiLabelMeasures(len(gold), subset, micro, macro, label_scores(counts, labels))


def regression(
    gold: DoubleArray, predicted: DoubleArray, *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> RegressionMeasures:
    """Errors and correlation of numbers.

    Args:
        gold, predicted: finite. Shape: (n_documents,), at least one.
        n_resamples, seed: see :func:`longbert.core.measures.counts.estimate`.

    Raises:
        ConfigError: the two differ in length or are empty.
    """
    _check_lengths(gold, predicted)
    difference = predicted.astype(np.float64) - gold.astype(np.float64)
    absolute, squared = estimate(
        np.stack([np.abs(difference), difference**2], axis=1),
        (
            lambda sums: sums[:, 0] / len(gold),
            lambda sums: np.asarray(np.sqrt(sums[:, 1] / len(gold))),
        ),
        n_resamples=n_resamples,
        seed=seed,
    )
    return RegressionMeasures(len(gold), absolute, squared, _pearson(gold, predicted))


def _check_lengths(gold: Array, predicted: Array) -> None:
    if gold.shape != predicted.shape:
        raise ConfigError(
            f"gold and predicted must have one shape, got {gold.shape} and {predicted.shape}: "
            "give both for the same documents and labels"
        )


def _counts(gold: BoolArray, predicted: BoolArray) -> IntArray:
    return np.stack([gold, predicted, gold & predicted], axis=2).astype(np.int64)


def _pearson(gold: DoubleArray, predicted: DoubleArray) -> float | None:
    # Compared, not subtracted: the mean of equal numbers need not be that number.
    if (gold == gold[0]).all() or (predicted == predicted[0]).all():
        return None
    first, second = (one - one.mean() for one in (gold, predicted))
    scale = math.sqrt(float(first @ first)) * math.sqrt(float(second @ second))
    if scale == 0 or not math.isfinite(scale):
        return None
    return max(-1.0, min(1.0, float(first @ second) / scale))
