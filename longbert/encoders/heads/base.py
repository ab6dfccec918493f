"""The one interface of all heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from longbert.arrays import AnyFloatArray, FloatMatrix, FloatVector
from longbert.encoders.batch import WindowBatch
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.errors import DocumentError
from longbert.records import Classification, Entity, WindowScore


@dataclass(frozen=True, slots=True)
class HeadResult:
    """What one head makes of one document; other heads fill other fields.

    Attributes:
        embedding: Shape: (width,).
        passage_embeddings: Shape: (n_passages, width).
    """

    embedding: FloatVector | None = None
    passage_embeddings: FloatMatrix | None = None
    entities: tuple[Entity, ...] = ()
    classifications: tuple[Classification, ...] = ()
    window_scores: tuple[WindowScore, ...] = ()


class Head(Protocol):
    """A head: a window gives a partial, partials merge, the document is finished from them.

    Partials are picklable numpy data. Merging is associative, so that the windows of a document
    may be cut into runs anywhere: ``merge([merge([a, b]), c])`` equals ``merge([a, b, c])``.

    Attributes:
        name: as it appears in the tables.
        digest: SHA-256 of weights and settings that decide on the output.
        settings: the settings among them, for people to compare.
        needs_all_layers: whether it needs the hidden states of all layers.
        needs_word_shapes: whether it needs the shapes of the words of a window.
        passage_tokens: length of the passages that it pools in windows; None if it pools none.
    """

    name: str
    digest: str
    settings: Mapping[str, Any]
    needs_all_layers: bool
    needs_word_shapes: bool
    passage_tokens: int | None

    def partials(self, states: Sequence[Tensor], batch: WindowBatch) -> Sequence[Any]:
        """Reduce hidden states to a partial for each window.

        Args:
            states: of the layers, from the embeddings up, or of the last one alone where no head
                of the pass reads more. Shape of each: (batch, positions, width).
            batch: what they were made from.
        """

    def merge(self, partials: Sequence[Any]) -> Any:
        """Join the partials of neighbouring runs of windows, given in order."""

    def finish(self, text: str, tokens: TokenizedText, partial: Any) -> HeadResult:
        """The document's result from the partial of all its windows.

        Raises:
            DocumentError: the model gave NaN or infinity.
        """


def check_finite(values: AnyFloatArray) -> None:
    """Refuse NaN and infinity, which pooling and decoding may hide.

    Raises:
        DocumentError: for the document at hand.
    """
    if not np.isfinite(values).all():
        raise DocumentError(
            "encode",
            "not_finite",
            "the model gave NaN or infinity for this document",
        )
