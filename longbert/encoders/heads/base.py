"""The one interface of all heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from longbert.arrays import AnyFloatArray, FloatMatrix, FloatVector
from longbert.core.text_stream import Text
from longbert.encoders.batch import WindowBatch
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.errors import DocumentError
from longbert.records import Classification, Entity, WindowScore

if TYPE_CHECKING:
    from torch import Tensor

    from longbert.encoders.devices.base import Device


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

    def __add__(self, other: HeadResult) -> HeadResult:
        """This result, and what the same head has found behind it."""
        matrices = [
            one.passage_embeddings for one in (self, other) if one.passage_embeddings is not None
        ]
        return HeadResult(
            embedding=self.embedding if other.embedding is None else other.embedding,
            passage_embeddings=np.concatenate(matrices) if matrices else None,
            entities=self.entities + other.entities,
            classifications=self.classifications + other.classifications,
            window_scores=self.window_scores + other.window_scores,
        )


class HeadStream(Protocol):
    """Finishes a document whose tokens and windows come in order, a few at a time.

    What it gives in several results is what the head gives in one, to the bit, however tokens and
    windows are cut. It keeps only what later windows may change.
    """

    @property
    def first_char(self) -> int | None:
        """The first character that it may still ask for, of the tokens so far; None: none."""

    def add(self, text: Text, tokens: TokenizedText, partials: Sequence[Any]) -> HeadResult:
        """Take the next tokens and the partials of the next windows; the results that are certain.

        Args:
            text: up to the last of these tokens, at least.
            tokens: at least those that these windows see, where they were not given before.
            partials: of any number of windows.

        Raises:
            DocumentError: the model gave NaN or infinity.
        """

    def finish(self, text: Text) -> HeadResult:
        """The results that are left.

        Raises:
            DocumentError: the model gave NaN or infinity.
        """


class Head(Protocol):
    """A head: a window gives a partial, partials merge, the document is finished from them.

    What becomes of hidden states is computed in two steps: :meth:`reduce` on the device, where they
    are, and :meth:`partials` of what it leaves of them, in memory.

    Partials are dataclasses of numpy arrays and plain values. Merging is associative, so that the
    windows of a document may be cut into runs anywhere: ``merge([merge([a, b]), c])`` equals
    ``merge([a, b, c])``.

    Attributes:
        name: as it appears in the tables.
        digest: SHA-256 of weights and settings that decide on the output.
        settings: the settings among them, for people to compare.
        needs_all_layers: whether it needs the hidden states of all layers.
        needs_word_shapes: whether it needs the shapes of the words of a window.
        passage_tokens: length of the passages that it pools in windows; None if it pools none.
        partial_type: the type of its partials, which :func:`longbert.store.packed.unpack` takes.
    """

    name: str
    digest: str
    settings: Mapping[str, Any]
    needs_all_layers: bool
    needs_word_shapes: bool
    passage_tokens: int | None
    partial_type: Any

    def reduce(self, states: Sequence[Tensor], batch: WindowBatch, device: Device) -> Any:
        """Reduce hidden states, on the device, to what partials are made of.

        Args:
            states: of the layers, from the embeddings up, or of the last one alone where no head
                of the pass reads more. Shape of each: (rows, positions, width). Not to be kept.
            batch: what they were made from.
            device: where they are.

        Returns:
            Tensors on the device, in lists, tuples or mappings.
        """

    def partials(self, reduced: Any, batch: WindowBatch) -> Sequence[Any]:
        """A partial for each window.

        Args:
            reduced: what :meth:`reduce` has returned, with arrays in place of tensors.
            batch: the same.
        """

    def merge(self, partials: Sequence[Any]) -> Any:
        """Join the partials of neighbouring runs of windows, given in order."""

    def stream(self) -> HeadStream:
        """For a document whose windows come a few at a time."""

    def finish(self, text: str, tokens: TokenizedText, partial: Any) -> HeadResult:
        """The document's result from the partial of all its windows.

        Raises:
            DocumentError: the model gave NaN or infinity.
        """


def finish_at_once(
    stream: HeadStream, text: Text, tokens: TokenizedText, partial: Any
) -> HeadResult:
    """The result of a document that is there as a whole."""
    return stream.add(text, tokens, [partial]) + stream.finish(text)


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
