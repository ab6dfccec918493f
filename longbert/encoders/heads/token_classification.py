"""Entities of whole documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from typing_extensions import override

from longbert.arrays import FloatArray
from longbert.config import ModelConfig
from longbert.core.crf import (
    LineEnds,
    crf_spans,
    crf_stream,
    decode_crf,
    ends_at_line_breaks,
    masked_emissions,
)
from longbert.core.entity_decoding import entity_stream, scored_spans
from longbert.core.entity_stream import EntityStream, FoundEntity
from longbert.core.scores import softmax
from longbert.core.stitching import ScoredRun, Stitcher, kept_tokens, stitch_scores
from longbert.core.tag_scheme import TagScheme
from longbert.core.text_stream import Text
from longbert.core.viterbi import Transitions
from longbert.core.windows import Window
from longbert.encoders.batch import WindowBatch
from longbert.encoders.devices.base import Device
from longbert.encoders.heads.base import Head, HeadResult, check_finite, finish_at_once
from longbert.encoders.heads.detached import DetachedHead
from longbert.encoders.heads.factory import DetachedHeadFactory
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.errors import ConfigError
from longbert.records import Entity, ScoredSpan


@dataclass(frozen=True, slots=True)
class EntityPartial:
    """Label scores that windows give for their tokens, in the order of the windows."""

    runs: tuple[ScoredRun, ...]


class Tagger(Protocol):
    """What gives the tokens of a window their label logits.

    Attributes:
        id2label: labels by index.
        digest: SHA-256 of weights and settings.
        needs_all_layers, needs_word_shapes: see :class:`longbert.encoders.heads.base.Head`.
        transitions: learned scores of one label behind another, in which case logits are the
            emissions of a conditional random field; None for none. Shape: (n_labels, n_labels).
        temperature: by which the logits of entities are divided.
    """

    id2label: Mapping[int, str]
    digest: str
    transitions: FloatArray | None
    temperature: float
    needs_all_layers: bool
    needs_word_shapes: bool

    def reduce(
        self,
        states: Sequence[Tensor],
        batch: WindowBatch,
        device: Device,
        kept: Sequence[slice] | None = None,
    ) -> Any:
        """Logits on the device; see :class:`longbert.encoders.heads.base.Head`.

        Args:
            states, batch, device: as a head gets them.
            kept: content tokens of each window whose logits are asked for; None: all.
        """

    def content_logits(
        self, reduced: Any, batch: WindowBatch, kept: Sequence[slice] | None = None
    ) -> Iterator[FloatArray]:
        """Logits of content tokens of each window.

        Args:
            reduced: as :meth:`reduce` returned it, with arrays in place of tensors.
            batch, kept: the same.

        Yields:
            For each window. Shape: (n_kept, n_labels).
        """


class CheckpointTagger:
    """The head of an ``AutoModelForTokenClassification``."""

    needs_all_layers = False
    needs_word_shapes = False

    def __init__(self, model: DetachedHead) -> None:
        self._model = model
        self.id2label: Mapping[int, str] = model.id2label
        self.digest = model.digest
        self.transitions: FloatArray | None = None
        self.temperature = 1.0

    def reduce(
        self,
        states: Sequence[Tensor],
        batch: WindowBatch,
        device: Device,
        kept: Sequence[slice] | None = None,
    ) -> Tensor:
        """Logits of all positions, whichever are kept."""
        return self._model.logits(states[-1], batch, device)

    def content_logits(
        self, reduced: FloatArray, batch: WindowBatch, kept: Sequence[slice] | None = None
    ) -> Iterator[FloatArray]:
        """Logits of content tokens of each window."""
        for row, window in enumerate(batch.windows):
            first = batch.content_starts[row]
            content = reduced[row, first : first + len(window.ids)]
            yield content if kept is None else content[kept[row]]


class EntityHead:
    """A tagger on windows, decoded once over the document.

    The label scores of windows are stitched to one row for each token before anything is decided,
    so that an entity across a border of windows is read whole.

    Args:
        tagger: gives the logits.
        name: as it appears in the tables.
        strategy: one of ``longbert.config.ENTITY_STRATEGIES``; with learned transitions the first
            token of a word stands for it, whose others have the same logits.
        stitching: one of ``longbert.config.ENTITY_STITCHINGS``.
        decoding: one of ``longbert.config.ENTITY_DECODINGS``; None: ``viterbi`` with learned
            transitions, else ``greedy``.

    Raises:
        ModelError: the labels are no tagging scheme.
        ConfigError: greedy decoding is asked of learned transitions.
    """

    partial_type: Any = EntityPartial

    def __init__(
        self,
        tagger: Tagger,
        *,
        name: str,
        strategy: str,
        stitching: str,
        decoding: str | None = None,
    ) -> None:
        self.tagger = tagger
        is_learned = tagger.transitions is not None
        if is_learned and decoding == "greedy":
            raise ConfigError(
                f"entity_decoding greedy reads each word by itself, but {name} has learned which "
                "labels follow each other: use viterbi, or leave it out"
            )
        strategy = "first" if is_learned else strategy
        decoding = decoding or ("viterbi" if is_learned else "greedy")
        self._strategy = strategy
        self._stitching = stitching
        self._decoding = decoding
        self.scheme = TagScheme.from_id2label(tagger.id2label, source=name)
        self.name = name
        self.digest = tagger.digest
        self.needs_all_layers = tagger.needs_all_layers
        self.needs_word_shapes = tagger.needs_word_shapes
        self.passage_tokens: int | None = None
        self.settings: Mapping[str, Any] = {
            "strategy": strategy,
            "stitching": stitching,
            "decoding": decoding,
            "scheme": self.scheme.name,
        }

    def reduce(self, states: Sequence[Tensor], batch: WindowBatch, device: Device) -> Any:
        """Logits, as the tagger has them."""
        return self.tagger.reduce(states, batch, device, self._kept_of(batch))

    def partials(self, reduced: Any, batch: WindowBatch) -> list[EntityPartial]:
        """Label scores of those tokens of each window that the stitching asks for."""
        kept = self._kept_of(batch)
        found = self.tagger.content_logits(reduced, batch, kept)
        return [
            self._partial(one.window.start + own.start, logits)
            for one, own, logits in zip(batch.windows, kept, found, strict=True)
        ]

    def partial_of(self, logits: FloatArray, window: Window) -> EntityPartial:
        """The partial of one window from the logits of all its content tokens."""
        kept = self._kept(window)
        return self._partial(window.start + kept.start, logits[kept])

    def _kept_of(self, batch: WindowBatch) -> list[slice]:
        return [self._kept(one.window) for one in batch.windows]

    def _kept(self, window: Window) -> slice:
        """Content tokens of a window whose scores the stitching asks for."""
        start, stop = kept_tokens(window, stitching=self._stitching)
        return slice(start - window.start, stop - window.start)

    def _partial(self, start: int, kept: FloatArray) -> EntityPartial:
        # Emissions are no probabilities before they are seen as a sequence.
        scores = softmax(kept) if self.tagger.transitions is None else kept
        return EntityPartial((ScoredRun(start, scores),))

    def merge(self, partials: Sequence[EntityPartial]) -> EntityPartial:
        """Windows one after the other."""
        return EntityPartial(tuple(run for partial in partials for run in partial.runs))

    def stream(self) -> EntityHeadStream:
        """Stitches and decodes as far as later windows change nothing."""
        return EntityHeadStream(self)

    def finish(self, text: str, tokens: TokenizedText, partial: EntityPartial) -> HeadResult:
        """Stitch, then decode once over the whole document."""
        return finish_at_once(self.stream(), text, tokens, partial)

    def stitcher(self) -> Stitcher:
        """Stitches the scores of windows."""
        return Stitcher(self._stitching, n_labels=len(self.scheme.types))

    def entity_stream(self) -> EntityStream:
        """Decodes stitched scores."""
        if self.tagger.transitions is not None:
            return crf_stream(self.scheme, self._transitions)
        return entity_stream(self.scheme, strategy=self._strategy, decoding=self._decoding)

    def spans(self, found: Sequence[FoundEntity]) -> list[ScoredSpan]:
        """What the decoder has found, with scores."""
        if self.tagger.transitions is None:
            return scored_spans(found)
        scored = crf_spans(found, scheme=self.scheme, temperature=self.tagger.temperature)
        return [span for span, _ in scored]

    @property
    def _transitions(self) -> Transitions:
        return replace(self.scheme.transitions(), scores=self.tagger.transitions)

    def decode_crf(
        self, text: str, tokens: TokenizedText, partial: EntityPartial
    ) -> list[tuple[ScoredSpan, FloatArray]]:
        """Entities by learned transitions, each with the logits that its score is made of.

        Raises:
            DocumentError: the model gave NaN or infinity.
        """
        emissions = stitch_scores(partial.runs, stitching=self._stitching)
        check_finite(emissions)
        stops = ends_at_line_breaks(text, tokens.offsets)
        return decode_crf(
            masked_emissions(emissions, stops, self.scheme),
            tokens.offsets,
            tokens.starts_word,
            text=text,
            scheme=self.scheme,
            transitions=self._transitions,
            temperature=self.tagger.temperature,
        )

    def entities(self, text: Text, found: Sequence[ScoredSpan]) -> tuple[Entity, ...]:
        """What was found, with its text."""
        return tuple(
            Entity(
                head=self.name,
                char_start=one.span.char_start,
                char_end=one.span.char_end,
                label=one.span.label,
                score=one.score,
                text=text[one.span.char_start : one.span.char_end],
            )
            for one in found
        )


class EntityHeadStream:
    """Entities of a document whose windows come a few at a time.

    Args:
        head: that decodes them.
    """

    def __init__(self, head: EntityHead) -> None:
        self._head = head
        self._stitcher = head.stitcher()
        self._entities = head.entity_stream()
        self._lines = None if head.tagger.transitions is None else LineEnds()
        # Of the tokens whose scores are still to come.
        self._offsets = np.empty((0, 2), dtype=np.int64)
        self._starts_word = np.empty(0, dtype=np.bool_)

    @property
    def first_char(self) -> int | None:
        """The first character that it may still ask for."""
        firsts = [
            self._entities.first_char,
            None if self._lines is None else self._lines.first_char,
        ]
        if len(self._offsets):
            firsts.append(int(self._offsets[:, 0].min()))
        return min((one for one in firsts if one is not None), default=None)

    def add(
        self, text: Text, tokens: TokenizedText, partials: Sequence[EntityPartial]
    ) -> HeadResult:
        """The entities that are certain."""
        self._offsets = np.concatenate([self._offsets, tokens.offsets])
        self._starts_word = np.concatenate([self._starts_word, tokens.starts_word])
        if not partials:
            return HeadResult()
        return self._decode(text, self._stitcher.add(self._head.merge(partials).runs))

    def finish(self, text: Text) -> HeadResult:
        """The entities that are left."""
        result = self._decode(text, self._stitcher.finish())
        return result + self._of(text, self._entities.finish(text))

    def _decode(self, text: Text, scores: FloatArray) -> HeadResult:
        check_finite(scores)
        n = len(scores)
        offsets, self._offsets = self._offsets[:n], self._offsets[n:]
        starts_word, self._starts_word = self._starts_word[:n], self._starts_word[n:]
        if self._lines is not None:
            stops = self._lines.add(text, offsets)
            scores = masked_emissions(scores, stops, self._head.scheme)
        return self._of(text, self._entities.add(text, scores, offsets, starts_word))

    def _of(self, text: Text, found: Sequence[FoundEntity]) -> HeadResult:
        return HeadResult(entities=self._head.entities(text, self._head.spans(found)))


class EntityHeads(DetachedHeadFactory):
    """Makes heads that find entities.

    Args:
        config: how windows are stitched and labels decoded.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config

    @override
    def head_of_checkpoint(self, head: DetachedHead, *, name: str) -> Head:
        return self.head_of(CheckpointTagger(head), name=name)

    def head_of(self, tagger: Tagger, *, name: str) -> EntityHead:
        """Put a tagger to use on windows, as the settings say.

        Args:
            tagger: of a checkpoint, or learned.
            name: as it appears in the tables.

        Raises:
            ModelError, ConfigError: as :class:`EntityHead` does.
        """
        return EntityHead(
            tagger,
            name=name,
            strategy=self._config.entity_strategy,
            stitching=self._config.entity_stitching,
            decoding=self._config.entity_decoding,
        )
