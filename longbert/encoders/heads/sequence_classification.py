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
from longbert.core.passages import SpanStream
from longbert.core.scores import LogitPool, sigmoid, softmax
from longbert.core.text_stream import Text
from longbert.core.windows import Window
from longbert.encoders.batch import WindowBatch
from longbert.encoders.devices.base import Device
from longbert.encoders.heads.base import Head, HeadResult, check_finite, finish_at_once
from longbert.encoders.heads.detached import DetachedHead
from longbert.encoders.heads.factory import DetachedHeadFactory
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.errors import ConfigError
from longbert.records import Classification, WindowScore

_MULTI_LABEL_THRESHOLD = 0.5
_NO_SPANS = np.empty((0, 2), dtype=np.int64)

BLOCK_WINDOWS = 1024
"""Windows whose sums are added up before those of others, with a learned pooling."""

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

    def reduce(self, states: Sequence[Tensor], batch: WindowBatch, device: Device) -> Any:
        """What windows say, on the device; see :class:`longbert.encoders.heads.base.Head`."""

    def window_features(self, reduced: Any, batch: WindowBatch) -> Iterator[Mapping[str, Array]]:
        """What each window says by what came back, each array with a first axis of one window."""

    def window_logits(self, window_features: Mapping[str, Array]) -> FloatArray:
        """Logits of each window by itself. Shape: (n_windows, n_labels)."""

    def combined(self, window_features: Mapping[str, Array]) -> Mapping[str, Array]:
        """What some windows say together, as if they were one, for a learned pooling."""

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

    def reduce(self, states: Sequence[Tensor], batch: WindowBatch, device: Device) -> Tensor:
        """The logits of all rows."""
        return self._model.logits(states[-1], batch, device)

    def window_features(
        self, reduced: FloatArray, batch: WindowBatch
    ) -> Iterator[Mapping[str, Array]]:
        """The logits of each window."""
        for logits in reduced[: len(batch.windows)]:
            yield {"logits": logits[None]}

    def window_logits(self, window_features: Mapping[str, Array]) -> FloatArray:
        """As they are."""
        logits: FloatArray = window_features["logits"]
        return logits

    def combined(self, window_features: Mapping[str, Array]) -> Mapping[str, Array]:
        """Never learned."""
        raise NotImplementedError

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
    partial_type: Any = ClassificationPartial

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
        self._has_window_scores = window_scores
        self.name = name
        self.digest = classifier.digest
        self.needs_all_layers = classifier.needs_all_layers
        self.settings: Mapping[str, Any] = {"pooling": self._pooling}

    def reduce(self, states: Sequence[Tensor], batch: WindowBatch, device: Device) -> Any:
        """What windows say, as the classifier has it."""
        return self.classifier.reduce(states, batch, device)

    def partials(self, reduced: Any, batch: WindowBatch) -> list[ClassificationPartial]:
        """What each window says."""
        return [
            self.partial_of(window_features, token_window.window)
            for window_features, token_window in zip(
                self.classifier.window_features(reduced, batch), batch.windows, strict=True
            )
        ]

    @staticmethod
    def partial_of(window_features: Mapping[str, Array], window: Window) -> ClassificationPartial:
        """The partial of one window."""
        return ClassificationPartial(window_features, np.array([window.n_owned]))

    def merge(self, partials: Sequence[ClassificationPartial]) -> ClassificationPartial:
        """Windows one after the other."""
        return ClassificationPartial(
            window_features=_joined([partial.window_features for partial in partials]),
            counts=np.concatenate([partial.counts for partial in partials]),
        )

    def stream(self) -> ClassificationStream:
        """Pools logits over windows, in their order."""
        return ClassificationStream(self, self._pool(), window_scores=self._has_window_scores)

    def finish(
        self, text: str, tokens: TokenizedText, partial: ClassificationPartial
    ) -> HeadResult:
        """Pool logits over windows, then score and decide."""
        return finish_at_once(self.stream(), text, tokens, partial)

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
        pool = self._pool()
        pool.add(partial)
        return pool.finish()

    def _pool(self) -> _LearnedPool | _LogitPool:
        if self._pooling == "learned":
            return _LearnedPool(self.classifier)
        return _LogitPool(self.classifier, self._pooling)

    def window_scores(self, partial: ClassificationPartial) -> Iterator[list[tuple[str, float]]]:
        """The score of every label for each window."""
        for scores in self._scores(self.classifier.window_logits(partial.window_features)):
            yield [
                (self.classifier.id2label[index], float(score))
                for index, score in enumerate(scores)
            ]

    @property
    def _chooses_one(self) -> bool:
        return self.classifier.problem_type in _SINGLE_LABEL and len(self.classifier.id2label) > 1

    def _scores(self, logits: FloatArray) -> FloatArray:
        if self.classifier.problem_type == "regression":
            return logits
        return softmax(logits) if self._chooses_one else sigmoid(logits)


class ClassificationStream:
    """Classes of a document, and on request of its windows, whose windows come a few at a time.

    Args:
        head: that scores logits.
        pool: of the document.
        window_scores: whether the result holds the scores of every window, too.
    """

    def __init__(
        self, head: ClassificationHead, pool: _LearnedPool | _LogitPool, *, window_scores: bool
    ) -> None:
        self._head = head
        self._pool = pool
        self._has_window_scores = window_scores
        # Where the tokens that no window so far owns begin.
        self._begins = np.empty(0, dtype=np.int64)
        self._spans = SpanStream()
        self._scores: list[list[tuple[str, float]]] = []
        self._n_windows = 0

    @property
    def first_char(self) -> int | None:
        """No character is asked for."""
        return None

    def add(
        self, text: Text, tokens: TokenizedText, partials: Sequence[ClassificationPartial]
    ) -> HeadResult:
        """The scores of windows that have ended."""
        if self._has_window_scores:
            self._begins = np.append(self._begins, tokens.offsets[:, 0])
        if not partials:
            return HeadResult()
        partial = self._head.merge(partials)
        self._pool.add(partial)
        if not self._has_window_scores:
            return HeadResult()
        self._scores += self._head.window_scores(partial)
        ends = np.cumsum(partial.counts)
        begins = self._begins[ends - partial.counts]
        self._begins = self._begins[int(ends[-1]) :]
        return self._of_windows(self._spans.add(begins))

    def finish(self, text: Text) -> HeadResult:
        """The classes of the document, and the scores of the last window."""
        classes = self._head.classify(self._pool.finish())
        rest = self._spans.finish(len(text)) if self._has_window_scores else _NO_SPANS
        return HeadResult(classifications=classes) + self._of_windows(rest)

    def _of_windows(self, spans: IntArray) -> HeadResult:
        ready, self._scores = self._scores[: len(spans)], self._scores[len(spans) :]
        first = self._n_windows
        self._n_windows += len(spans)
        return HeadResult(
            window_scores=tuple(
                WindowScore(self._head.name, window, start, stop, label, score)
                for window, ((start, stop), scores) in enumerate(
                    zip(spans.tolist(), ready, strict=True), start=first
                )
                for label, score in scores
            )
        )


class _LogitPool:
    """Logits of a document from those of its windows."""

    def __init__(self, classifier: Classifier, pooling: str) -> None:
        self._classifier = classifier
        self._pool = LogitPool(pooling)

    def add(self, partial: ClassificationPartial) -> None:
        logits = self._classifier.window_logits(partial.window_features)
        check_finite(logits)
        self._pool.add(logits, partial.counts)

    def finish(self) -> FloatArray:
        return self._pool.finish()


class _LearnedPool:
    """Logits of a document as they were learned: of fixed blocks of windows, then of the blocks."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._blocks: list[Mapping[str, Array]] = []
        self._held: Mapping[str, Array] = {}

    def add(self, partial: ClassificationPartial) -> None:
        held = [self._held, partial.window_features] if self._held else [partial.window_features]
        self._held = _joined(held)
        while len(next(iter(self._held.values()))) > BLOCK_WINDOWS:
            block = {name: values[:BLOCK_WINDOWS] for name, values in self._held.items()}
            self._blocks.append(self._classifier.combined(block))
            self._held = {name: values[BLOCK_WINDOWS:] for name, values in self._held.items()}

    def finish(self) -> FloatArray:
        features = self._held
        if self._blocks:
            features = _joined([*self._blocks, self._classifier.combined(features)])
        logits = self._classifier.document_logits(features)
        check_finite(logits)
        return logits


def _joined(features: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The features of some windows and of those behind them."""
    return {name: np.concatenate([one[name] for one in features]) for name in features[0]}


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
