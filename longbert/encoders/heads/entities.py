"""Entities of whole documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from longbert.core.entities import TagScheme, decode_entities
from longbert.core.scores import softmax
from longbert.encoders.backbone import WindowBatch
from longbert.encoders.heads.base import HeadResult, check_finite
from longbert.encoders.heads.precomputed import HeadModel
from longbert.encoders.tokenizer import TokenizedText
from longbert.records import Entity


@dataclass(frozen=True, slots=True)
class EntityPartial:
    """Label scores of the tokens that windows own. Shape: (n_owned, n_labels)."""

    scores: npt.NDArray[np.float32]


class EntityHead:
    """An ``AutoModelForTokenClassification`` on windows, decoded once over the document.

    Every token's label scores come from the window that owns it, so that an entity across a
    border of windows is read whole and from the side with most context.

    Args:
        model: the head.
        name: as it appears in the tables.
        strategy: one of ``longbert.config.ENTITY_STRATEGIES``.

    Raises:
        ModelError: the labels are no tagging scheme.
    """

    def __init__(self, model: HeadModel, *, name: str, strategy: str) -> None:
        self._model = model
        self._strategy = strategy
        self._scheme = TagScheme.from_id2label(model.id2label, source=name)
        self.name = name
        self.digest = model.digest
        self.settings: Mapping[str, Any] = {"strategy": strategy, "scheme": self._scheme.name}

    def partials(self, hidden: Tensor, batch: WindowBatch) -> list[EntityPartial]:
        """Label scores of each window's owned tokens."""
        logits = self._model.logits(hidden, batch).numpy()
        partials = []
        for row, token_window in enumerate(batch.windows):
            window = token_window.window
            shift = batch.content_starts[row] - window.start
            owned = logits[row, window.owned_start + shift : window.owned_stop + shift]
            partials.append(EntityPartial(softmax(owned)))
        return partials

    def merge(self, partials: Sequence[EntityPartial]) -> EntityPartial:
        """Tokens one after the other."""
        return EntityPartial(np.concatenate([partial.scores for partial in partials]))

    def finish(self, text: str, tokens: TokenizedText, partial: EntityPartial) -> HeadResult:
        """Decode once over the whole document."""
        check_finite(partial.scores)
        spans = decode_entities(
            partial.scores,
            tokens.offsets,
            tokens.starts_word,
            scheme=self._scheme,
            strategy=self._strategy,
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
