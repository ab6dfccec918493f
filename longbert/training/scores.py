"""How good trained heads are on documents that they did not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbert.core.measures.calibration import (
    Calibration,
    fit_temperature,
    fit_temperature_multi_label,
)
from longbert.encoders.checkpoint.head_folder import HeadConfig
from longbert.engine.compare import Measures
from longbert.training.base import ModuleT, PredictionT, ScorerT, TrainingTask
from longbert.training.data import FEW
from longbert.training.fit import Epoch


@dataclass(frozen=True, slots=True)
class Scores:
    """How good a head is on documents that it did not learn from.

    Attributes:
        n_documents: that it was scored on.
        measures: accuracy or F1, with their intervals.
        calibration: of the scores at the fitted temperature; None where there are no scores.
        uncalibrated: the same at temperature 1.
    """

    n_documents: int
    measures: Measures
    calibration: Calibration | None
    uncalibrated: Calibration | None

    def to_json(self) -> dict[str, Any]:
        """For ``scores.json``."""
        return {
            "documents": self.n_documents,
            "measures": self.measures.to_json(),
            "calibration": self.calibration and self.calibration.to_json(),
            "uncalibrated": self.uncalibrated and self.uncalibrated.to_json(),
        }


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training gave.

    Attributes:
        head: the configuration of its folder.
        validation: on the documents held back for early stopping, which flatters a little.
        cross_validation: on every document by a head that has not seen it; None without folds.
        n_folds: of the cross-validation; 0 for none.
        log: of the head's epochs.
    """

    head: HeadConfig
    validation: Scores
    cross_validation: Scores | None
    n_folds: int
    log: tuple[Epoch, ...]


def scores_of(
    task: TrainingTask[ModuleT, ScorerT, PredictionT],
    numbers: Sequence[int],
    plain: Sequence[PredictionT],
    calibrated: Sequence[PredictionT],
) -> Scores:
    """Scores of some documents from what was predicted at temperature 1 and at the fitted one."""
    measures, calibration = task.measure(numbers, calibrated)
    _, uncalibrated = task.measure(numbers, plain)
    return Scores(len(numbers), measures, calibration, uncalibrated)


def fitted_temperature(
    task: TrainingTask[ModuleT, ScorerT, PredictionT], predictions: Sequence[PredictionT]
) -> float:
    """The temperature that fits documents (or entities found) best; 1 where they are few."""
    logits = np.concatenate([one.logits for one in predictions])
    gold = np.concatenate([one.gold for one in predictions])
    if len(gold) < FEW:
        return 1.0
    if task.config.chooses_one:
        return fit_temperature(logits, gold)
    return fit_temperature_multi_label(logits, gold)
