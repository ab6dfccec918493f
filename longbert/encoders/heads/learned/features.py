"""What learned modules read of a window, kept as it is for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from longbert.arrays import Array
from longbert.core.text_stream import Text
from longbert.encoders.batch import WindowBatch
from longbert.encoders.devices.base import Device
from longbert.encoders.heads.base import HeadResult, HeadStream
from longbert.encoders.tokenizers.base import TokenizedText

WindowFeatures = Mapping[str, Array]
"""Arrays by name, each with a row for each word or token of a window."""

ReadFeatures = Callable[[Sequence[Tensor], WindowBatch, int], Mapping[str, Any]]
"""Arrays or tensors, from the hidden states of all layers, the batch and a row of it."""


class FeatureHead:
    """A head that hands out the features of windows, which training computes once.

    Args:
        read: what a module reads of a window.
        needs_word_shapes: whether it needs to know what words look like.
    """

    name = "features"
    digest = "features"
    needs_all_layers = True
    passage_tokens: int | None = None
    partial_type: Any = Mapping[str, Any]

    def __init__(self, read: ReadFeatures, *, needs_word_shapes: bool) -> None:
        self._read = read
        self.settings: Mapping[str, Any] = {}
        self.needs_word_shapes = needs_word_shapes

    def reduce(
        self, states: Sequence[Tensor], batch: WindowBatch, device: Device
    ) -> list[Mapping[str, Any]]:
        """The features of each window, some of them on the device, apart from its batch."""
        return [
            {name: _alone(values) for name, values in self._read(states, batch, row).items()}
            for row in range(len(batch.windows))
        ]

    def partials(
        self, reduced: Sequence[WindowFeatures], batch: WindowBatch
    ) -> list[WindowFeatures]:
        """The features of each window."""
        return list(reduced)

    def merge(self, partials: Sequence[Any]) -> Any:
        """Windows one after the other."""
        return list(partials)

    def stream(self) -> HeadStream:
        """Nothing for the tables."""
        return _NoStream()

    def finish(self, text: str, tokens: TokenizedText, partial: Any) -> HeadResult:
        """Nothing for the tables."""
        return HeadResult()


def _alone(values: Any) -> Any:
    """A copy of what is a view, which would keep the states of a whole batch in memory."""
    if isinstance(values, Tensor):
        return values.clone() if values.untyped_storage().nbytes() > values.nbytes else values
    return values if values.base is None else np.array(values)


class _NoStream:
    first_char: int | None = None

    def add(self, text: Text, tokens: TokenizedText, partials: Sequence[Any]) -> HeadResult:
        return HeadResult()

    def finish(self, text: Text) -> HeadResult:
        return HeadResult()
