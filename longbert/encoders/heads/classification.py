"""Classes of whole documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from longbert.core.passages import passage_spans
from longbert.core.scores import pool_logits, sigmoid, softmax
from longbert.encoders.backbone import WindowBatch
from longbert.encoders.heads.base import HeadResult, check_finite
from longbert.encoders.heads.precomputed import HeadModel
from longbert.encoders.tokenizer import TokenizedText
from longbert.errors import ConfigError
from longbert.records import Classification, WindowScore

_MULTI_LABEL_THRESHOLD = 0.5
_SINGLE_LABEL = (None, "single_label_classification")


@dataclass(frozen=True, slots=True)
class ClassificationPartial:
    """Logits of windows.

    Attributes:
        logits: Shape: (n_windows, n_labels).
        counts: tokens that each window owns. Shape: (n_windows,).
    """

    logits: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]


class ClassificationHead:
    """An ``AutoModelForSequenceClassification`` on windows, its logits pooled over them.

    Scores follow the model's ``problem_type`` as the text-classification pipeline of Hugging
    Face transformers does: softmax for one label of many, sigmoid for many labels or a single
    one, the logit itself for regression.

    Args:
        model: the head.
        name: as it appears in the tables.
        pooling: one of ``longbert.config.CLASSIFY_POOLINGS``.
        window_scores: whether the result holds the scores of every window, too.

    Raises:
        ConfigError: votes are asked of a head that does not choose one label of several.
    """

    reads_layers = False
    reads_words = False

    def __init__(
        self, model: HeadModel, *, name: str, pooling: str, window_scores: bool = False
    ) -> None:
        self._model = model
        if pooling == "vote" and not self._chooses_one:
            raise ConfigError(
                f"classify_pooling vote needs a head that chooses one label of several, and {name} "
                "is of another kind: use mean, max or first"
            )
        self._pooling = pooling
        self._window_scores = window_scores
        self.name = name
        self.digest = model.digest
        self.settings: Mapping[str, Any] = {"pooling": pooling}

    def partials(self, states: Sequence[Tensor], batch: WindowBatch) -> list[ClassificationPartial]:
        """The logits of each window."""
        logits = self._model.logits(states[-1], batch).numpy()
        return [
            ClassificationPartial(
                logits=logits[row : row + 1], counts=np.array([token_window.window.n_owned])
            )
            for row, token_window in enumerate(batch.windows)
        ]

    def merge(self, partials: Sequence[ClassificationPartial]) -> ClassificationPartial:
        """Windows one after the other."""
        return ClassificationPartial(
            logits=np.concatenate([partial.logits for partial in partials]),
            counts=np.concatenate([partial.counts for partial in partials]),
        )

    def finish(
        self, text: str, tokens: TokenizedText, partial: ClassificationPartial
    ) -> HeadResult:
        """Pool logits over windows, then score and decide."""
        check_finite(partial.logits)
        logits = pool_logits(partial.logits, partial.counts, pooling=self._pooling)
        scores = self._scores(logits)
        if self._model.problem_type == "regression":
            predicted = np.ones(len(scores), dtype=np.bool_)
        elif self._chooses_one:
            predicted = np.arange(len(scores)) == scores.argmax()
        else:
            predicted = scores >= _MULTI_LABEL_THRESHOLD
        return HeadResult(
            classifications=tuple(
                Classification(
                    head=self.name,
                    label=self._model.id2label[index],
                    score=float(score),
                    predicted=bool(predicted[index]),
                )
                for index, score in enumerate(scores)
            ),
            window_scores=tuple(self._of_windows(text, tokens, partial)),
        )

    @property
    def _chooses_one(self) -> bool:
        return self._model.problem_type in _SINGLE_LABEL and self._model.n_labels > 1

    def _scores(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self._model.problem_type == "regression":
            return logits
        return softmax(logits) if self._chooses_one else sigmoid(logits)

    def _of_windows(
        self, text: str, tokens: TokenizedText, partial: ClassificationPartial
    ) -> Iterator[WindowScore]:
        if not self._window_scores:
            return
        starts = np.cumsum(partial.counts) - partial.counts
        spans = passage_spans(tokens.offsets, starts, len(text)).tolist()
        scores = self._scores(partial.logits)
        for window, (start, stop) in enumerate(spans):
            for index, score in enumerate(scores[window]):
                label = self._model.id2label[index]
                yield WindowScore(self.name, window, start, stop, label, float(score))
