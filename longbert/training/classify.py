"""How heads for classes are trained: attention over the tokens of a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longbert.arrays import FloatArray
from longbert.core.measures.calibration import Calibration
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.heads.learned.attention import (
    AttentionShape,
    TokenAttention,
    fit_reduction,
    folded,
)
from longbert.encoders.heads.learned.document_head import LearnedClassifier, owned_states
from longbert.encoders.heads.learned.features import FeatureHead, WindowFeatures
from longbert.encoders.heads.learned.weights import load_weights, to_safetensors
from longbert.encoders.heads.sequence_classification import (
    ClassificationHead,
    ClassificationHeads,
    ClassificationPartial,
)
from longbert.engine.compare import LabelMap, Measures, compare_labels
from longbert.records import Classification, LabelledDocument
from longbert.store.filesystem import LocalFileSystem
from longbert.training.base import (
    FeatureSource,
    FeatureWindow,
    Prediction,
    Rows,
    Trainable,
    Trainer,
    TrainingInputs,
    head_config,
    scorer_of,
)
from longbert.training.features import encode_document
from longbert.training.fit import Validation

_N_REDUCED = 192
_SAMPLED_CHARS = 20_000
_SAMPLED_DOCUMENTS = 64
_SAMPLED_TOKENS = 400
"""Of a document, for the reduction."""

_BATCH_DOCUMENTS = 32
_BATCH_WINDOWS = 8
_DRAWN_TOKENS = 256
"""Of a document, in a batch."""

_SMOOTHING = 0.05


@dataclass(frozen=True)
class TokenReader:
    """Reads the hidden states of tokens, reduced to fewer numbers.

    Attributes:
        layers: that are read, 0 the embeddings.
        reduction: from the hidden states of these layers.
    """

    layers: tuple[int, ...]
    reduction: nn.Linear
    name = "reduced"
    needs_word_shapes = False

    def read(self, states: Sequence[Tensor], batch: WindowBatch, row: int) -> Tensor:
        """The tokens that a window owns. Shape: (n_owned, n_reduced)."""
        reduced: Tensor = self.reduction(owned_states(self.layers, states, batch, row).cpu())
        return reduced

    def read_text(self, window: TokenWindow) -> WindowFeatures:
        """Nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class ClassPrediction(Prediction):
    """What a head says of a document.

    Attributes:
        classifications: as a run writes them.
    """

    classifications: tuple[Classification, ...]


@dataclass(frozen=True, slots=True)
class ClassScorer:
    """A classifier that reads stored tokens or, like any head, hidden states."""

    head: ClassificationHead
    classifier: LearnedClassifier

    def partial(self, window: FeatureWindow) -> ClassificationPartial:
        """What the head makes of a window."""
        reduced = torch.from_numpy(np.array(window.features[TokenReader.name]))
        return self.head.partial_of(self.classifier.window_features_of(reduced), window.window)


class ClassTask:
    """Classes of documents, one or several each.

    Args:
        inputs: of the training.
        reader: of the features.
        source: of the features.
    """

    weight_decay = 0.05

    def __init__(self, inputs: TrainingInputs, reader: TokenReader, source: FeatureSource) -> None:
        self.source = source
        labels = tuple(sorted({label for one in inputs.documents for label in one.labels or ()}))
        self.chooses_one = inputs.kind == "label"
        self.targets = targets_of(inputs.documents, labels)
        self.is_balanced = inputs.config.class_weights == "balanced"
        self._heads = ClassificationHeads(inputs.config.models)
        self._documents = inputs.documents
        self._reduction = reader.reduction
        self._shape = AttentionShape(n_inputs=reader.reduction.out_features, n_labels=len(labels))
        self.config = head_config(
            inputs,
            labels=labels,
            chooses_one=self.chooses_one,
            sizes={
                "layers": list(reader.layers),
                "width": inputs.width,
                "n_members": self._shape.n_members,
                "channels": self._shape.channels,
                "n_queries": self._shape.n_queries,
            },
        )

    def new_module(self) -> TokenAttention:
        """An untrained module that reads reduced tokens."""
        return TokenAttention(self._shape, dropout=0.3)

    def learner(
        self, module: Trainable[TokenAttention], *, learn: Sequence[int], validate: Sequence[int]
    ) -> ClassLearner:
        """A classifier, and the documents that it learns from and is validated on."""
        return ClassLearner(self, module, learn=learn, validate=validate)

    def run_module(self, module: TokenAttention) -> TokenAttention:
        """The module with the reduction as part of its weights."""
        return folded(module, self._reduction)

    def scorer(self, module: TokenAttention) -> ClassScorer:
        """The head that a module is, at temperature 1."""
        classifier = LearnedClassifier(module, self.config, device=torch.device("cpu"))
        return ClassScorer(self._heads.head_of(classifier, name="head"), classifier)

    def predict(
        self, scorer: ClassScorer, number: int, partials: Sequence[ClassificationPartial]
    ) -> ClassPrediction:
        """What a head says of a document."""
        logits = scorer.head.logits(scorer.head.merge(partials))
        target = self.targets[number : number + 1]
        return ClassPrediction(
            logits=logits[None],
            gold=target.argmax(axis=1) if self.chooses_one else target > 0,
            classifications=scorer.head.classify(logits),
        )

    def rescore(
        self, scorer: ClassScorer, prediction: ClassPrediction, temperature: float
    ) -> ClassPrediction:
        """What the head would have said at another temperature."""
        logits = prediction.logits[0] / np.float32(temperature)
        return replace(prediction, classifications=scorer.head.classify(logits))

    def measure(
        self, numbers: Sequence[int], predictions: Sequence[ClassPrediction]
    ) -> tuple[Measures, Calibration | None]:
        """Accuracy or F1 of labels."""
        documents = [self._documents[number] for number in numbers]
        scored = compare_labels(
            documents,
            {
                document.document_id: prediction.classifications
                for document, prediction in zip(documents, predictions, strict=True)
            },
            LabelMap({}, may_leave_out=False),
            head="head",
            is_single=self.chooses_one,
        )
        return scored.measures, scored.calibration


class ClassLearner:
    """A classifier that learns from a few tokens of each document at a time.

    That is cheap, and no batch is like another. A backbone that is trained reads one window of each
    document; stored tokens are drawn from all of it.

    Args:
        task: of the module.
        module: to be trained.
        learn, validate: numbers of documents.
    """

    def __init__(
        self,
        task: ClassTask,
        module: Trainable[TokenAttention],
        *,
        learn: Sequence[int],
        validate: Sequence[int],
    ) -> None:
        self.module = module
        self._task = task
        self._source = task.source
        self._learn = np.array(learn)
        self._validate = validate
        weights = class_weights(
            task.targets[self._learn], chooses_one=task.chooses_one, balanced=task.is_balanced
        )
        self._weights = torch.from_numpy(weights)
        self._n_documents = _BATCH_WINDOWS if self._source.runs_backbone else _BATCH_DOCUMENTS
        self.n_batches = -(-len(learn) // self._n_documents)

    def batches(self, generator: np.random.Generator) -> Iterator[Any]:
        """Documents in another order each time, as some of their tokens."""
        draw = self._draw_window if self._source.runs_backbone else self._draw_tokens
        order = generator.permutation(self._learn)
        for first in range(0, len(order), self._n_documents):
            numbers = order[first : first + self._n_documents]
            drawn = [draw(self._source.windows(number), generator) for number in numbers.tolist()]
            yield drawn, torch.from_numpy(self._task.targets[numbers])

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy with slightly smoothed labels."""
        drawn, targets = batch
        parts = iter(self._source.read(self.module, [one for of_one in drawn for one in of_one]))
        tokens = [torch.cat([next(parts) for _ in of_one]) for of_one in drawn]
        logits = self.module.head(torch.stack(tokens))
        # Every member learns by itself.
        n_members = logits.shape[1]
        targets = targets.repeat_interleave(n_members, dim=0)
        return self._loss(logits.flatten(0, 1), targets, smoothing=_SMOOTHING)

    def validate(self, module: Trainable[TokenAttention]) -> Validation:
        """Loss and accuracy on whole documents, both as a run computes them.

        For several labels a document, accuracy is that of single decisions.
        """
        scorer = scorer_of(self._task, module)
        predictions = [
            self._task.predict(scorer, number, self._source.partials(module, scorer, number))
            for number in self._validate
        ]
        logits = np.concatenate([one.logits for one in predictions])
        targets = self._task.targets[list(self._validate)]
        with torch.inference_mode():
            loss = self._loss(torch.from_numpy(logits), torch.from_numpy(targets), smoothing=0.0)
        if self._task.chooses_one:
            right = logits.argmax(axis=1) == targets.argmax(axis=1)
        else:
            right = (logits >= 0) == (targets > 0)
        return Validation(loss=float(loss), score=float(right.mean()), criterion=(-float(loss),))

    def _loss(self, logits: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
        if self._task.chooses_one:
            return functional.cross_entropy(
                logits, targets.argmax(dim=1), weight=self._weights, label_smoothing=smoothing
            )
        smoothed = targets * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(
            logits, smoothed, pos_weight=self._weights
        )

    @staticmethod
    def _draw_window(
        windows: Sequence[FeatureWindow], generator: np.random.Generator
    ) -> list[tuple[FeatureWindow, Rows]]:
        """Tokens of a window."""
        window = windows[int(generator.integers(len(windows)))]
        return [(window, generator.integers(0, window.window.n_owned, _DRAWN_TOKENS))]

    @staticmethod
    def _draw_tokens(
        windows: Sequence[FeatureWindow], generator: np.random.Generator
    ) -> list[tuple[FeatureWindow, Rows]]:
        """Tokens of a document, in order."""
        ends = np.cumsum([window.window.n_owned for window in windows])
        drawn = np.sort(generator.integers(0, ends[-1], _DRAWN_TOKENS))
        parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
        starts = [0, *ends[:-1].tolist()]
        return [
            (window, part - start)
            for window, part, start in zip(windows, parts, starts, strict=True)
        ]


def targets_of(documents: Sequence[LabelledDocument], labels: Sequence[str]) -> FloatArray:
    """1 where a document has a label. Shape: (n_documents, n_labels)."""
    places = {label: place for place, label in enumerate(labels)}
    targets = np.zeros((len(documents), len(labels)), dtype=np.float32)
    for row, document in enumerate(documents):
        targets[row, [places[label] for label in document.labels or ()]] = 1
    return targets


def class_weights(targets: FloatArray, *, chooses_one: bool, balanced: bool) -> FloatArray:
    """Weights of the loss: 1, or such that all classes weigh the same. Shape: (n_labels,).

    For one label of several the inverse of its frequency, 1 for a label as frequent as the mean;
    for several labels a document how many times more documents lack the label than have it.
    """
    n_documents, n_labels = targets.shape
    if not balanced:
        return np.ones(n_labels, dtype=np.float32)
    counts = np.maximum(targets.sum(axis=0), 1)
    weights = n_documents / (n_labels * counts) if chooses_one else n_documents / counts - 1
    return np.asarray(np.maximum(weights, 1e-3), dtype=np.float32)


def _layers(inputs: TrainingInputs) -> tuple[int, ...]:
    return inputs.config.layers or tuple(range(inputs.n_layers + 1))


def _n_reduced(inputs: TrainingInputs) -> int:
    return min(_N_REDUCED, len(_layers(inputs)) * inputs.width)


def _feature_identity(inputs: TrainingInputs) -> Mapping[str, Any]:
    return {"tokens": list(_layers(inputs)), "reduced": _n_reduced(inputs)}


def _make_reader(inputs: TrainingInputs, folder: Path) -> TokenReader:
    """The reader with its reduction, which is fitted once and kept beside the features."""
    layers, n_reduced = _layers(inputs), _n_reduced(inputs)
    file = folder / "reduction.safetensors"
    if file.is_file():
        reduction = nn.Linear(len(layers) * inputs.width, n_reduced)
        load_weights(reduction, file, name="the features")
    else:
        reduction = fit_reduction(_sample(inputs, layers), n_reduced=n_reduced)
        LocalFileSystem().write(str(file), to_safetensors(reduction.state_dict()))
    return TokenReader(layers, reduction)


def _sample(inputs: TrainingInputs, layers: Sequence[int]) -> Tensor:
    """Hidden states of some tokens of some documents. Shape: (tokens, layers * width)."""
    generator = np.random.default_rng(0)
    chosen = generator.permutation(len(inputs.documents))[:_SAMPLED_DOCUMENTS]
    head = FeatureHead(
        lambda states, batch, row: {
            "states": owned_states(layers, states, batch, row).cpu().numpy()
        },
        needs_word_shapes=False,
    )
    found = []
    for number in np.sort(chosen).tolist():
        document = inputs.documents[number]
        # The beginning of a long document, so that memory does not grow with it.
        beginning = replace(document, text=document.text[:_SAMPLED_CHARS])
        result = encode_document(inputs.loaded, head, beginning)
        states = np.concatenate([partial["states"] for partial in result.partials])
        rows = generator.permutation(len(states))[:_SAMPLED_TOKENS]
        found.append(states[np.sort(rows)])
    return torch.from_numpy(np.concatenate(found))


TRAINER = Trainer(
    score="accuracy",
    feature_identity=_feature_identity,
    make_reader=_make_reader,
    make_task=ClassTask,
)
