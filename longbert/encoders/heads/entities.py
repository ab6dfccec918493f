"""Entities of whole documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from longbert.core.entities import TagScheme, decode_entities
from longbert.core.scores import softmax
from longbert.core.stitching import ScoredRun, kept_tokens, stitch_scores
from longbert.encoders.backbone import WindowBatch
from longbert.encoders.heads.base import HeadResult, check_finite
from longbert.encoders.heads.precomputed import HeadModel
from longbert.encoders.tokenizer import TokenizedText
from longbert.records import Entity


@dataclass(frozen=True, slots=True)
class EntityPartial:
    """Label scores that windows give for their tokens, in the order of the windows."""

    runs: tuple[ScoredRun, ...]


class EntityHead:
    """An ``AutoModelForTokenClassification`` on windows, decoded once over the document.

    The label scores of windows are stitched to one row for each token before anything is decided,
    so that an entity across a border of windows is read whole.

    Args:
        model: the head.
        name: as it appears in the tables.
        strategy: one of ``longbert.config.ENTITY_STRATEGIES``.
        stitching: one of ``longbert.config.ENTITY_STITCHINGS``.
        decoding: one of ``longbert.config.ENTITY_DECODINGS``.

    Raises:
        ModelError: the labels are no tagging scheme.
    """

    def __init__(
        self, model: HeadModel, *, name: str, strategy: str, stitching: str, decoding: str
    ) -> None:
        self._model = model
        self._strategy = strategy
        self._stitching = stitching
        self._decoding = decoding
        self._scheme = TagScheme.from_id2label(model.id2label, source=name)
        self.name = name
        self.digest = model.digest
        self.settings: Mapping[str, Any] = {
            "strategy": strategy,
            "stitching": stitching,
            "decoding": decoding,
            "scheme": self._scheme.name,
        }

    def partials(self, hidden: Tensor, batch: WindowBatch) -> list[EntityPartial]:
        """Label scores of those tokens of each window that the stitching asks for."""
        logits = self._model.logits(hidden, batch).numpy()
        partials = []
        for row, token_window in enumerate(batch.windows):
            start, stop = kept_tokens(token_window.window, stitching=self._stitching)
            shift = batch.content_starts[row] - token_window.window.start
            scores = softmax(logits[row, start + shift : stop + shift])
            partials.append(EntityPartial((ScoredRun(start, scores),)))
        return partials

    def merge(self, partials: Sequence[EntityPartial]) -> EntityPartial:
        """Windows one after the other."""
        return EntityPartial(tuple(run for partial in partials for run in partial.runs))

    def finish(self, text: str, tokens: TokenizedText, partial: EntityPartial) -> HeadResult:
        """Stitch, then decode once over the whole document."""
        scores = stitch_scores(partial.runs, len(tokens), stitching=self._stitching)
        check_finite(scores)
        spans = decode_entities(
            scores,
            tokens.offsets,
            tokens.starts_word,
            scheme=self._scheme,
            strategy=self._strategy,
            decoding=self._decoding,
        )
        return HeadResult(
            entities=tuple(
                Entity(
                    head=self.name,
                    char_start=span.char_start,
                    char_end=span.char_end,
                    label=span.label,
                    score=span.score,
                    text=text[span.char_start : span.char_end],
                )
                for span in spans
            )
        )
