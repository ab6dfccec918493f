"""From the label scores of windows to the entities of a document, in every way there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.pipelines.token_classification import (
    AggregationStrategy,
    TokenClassificationPipeline,
)

from longbert.config import ENTITY_STITCHINGS
from longbert.core.crf import decode_crf
from longbert.core.entity_decoding import decode_entities
from longbert.core.scores import softmax
from longbert.core.stitching import ScoredRun, kept_tokens, stitch_scores
from longbert.core.tag_scheme import TagScheme
from longbert.core.windows import Window
from longbert.encoders.tokenizers.base import TokenizedText, Tokenizer
from longbert.records import LabelledSpan, ScoredSpan

Floats = npt.NDArray[np.float64]

MERGE = "transformers"
SEPARATE = "no overlap"
LEARNED = "learned"
METHODS = (
    SEPARATE,
    MERGE,
    *(
        f"{stitching}, {decoding}"
        for stitching in ENTITY_STITCHINGS
        for decoding in ("greedy", "viterbi", LEARNED)
    ),
)
"""Names of the methods: how windows are stitched, and how labels are decoded."""

_NEVER = -1e4


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """What a tagger says of the tokens of a window.

    Attributes:
        window: of the document.
        emissions: of the conditional random field. Shape: (n_tokens, n_labels).
        logits: logarithms of the probabilities that it gives the labels of each token, from this
            window alone. Shape: (n_tokens, n_labels).
    """

    window: Window
    emissions: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]


def log_marginals(emissions: npt.NDArray[Any], transitions: Floats) -> Floats:
    """Logarithms of the probability of each label of each element (forward-backward).

    A sequence may begin and end with any label, as in training.

    Args:
        emissions: Shape: (n, n_labels).
        transitions: scores of the second label behind the first, very low where that is not
            allowed. Shape: (n_labels, n_labels).

    Returns:
        Shape: (n, n_labels).
    """
    rows = emissions.astype(np.float64)
    forward, backward = rows.copy(), np.zeros_like(rows)
    for element in range(1, len(rows)):
        before = forward[element - 1][:, None] + transitions
        forward[element] += np.logaddexp.reduce(before, axis=0)
    for element in range(len(rows) - 2, -1, -1):
        after = transitions + rows[element + 1] + backward[element + 1]
        backward[element] = np.logaddexp.reduce(after, axis=1)
    found: Floats = forward + backward - np.logaddexp.reduce(forward[-1])
    return found


def token_logits(
    emissions: npt.NDArray[np.float32],
    first_tokens: npt.NDArray[np.integer[Any]],
    transitions: Floats,
) -> npt.NDArray[np.float32]:
    """Logarithms of marginals for the tokens of a window, those of a word alike.

    Args:
        emissions: of the tokens. Shape: (n_tokens, n_labels).
        first_tokens: of the window's words. Shape: (n_words,).
        transitions: see :func:`log_marginals`.
    """
    of_words = log_marginals(emissions[first_tokens], transitions).astype(np.float32)
    n_tokens: npt.NDArray[np.int64] = np.diff(first_tokens, append=len(emissions))
    return np.repeat(of_words, n_tokens, axis=0)


class Decoder:
    """Entities of documents by every method.

    Args:
        labels: of the tagger, in BIO.
        transitions: learned. Shape: (n_labels, n_labels).
        tokenizer: as transformers loads it, for its pipeline.
        own_tokenizer: the same one as longbert has it.
    """

    def __init__(
        self,
        labels: Sequence[str],
        transitions: npt.NDArray[np.float32],
        *,
        tokenizer: Any,
        own_tokenizer: Tokenizer,
    ) -> None:
        self.scheme = TagScheme.from_id2label(dict(enumerate(labels)), source="the data")
        allowed = self.scheme.transitions()
        self.table: Floats = np.where(allowed.next, transitions.astype(np.float64), _NEVER)
        self._transitions = replace(allowed, scores=transitions)
        self._merge = OverlapMerge(labels, tokenizer=tokenizer, own_tokenizer=own_tokenizer)

    def entities(
        self,
        text: str,
        tokens: TokenizedText,
        windows: Sequence[ScoredWindow],
        separate: Sequence[ScoredWindow],
    ) -> dict[str, list[LabelledSpan]]:
        """What each method finds in a document.

        Args:
            text, tokens: of the document.
            windows: overlapping.
            separate: of the same size, side by side.
        """
        found = {
            SEPARATE: self._separately(text, tokens, separate),
            MERGE: self._merge.entities(text, tokens, windows),
        }
        for stitching in ENTITY_STITCHINGS:
            scores, emissions = (
                stitch_scores(_runs(windows, values, stitching), stitching=stitching)
                for values in (
                    [softmax(one.logits) for one in windows],
                    [one.emissions for one in windows],
                )
            )
            for decoding in ("greedy", "viterbi"):
                spans = decode_entities(
                    scores,
                    tokens.offsets,
                    tokens.starts_word,
                    text=text,
                    scheme=self.scheme,
                    strategy="first",
                    decoding=decoding,
                )
                found[f"{stitching}, {decoding}"] = _labelled(spans)
            learned = decode_crf(
                emissions,
                tokens.offsets,
                tokens.starts_word,
                text=text,
                scheme=self.scheme,
                transitions=self._transitions,
                temperature=1.0,
            )
            found[f"{stitching}, {LEARNED}"] = _labelled([span for span, _ in learned])
        return found

    def _separately(
        self, text: str, tokens: TokenizedText, windows: Sequence[ScoredWindow]
    ) -> list[LabelledSpan]:
        found = []
        for one in windows:
            own = slice(one.window.start, one.window.stop)
            found += decode_entities(
                softmax(one.logits),
                tokens.offsets[own],
                tokens.starts_word[own],
                text=text,
                scheme=self.scheme,
                strategy="first",
            )
        return _labelled(found)


class OverlapMerge:
    """The token classification pipeline of transformers, from its model's logits on.

    Its own ``postprocess`` does the work: entities are read off each window, and of those that
    overlap the longest stays. The pipeline is made without a model, whose logits are given.

    Args:
        labels: of the logits.
        tokenizer: as transformers loads it.
        own_tokenizer: the same one as longbert has it.
    """

    def __init__(self, labels: Sequence[str], *, tokenizer: Any, own_tokenizer: Tokenizer) -> None:
        self._pipeline = object.__new__(TokenClassificationPipeline)
        self._pipeline.tokenizer = tokenizer
        config = SimpleNamespace(id2label=dict(enumerate(labels)))
        self._pipeline.model = SimpleNamespace(config=config)
        self._prefix, self._suffix = own_tokenizer.prefix, own_tokenizer.suffix

    def merged(
        self, text: str, tokens: TokenizedText, windows: Sequence[ScoredWindow]
    ) -> list[dict[str, Any]]:
        """The entities as the pipeline returns them."""
        found: list[dict[str, Any]] = self._pipeline.postprocess(
            [self._chunk(text, tokens, one) for one in windows],
            aggregation_strategy=AggregationStrategy.FIRST,
        )
        return found

    def entities(
        self, text: str, tokens: TokenizedText, windows: Sequence[ScoredWindow]
    ) -> list[LabelledSpan]:
        """The same as spans."""
        return [
            LabelledSpan(entity["start"], entity["end"], entity["entity_group"])
            for entity in self.merged(text, tokens, windows)
            if entity["start"] < entity["end"]
        ]

    def _chunk(self, text: str, tokens: TokenizedText, one: ScoredWindow) -> Mapping[str, Any]:
        """A window as the pipeline's ``_forward`` hands it on."""
        own = slice(one.window.start, one.window.stop)
        before, behind = len(self._prefix), len(self._suffix)
        special = np.ones(before + one.window.n_tokens + behind, dtype=np.int64)
        special[before : len(special) - behind] = 0
        logits = np.zeros((len(special), one.logits.shape[1]), dtype=np.float32)
        logits[special == 0] = one.logits
        spans = [(start, end) for start, end in tokens.offsets[own].tolist()]
        return {
            "logits": torch.from_numpy(logits)[None],
            "input_ids": [[*self._prefix, *tokens.ids[own].tolist(), *self._suffix]],
            "offset_mapping": [[(0, 0)] * before + spans + [(0, 0)] * behind],
            "special_tokens_mask": torch.from_numpy(special)[None],
            "sentence": text,
        }


def _runs(
    windows: Sequence[ScoredWindow],
    values: Sequence[npt.NDArray[np.float32]],
    stitching: str,
) -> list[ScoredRun]:
    """Those rows of each window that a stitching asks for."""
    runs = []
    for one, rows in zip(windows, values, strict=True):
        start, stop = kept_tokens(one.window, stitching=stitching)
        runs.append(ScoredRun(start, rows[start - one.window.start : stop - one.window.start]))
    return runs


def _labelled(found: Sequence[ScoredSpan]) -> list[LabelledSpan]:
    return [one.span for one in found]
