"""Settings of a training: what they are and their ranges."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from longbert.config import Count, Device, ModelConfig, OverlapTokens, Precision, WindowTokens
from longbert.errors import ConfigError, nearest
from longbert.settings import check_known, check_settings
from longbert.tasks import TASKS, Training

ClassWeights = Literal["none", "balanced"]

CLASS_WEIGHTS: tuple[ClassWeights, ...] = get_args(ClassWeights)

TRAINED: Mapping[str, Training] = {
    name: task.training for name, task in TASKS.items() if task.training is not None
}
"""How heads are trained, by the names of the tasks that have any."""

_OPTIONS = {"n_folds": "folds", "validation_share": "validation", "n_unfrozen": "unfreeze"}
"""Names on the command line of the settings that have another one here."""

_EXAMPLES = {"n_folds": 5, "validation_share": 0.1, "learning_rate": 0.001, "seed": 0}

_Share = Annotated[float, Meta(gt=0, lt=1)]
_Natural = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training.

    Attributes:
        task: one of :data:`TRAINED`.
        data: files of labelled documents.
        extra_data: more of them, to learn from and not to validate on.
        output: folder of the head; it must not exist.
        backbone: a packaged model, a local folder or a hub id.
        id_field, text_field, label_field: of the data; ``label_field`` None: ``label``,
            ``labels`` or ``entities``, whichever there is.
        validation_share: of the documents, for early stopping, calibration and scores.
        n_folds: of the cross-validation; 0 for none; None: see
            :func:`longbert.training.data.n_folds_of`.
        epochs: at most; None: what suits the task.
        patience: epochs without a better validation after which training stops.
        learning_rate: the peak of the schedule; None: what suits the task.
        class_weights: ``"balanced"`` weighs each class by the inverse of its frequency.
        n_unfrozen: layers of the backbone, from the top, that are trained as well.
        layers: hidden states that are read, 0 the embeddings; None: all for ``classify``, every
            second for ``ner``.
        window, overlap: as for a run.
        seed: of all random numbers.
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
    validation_share: _Share = 0.1
    n_folds: _Natural | None = None
    epochs: Count | None = None
    patience: Count = 4
    learning_rate: _Share | None = None
    class_weights: ClassWeights = "none"
    n_unfrozen: _Natural = 0
    layers: tuple[int, ...] | None = None
    window: WindowTokens | None = None
    overlap: OverlapTokens | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    device: Device = "auto"
    precision: Precision = "auto"
    features: str | None = None
    license: str | None = None

    def __post_init__(self) -> None:
        check_settings(self, names=_OPTIONS, examples=_EXAMPLES)
        if self.task not in TRAINED:
            raise ConfigError(
                f"task must be one of {', '.join(TRAINED)}, got {self.task!r}"
                f"{nearest(self.task, TRAINED)}"
            )
        if not self.data:
            raise ConfigError(
                "data must name at least one file of labelled documents, got none: "
                "name it with --data"
            )
        if not self.output:
            raise ConfigError("output must name a folder, got an empty name: try my-head")
        if self.features is not None:
            self._check_features(self.features)
        if self.n_folds == 1:
            raise ConfigError("folds must be 0 for none, or at least 2, got 1: try 5")
        if self.layers is not None and len({*self.layers}) < len(self.layers):
            raise ConfigError(
                f"layers must name each layer once, got {','.join(map(str, self.layers))}"
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
    def training(self) -> Training:
        """How heads of the task are trained."""
        return TRAINED[self.task]

    @property
    def models(self) -> ModelConfig:
        """The settings of a run that load the backbone as training reads it."""
        return ModelConfig(
            embed=self.backbone,
            window=self.window,
            overlap=self.overlap,
            device=self.device,
            precision="float32" if self.n_unfrozen else self.precision,
        )

    @property
    def most_epochs(self) -> int:
        """Epochs at most."""
        return self.epochs or self.training.epochs

    @property
    def peak_learning_rate(self) -> float:
        """Of the schedule."""
        return self.learning_rate or self.training.learning_rate


def train_config(settings: Mapping[str, Any]) -> TrainConfig:
    """Build a configuration from settings named as on the command line, ``-`` written ``_``.

    Raises:
        ConfigError: a setting is unknown, missing, of the wrong type or out of range.
    """
    names = {_OPTIONS.get(field.name, field.name): field.name for field in fields(TrainConfig)}
    check_known(settings, names)
    for required in ("task", "data", "output"):
        if required not in settings:
            raise ConfigError(f"{required} must be given, got none: name it with --{required}")
    return TrainConfig(**{names[name]: value for name, value in settings.items()})
