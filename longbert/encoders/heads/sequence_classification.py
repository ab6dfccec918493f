"""Classes of whole documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from typing_extensions import override

from longbert.arrays import Array, FloatArray, IntArray
from longbert.config import ModelConfig
from longbert.core.passages import passage_spans
from longbert.core.scores import pool_logits, sigmoid, softmax
from longbert.core.windows import Window
from longbert.encoders.batch import WindowBatch
from longbert.encoders.heads.base import Head, HeadResult, check_finite
from longbert.encoders.heads.detached import DetachedHead
from longbert.encoders.heads.factory import DetachedHeadFactory
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.errors import ConfigError
from longbert.records import Classification, WindowScore

_MULTI_LABEL_THRESHOLD = 0.5
_SINGLE_LABEL = (None, "single_label_classification")


@dataclass(frozen=True, slots=True)
class ClassificationPartial:
    """What windows say of their document.

    Attributes:
        window_features: arrays by name, each with a row for each window.
        counts: tokens that each window owns. Shape: (n_windows,).
    """

    window_features: Mapping[str, Array]
    counts: IntArray


class Classifier(Protocol):
    """What gives windows and documents their logits.

    Attributes:
        id2label: labels by index.
        problem_type: as in a checkpoint's configuration.
        digest: SHA-256 of weights and settings.
        needs_all_layers: see :class:`longbert.encoders.heads.base.Head`.
        learned_pooling: whether it learned how windows become a document.
    """

    id2label: Mapping[int, str]
    problem_type: str | None
    digest: str
    needs_all_layers: bool
    learned_pooling: bool

    def window_features(
        self, states: Sequence[Tensor], batch: WindowBatch
    ) -> Iterator[Mapping[str, Array]]:
        """What each window says, each array with a first axis of one window."""

    def window_logits(self, window_features: Mapping[str, Array]) -> FloatArray:
        """Logits of each window by itself. Shape: (n_windows, n_labels)."""

    def document_logits(self, window_features: Mapping[str, Array]) -> FloatArray:
        """Logits of all windows as learned. Shape: (n_labels,)."""


class CheckpointClassifier:
    """The head of an ``AutoModelForSequenceClassification``."""

    needs_all_layers = False
    learned_pooling = False

    def __init__(self, model: DetachedHead) -> None:
        self._model = model
        self.id2label: Mapping[int, str] = model.id2label
        self.problem_type = model.problem_type
        self.digest = model.digest

    def window_features(
        self, states: Sequence[Tensor], batch: WindowBatch
    ) -> Iterator[Mapping[str, Array]]:
        """The logits of each window."""
        for logits in self._model.logits(states[-1], batch).numpy():
            yield {"logits": logits[None]}

    def window_logits(self, window_features: Mapping[str, Array]) -> FloatArray:
        """As they are."""
        logits: FloatArray = window_features["logits"]
        return logits

    def document_logits(self, window_features: Mapping[str, Array]) -> FloatArray:
        """Never learned."""
        raise NotImplementedError


class ClassificationHead:
    """A classifier on windows, its logits pooled over them.

    Scores follow the model's ``problem_type`` as the text-classification pipeline of Hugging
    Face transformers does: softmax for one label of many, sigmoid for many labels or a single
    one, the logit itself for regression.

    Args:
        classifier: gives the logits.
        name: as it appears in the tables.
        pooling: one of ``longbert.config.CLASSIFY_POOLINGS``; None: as it was learned, else mean.
        window_scores: whether the result holds the scores of every window, too.

    Raises:
        ConfigError: votes are asked of a head that does not choose one label of several, or a
            learned pooling of one that learned none.
    """

    needs_word_shapes = False
    passage_tokens: int | None = None

    def __init__(
        self,
        classifier: Classifier,
        *,
        name: str,
        pooling: str | None = None,
        window_scores: bool = False,
    ) -> None:
        self.classifier = classifier
        if pooling == "vote" and not self._chooses_one:
            raise ConfigError(
                f"classify_pooling vote needs a head that chooses one label of several, and {name} "
                "is of another kind: use mean, max or first"
            )
        if pooling == "learned" and not classifier.learned_pooling:
            raise ConfigError(
                f"classify_pooling learned needs a head made by longbert train, and {name} is a "
                "checkpoint that knows windows only: use mean, max, first, head+tail or vote"
            )
        self._pooling = pooling or ("learned" if classifier.learned_pooling else "mean")
        self._window_scores = window_scores
        self.name = name
        self.digest = classifier.digest
        self.needs_all_layers = classifier.needs_all_layers
        self.settings: Mapping[str, Any] = {"pooling": self._pooling}

    def partials(self, states: Sequence[Tensor], batch: WindowBatch) -> list[ClassificationPartial]:
        """What each window says."""
        return [
            self.partial_of(window_features, token_window.window)
            for window_features, token_window in zip(
                self.classifier.window_features(states, batch), batch.windows, strict=True
            )
        ]

    @staticmethod
    def partial_of(window_features: Mapping[str, Array], window: Window) -> ClassificationPartial:
        """The partial of one window."""
        return ClassificationPartial(window_features, np.array([window.n_owned]))

    def merge(self, partials: Sequence[ClassificationPartial]) -> ClassificationPartial:
        """Windows one after the other."""
        return ClassificationPartial(
            window_features={
                name: np.concatenate([partial.window_features[name] for partial in partials])
                for name in partials[0].window_features
            },
            counts=np.concatenate([partial.counts for partial in partials]),
        )

    def finish(
        self, text: str, tokens: TokenizedText, partial: ClassificationPartial
    ) -> HeadResult:
        """Pool logits over windows, then score and decide."""
        return HeadResult(
            classifications=self.classify(self.logits(partial)),
            window_scores=tuple(self._of_windows(text, tokens, partial)),
        )

    def classify(self, logits: FloatArray) -> tuple[Classification, ...]:
        """A row for each label from the logits of a document. Shape of these: (n_labels,)."""
        scores = self._scores(logits)
        if self.classifier.problem_type == "regression":
            predicted = np.ones(len(scores), dtype=np.bool_)
        elif self._chooses_one:
            predicted = np.arange(len(scores)) == scores.argmax()
        else:
            predicted = scores >= _MULTI_LABEL_THRESHOLD
        return tuple(
            Classification(
                head=self.name,
                label=self.classifier.id2label[index],
                score=float(score),
                predicted=bool(predicted[index]),
            )
            for index, score in enumerate(scores)
        )

    def logits(self, partial: ClassificationPartial) -> FloatArray:
        """Logits of the document from the partial of all its windows. Shape: (n_labels,).

        Raises:
            DocumentError: the model gave NaN or infinity.
        """
        if self._pooling == "learned":
            logits = self.classifier.document_logits(partial.window_features)
            check_finite(logits)
            return logits
        of_windows = self.classifier.window_logits(partial.window_features)
        check_finite(of_windows)
        return pool_logits(of_windows, partial.counts, pooling=self._pooling)

    @property
    def _chooses_one(self) -> bool:
        return self.classifier.problem_type in _SINGLE_LABEL and len(self.classifier.id2label) > 1

    def _scores(self, logits: FloatArray) -> FloatArray:
        if self.classifier.problem_type == "regression":
            return logits
        return softmax(logits) if self._chooses_one else sigmoid(logits)

    def _of_windows(
        self, text: str, tokens: TokenizedText, partial: ClassificationPartial
    ) -> Iterator[WindowScore]:
        if not self._window_scores:
            return
        starts = np.cumsum(partial.counts) - partial.counts
        spans = passage_spans(tokens.offsets, starts, len(text)).tolist()
        scores = self._scores(self.classifier.window_logits(partial.window_features))
        for window, (start, stop) in enumerate(spans):
            for index, score in enumerate(scores[window]):
                label = self.classifier.id2label[index]
                yield WindowScore(self.name, window, start, stop, label, float(score))


class ClassificationHeads(DetachedHeadFactory):
    """Makes heads that classify documents.

    Args:
        config: how windows become a document.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self.reads_ends = config.classify_pooling == "head+tail"

    @override
    def head_of_checkpoint(self, head: DetachedHead, *, name: str) -> Head:
        return self.head_of(CheckpointClassifier(head), name=name)

    def head_of(self, classifier: Classifier, *, name: str) -> ClassificationHead:
        """Put a classifier to use on windows, as the settings say.

        Args:
            classifier: of a checkpoint, or learned.
            name: as it appears in the tables.

        Raises:
            ModelError, ConfigError: as :class:`ClassificationHead` does.
        """
        return ClassificationHead(
            classifier,
            name=name,
            pooling=self._config.classify_pooling,
            window_scores=self._config.window_scores,
        )
