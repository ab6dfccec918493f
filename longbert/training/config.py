"""Settings of a training: what they are and their ranges."""

from __future__ import annotations

import os
from dataclasses import dataclass

from longbert.config import Device, Precision
from longbert.errors import ConfigError, nearest

TASKS = ("classify", "ner")
CLASS_WEIGHTS = ("none", "balanced")
DEFAULT_EPOCHS = {"classify": 16, "ner": 10}
DEFAULT_LEARNING_RATE = {"classify": 6e-3, "ner": 1e-3}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training.

    Attributes:
        task: ``"classify"`` or ``"ner"``.
        data: files of labelled documents.
        extra_data: more of them, which are learnt from and never validated on.
        output: folder of the head; it must not exist.
        backbone: a packaged model, a local folder or a hub id.
        id_field, text_field, label_field: of the data; ``label_field`` None: ``label``,
            ``labels`` or ``entities``, whichever there is.
        validation_share: of the documents, for early stopping, calibration and scores.
        n_folds: of the cross-validation; 0 for none.
        epochs: at most; None: see :data:`DEFAULT_EPOCHS`.
        patience: epochs without a better validation after which training ends.
        learning_rate: the highest of the schedule; None: see :data:`DEFAULT_LEARNING_RATE`.
        class_weights: ``"balanced"`` weighs each class by the inverse of its frequency.
        n_unfrozen: layers of the backbone, from the top, that are trained as well.
        layers: hidden states that are read, 0 the embeddings; None: all for ``classify``, every
            second for ``ner``.
        window, overlap: as for a run.
        seed: of everything that is drawn.
        device, precision: as for a run; layers of the backbone are trained in float32.
        features: folder of the features, kept for the next training; None: beside the output.
        license: of the data, for the card.
    """

    task: str
    data: tuple[str, ...]
    output: str
    extra_data: tuple[str, ...] = ()
    backbone: str = "minilm"
    id_field: str = "id"
    text_field: str = "text"
    label_field: str | None = None
    validation_share: float = 0.1
    n_folds: int = 0
    epochs: int | None = None
    patience: int = 4
    learning_rate: float | None = None
    class_weights: str = "none"
    n_unfrozen: int = 0
    layers: tuple[int, ...] | None = None
    window: int | None = None
    overlap: int | None = None
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "auto"
    features: str | None = None
    license: str | None = None

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(
                f"task must be one of {', '.join(TASKS)}, got {self.task!r}"
                f"{nearest(self.task, TASKS)}"
            )
        if not self.data:
            raise ConfigError("data must name at least one file of labelled documents")
        if not self.output:
            raise ConfigError("output must name a folder, got an empty name: try my-head")
        if self.features is not None:
            self._check_features(self.features)
        if not 0 < self.validation_share < 1:
            raise ConfigError(f"validation must be in (0, 1), got {self.validation_share}: try 0.1")
        if self.n_folds < 0 or self.n_folds == 1:
            raise ConfigError(f"folds must be 0 for none, or at least 2, got {self.n_folds}: try 5")
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("patience", self.patience, 1),
            ("unfreeze", self.n_unfrozen, 0),
            ("window", self.window, 3),
            ("overlap", self.overlap, 0),
            ("seed", self.seed, 0),
        ):
            if value is not None and value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")
        if self.seed >= 2**63:
            raise ConfigError(f"seed must be below 2 ** 63, got {self.seed}: try 0")
        if self.layers is not None and len({*self.layers}) < len(self.layers):
            raise ConfigError(f"layers names one twice: {', '.join(map(str, self.layers))}")
        if self.learning_rate is not None and not 0 < self.learning_rate < 1:
            raise ConfigError(
                f"learning_rate must be in (0, 1), got {self.learning_rate}: try 0.001"
            )
        if self.class_weights not in CLASS_WEIGHTS:
            raise ConfigError(
                f"class_weights must be one of {', '.join(CLASS_WEIGHTS)}, "
                f"got {self.class_weights!r}{nearest(self.class_weights, CLASS_WEIGHTS)}"
            )

    def _check_features(self, features: str) -> None:
        """Refuse folders that become the head's, or are removed when it is done."""
        folder = os.path.abspath(features)
        output = os.path.abspath(self.output)
        for own in (output, f"{output}.training", f"{output}.unfinished"):
            if folder == own or folder.startswith(own + os.sep):
                raise ConfigError(
                    f"features must be another folder than {own}, got {features!r}: try "
                    f"{self.output}.features"
                )

    @property
    def most_epochs(self) -> int:
        """Epochs at most."""
        return self.epochs or DEFAULT_EPOCHS[self.task]

    @property
    def highest_learning_rate(self) -> float:
        """Of the schedule."""
        return self.learning_rate or DEFAULT_LEARNING_RATE[self.task]
