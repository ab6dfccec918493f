"""What learned modules read of a window, kept as it is for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from longbert.encoders.heads.base import HeadResult
from longbert.encoders.runtime.backbone import WindowBatch
from longbert.encoders.tokenizers.fast import TokenizedText

WindowFeatures = Mapping[str, npt.NDArray[Any]]
"""Arrays by name, each with a row for each word or token of a window."""

ReadFeatures = Callable[[Sequence[Tensor], WindowBatch, int], WindowFeatures]
"""From the hidden states of all layers, the batch and a row of it."""


class FeatureHead:
    """A head that hands out the features of windows, which training computes once.

    Args:
        read: what a module reads of a window.
        reads_words: whether it needs to know what words look like.
    """

    name = "features"
    digest = "features"
    reads_layers = True
    passage_tokens: int | None = None

    def __init__(self, read: ReadFeatures, *, reads_words: bool) -> None:
        self._read = read
        self.settings: Mapping[str, Any] = {}
        self.reads_words = reads_words

    def partials(self, states: Sequence[Tensor], batch: WindowBatch) -> list[WindowFeatures]:
        """The features of each window, copied out of the batch."""
        return [
            {name: np.array(values) for name, values in self._read(states, batch, row).items()}
            for row in range(len(batch.windows))
        ]

    def merge(self, partials: Sequence[Any]) -> Any:
        """Windows one after the other."""
        return list(partials)

    def finish(self, text: str, tokens: TokenizedText, partial: Any) -> HeadResult:
        """Nothing for the tables."""
        return HeadResult()
