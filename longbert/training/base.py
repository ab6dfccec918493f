"""What a task gives to training: how its features are read, and how its heads are fitted.

A training has two steps. First the backbone encodes every document once, and what the task's
:class:`FeatureReader` reads of the hidden states is stored. Then heads are fitted on that, by code
that is the same for every task and knows it as a :class:`TrainingTask`. A :class:`Trainer` holds
both; the registry of tasks leads to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn

from longbert.arrays import Array, FloatArray, IntArray
from longbert.core.measures.calibration import Calibration
from longbert.core.windows import Window
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.checkpoint.head_folder import HeadConfig
from longbert.encoders.heads.base import Head
from longbert.encoders.heads.learned.features import WindowFeatures
from longbert.encoders.models import LoadedBackbone
from longbert.encoders.runtime.base import EncoderModule
from longbert.engine.compare import Measures
from longbert.readers.labels import LabelKind
from longbert.records import LabelledDocument
from longbert.training.config import TrainConfig
from longbert.training.fit import Learner

ModuleT = TypeVar("ModuleT", bound=nn.Module)
ScorerT = TypeVar("ScorerT", bound="Scorer")
PredictionT = TypeVar("PredictionT", bound="Prediction")
ReaderT = TypeVar("ReaderT", bound="FeatureReader")

Rows = IntArray | slice
"""Of the tokens or words of a window."""


@dataclass(frozen=True)
class TrainingInputs:
    """What every training starts from.

    Attributes:
        config: its settings.
        loaded: the backbone.
        documents: all of them, the extra ones last.
        n_own: how many are not extra.
        kind: of their labels.
    """

    config: TrainConfig
    loaded: LoadedBackbone
    documents: Sequence[LabelledDocument]
    n_own: int
    kind: LabelKind

    @property
    def own(self) -> Sequence[LabelledDocument]:
        """The documents that are not extra."""
        return self.documents[: self.n_own]

    @property
    def n_layers(self) -> int:
        """Layers of the backbone, the embeddings not counted."""
        return self.loaded.checkpoint.n_layers

    @property
    def width(self) -> int:
        """Width of the backbone's hidden states."""
        return self.loaded.checkpoint.width


class FeatureReader(Protocol):
    """What a task reads of the windows of a document."""

    @property
    def name(self) -> str:
        """Of the array that :meth:`read` gives."""

    @property
    def needs_word_shapes(self) -> bool:
        """Whether windows must know what their words look like."""

    def read(self, states: Sequence[Tensor], batch: WindowBatch, row: int) -> Tensor:
        """Rows of numbers for the tokens or words of one window, differentiable.

        Args:
            states: hidden states of all layers, the embeddings first. Shape of each: (batch,
                positions, width).
            batch, row: the window.
        """

    def read_text(self, window: TokenWindow) -> WindowFeatures:
        """Further arrays, which depend on the text alone."""


@dataclass(frozen=True, slots=True)
class FeatureWindow:
    """A window of a document, with what is known of it.

    Attributes:
        document: its number among the documents.
        ordinal: its number among the document's windows.
        window: where it lies.
        features: arrays by name; without the reader's own where the backbone is being trained.
    """

    document: int
    ordinal: int
    window: Window
    features: WindowFeatures


class Trainable(nn.Module, Generic[ModuleT]):
    """A head's module, and the backbone under it where that is trained with it.

    Args:
        head: the module.
        base: a copy of the backbone, of which some layers are trained; None where none is.
    """

    head: ModuleT
    base: EncoderModule | None

    def __init__(self, head: ModuleT, base: EncoderModule | None) -> None:
        super().__init__()
        self.head = head
        self.base = base

    def trained_backbone(self) -> Mapping[str, Tensor]:
        """The backbone's trained weights by their names in it; none where it stays as it is."""
        if self.base is None:
            return {}
        return {
            name: weight.detach()
            for name, weight in self.base.named_weights()
            if weight.requires_grad
        }


class Scorer(Protocol):
    """A module as the head that it is at inference."""

    @property
    def head(self) -> Head:
        """As in a run."""

    def partial(self, window: FeatureWindow) -> Any:
        """What the head makes of a window, from its stored features."""


class FeatureSource(Protocol):
    """Where features come from: a store, or the backbone as it is at the moment.

    Attributes:
        runs_backbone: whether reading a window takes a forward pass. Scorers then read hidden
            states, as those of a run do, and else what was stored.
    """

    runs_backbone: bool

    def trainable(self, head: ModuleT) -> Trainable[ModuleT]:
        """A head's module with all that is trained beside it."""

    def windows(self, document: int) -> Sequence[FeatureWindow]:
        """The windows of a document, in order."""

    def read(
        self, module: Trainable[Any], chosen: Sequence[tuple[FeatureWindow, Rows]]
    ) -> list[Tensor]:
        """The reader's rows of some windows, with gradients where the backbone is trained."""

    def partials(self, module: Trainable[Any], scorer: Scorer, document: int) -> Sequence[Any]:
        """What a scorer's head makes of each window of a document.

        Raises:
            InputError: the document cannot be encoded.
        """

    def backbone(self, module: Trainable[Any]) -> LoadedBackbone:
        """The backbone under a trained head."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a head says of a document that it did not learn from.

    Attributes:
        logits: at temperature 1, which another one is fitted on. Shape: (rows, n_labels).
        gold: for each row the index of its label, or whether it has each label.
    """

    logits: FloatArray
    gold: Array


class TrainingTask(Protocol[ModuleT, ScorerT, PredictionT]):
    """What is fitted, and how good it is.

    Attributes:
        source: of the features.
        config: of the head's folder, at temperature 1.
        weight_decay: of the fit.
    """

    source: FeatureSource
    config: HeadConfig
    weight_decay: float

    def new_module(self) -> ModuleT:
        """An untrained module that reads features."""

    def learner(
        self, module: Trainable[ModuleT], *, learn: Sequence[int], validate: Sequence[int]
    ) -> Learner[Trainable[ModuleT]]:
        """A module with the documents, by number, that it learns from and is validated on."""

    def run_module(self, module: ModuleT) -> ModuleT:
        """The module that reads hidden states as this one reads features."""

    def scorer(self, module: ModuleT) -> ScorerT:
        """The head that a module is, at temperature 1."""

    def predict(self, scorer: ScorerT, number: int, partials: Sequence[Any]) -> PredictionT:
        """What a head says of a document, from what it makes of its windows."""

    def rescore(self, scorer: ScorerT, prediction: PredictionT, temperature: float) -> PredictionT:
        """What the head would have said at another temperature, to the bit."""

    def measure(
        self, numbers: Sequence[int], predictions: Sequence[PredictionT]
    ) -> tuple[Measures, Calibration | None]:
        """Scores of the predictions for some documents."""


@dataclass(frozen=True)
class Trainer(Generic[ReaderT, ModuleT, ScorerT, PredictionT]):
    """How a task is trained.

    Attributes:
        score: that people see after each epoch.
        feature_identity: what decides on the features, beside documents and backbone.
        make_reader: a reader; the folder of the features holds what it has to keep.
        make_task: what is fitted on features.
    """

    score: str
    feature_identity: Callable[[TrainingInputs], Mapping[str, Any]]
    make_reader: Callable[[TrainingInputs, Path], ReaderT]
    make_task: Callable[
        [TrainingInputs, ReaderT, FeatureSource], TrainingTask[ModuleT, ScorerT, PredictionT]
    ]


def head_config(
    inputs: TrainingInputs,
    *,
    labels: tuple[str, ...],
    chooses_one: bool,
    sizes: Mapping[str, Any],
) -> HeadConfig:
    """The configuration of a head's folder, at temperature 1.

    Args:
        inputs: of the training.
        labels: of the logits.
        chooses_one: whether each row of logits has exactly one label.
        sizes: of the module.
    """
    return HeadConfig(
        task=inputs.config.task,
        labels=labels,
        chooses_one=chooses_one,
        backbone=inputs.config.backbone,
        backbone_digest=inputs.loaded.backbone.digest,
        n_unfrozen=inputs.config.n_unfrozen,
        window=inputs.loaded.window,
        overlap=inputs.loaded.overlap,
        temperature=1.0,
        module=sizes,
    )


def scorer_of(
    task: TrainingTask[ModuleT, ScorerT, PredictionT], module: Trainable[ModuleT]
) -> ScorerT:
    """The head that a module is, for the partials of the task's source."""
    head = task.run_module(module.head) if task.source.runs_backbone else module.head
    return task.scorer(head.eval())
