"""Entities of whole documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor
from typing_extensions import override

from longbert.arrays import FloatArray
from longbert.config import ModelConfig
from longbert.core.crf import decode_crf, ends_at_line_breaks, masked_emissions
from longbert.core.entity_decoding import decode_entities
from longbert.core.scores import softmax
from longbert.core.stitching import ScoredRun, kept_tokens, stitch_scores
from longbert.core.tag_scheme import TagScheme
from longbert.core.windows import Window
from longbert.encoders.batch import WindowBatch
from longbert.encoders.heads.base import Head, HeadResult, check_finite
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

    def content_logits(self, states: Sequence[Tensor], batch: WindowBatch) -> Iterator[FloatArray]:
        """Logits of the content tokens of each window. Shape of each: (n_tokens, n_labels)."""


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

    def content_logits(self, states: Sequence[Tensor], batch: WindowBatch) -> Iterator[FloatArray]:
        """Logits of the content tokens of each window."""
        logits = self._model.logits(states[-1], batch).numpy()
        for row, window in enumerate(batch.windows):
            first = batch.content_starts[row]
            yield logits[row, first : first + len(window.ids)]


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
        self._scheme = TagScheme.from_id2label(tagger.id2label, source=name)
        self.name = name
        self.digest = tagger.digest
        self.needs_all_layers = tagger.needs_all_layers
        self.needs_word_shapes = tagger.needs_word_shapes
        self.passage_tokens: int | None = None
        self.settings: Mapping[str, Any] = {
            "strategy": strategy,
            "stitching": stitching,
            "decoding": decoding,
            "scheme": self._scheme.name,
        }

    def partials(self, states: Sequence[Tensor], batch: WindowBatch) -> list[EntityPartial]:
        """Label scores of those tokens of each window that the stitching asks for."""
        partials = []
        for token_window, logits in zip(
            batch.windows, self.tagger.content_logits(states, batch), strict=True
        ):
            partials.append(self.partial_of(logits, token_window.window))
        return partials

    def partial_of(self, logits: FloatArray, window: Window) -> EntityPartial:
        """The partial of one window from the logits of all its content tokens."""
        start, stop = kept_tokens(window, stitching=self._stitching)
        kept = logits[start - window.start : stop - window.start]
        # Emissions are no probabilities before they are seen as a sequence.
        scores = softmax(kept) if self.tagger.transitions is None else kept
        return EntityPartial((ScoredRun(start, scores),))

    def merge(self, partials: Sequence[EntityPartial]) -> EntityPartial:
        """Windows one after the other."""
        return EntityPartial(tuple(run for partial in partials for run in partial.runs))

    def finish(self, text: str, tokens: TokenizedText, partial: EntityPartial) -> HeadResult:
        """Stitch, then decode once over the whole document."""
        if self.tagger.transitions is not None:
            scored = self.decode_crf(text, tokens, partial)
            return HeadResult(entities=self.entities(text, [span for span, _ in scored]))
        scores = stitch_scores(partial.runs, stitching=self._stitching)
        check_finite(scores)
        spans = decode_entities(
            scores,
            tokens.offsets,
            tokens.starts_word,
            text=text,
            scheme=self._scheme,
            strategy=self._strategy,
            decoding=self._decoding,
        )
        return HeadResult(entities=self.entities(text, spans))

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
            masked_emissions(emissions, stops, self._scheme),
            tokens.offsets,
            tokens.starts_word,
            text=text,
            scheme=self._scheme,
            transitions=replace(self._scheme.transitions(), scores=self.tagger.transitions),
            temperature=self.tagger.temperature,
        )

    def entities(self, text: str, found: Sequence[ScoredSpan]) -> tuple[Entity, ...]:
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
