"""Entities from label scores per token, decoded once over the whole document."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.entity_stream import BestLabels, EntityStream, FoundEntity, GreedyLabels
from longbert.core.tag_scheme import TagScheme
from longbert.core.text_stream import Text
from longbert.records import ScoredSpan


def decode_entities(
    scores: FloatArray,
    offsets: IntArray,
    starts_word: BoolArray,
    *,
    text: Text,
    scheme: TagScheme,
    strategy: str,
    decoding: str = "greedy",
) -> list[ScoredSpan]:
    """Read entities off the label scores of a whole document.

    First each word gets a label: with ``simple`` every token is a word of its own; with
    ``first`` the first token of a word decides, with ``average`` the mean of its tokens'
    scores, with ``max`` the token with the highest score. With ``greedy`` decoding that is the
    word's best label, with ``viterbi`` its label in the best sequence that the scheme allows for
    the whole document. Then neighbouring words of one type are joined, unless a label begins or
    ends an entity. An entity's score is the mean over its words. Greedily decoded, these are the
    rules of the token-classification pipeline of Hugging Face transformers, and of seqeval in
    its lenient mode, extended to labels that end an entity.

    Unlike the pipeline's, an entity has no white space at its ends and shares no character with
    another: see :func:`longbert.core.spans.settle`.

    Args:
        scores: probabilities. Shape: (n_tokens, n_labels).
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts_word: whether a token begins a word. Shape: (n_tokens,).
        text: the document.
        scheme: what the labels mean.
        strategy: one of ``longbert.config.ENTITY_STRATEGIES``.
        decoding: one of ``longbert.config.ENTITY_DECODINGS``.

    Returns:
        In the order of the text.
    """
    stream = entity_stream(scheme, strategy=strategy, decoding=decoding)
    found = [*stream.add(text, scores, offsets, starts_word), *stream.finish(text)]
    return scored_spans(found)


def entity_stream(scheme: TagScheme, *, strategy: str, decoding: str) -> EntityStream:
    """As :func:`decode_entities`, for tokens that come in pieces; see :func:`scored_spans`."""
    is_greedy = decoding == "greedy"
    return EntityStream(
        scheme,
        strategy=strategy,
        labels=GreedyLabels() if is_greedy else BestLabels(scheme.transitions()),
        score_runs=_mean_scores,
    )


def scored_spans(found: Iterable[FoundEntity]) -> list[ScoredSpan]:
    """What an :func:`entity_stream` has found, with its score."""
    return [ScoredSpan(one.span, score=float(one.row)) for one in found]


def _mean_scores(
    scores: FloatArray, labels: IntArray, firsts: IntArray, stops: IntArray
) -> FloatArray:
    """The mean over its words of each run. Shape: (n_runs,)."""
    own = scores[np.arange(len(scores)), labels]
    pairs = zip(firsts.tolist(), stops.tolist(), strict=True)
    return np.array([own[first:stop].mean() for first, stop in pairs], dtype=np.float32)
