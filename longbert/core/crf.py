"""Entities from the emissions and transitions of a conditional random field (Lafferty et al. 2001).

The emissions of a word are no probabilities by themselves, so decoding and scores go by whole
sequences and whole entities.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from itertools import pairwise

import numpy as np

from longbert.arrays import AnyFloatArray, BoolArray, FloatArray, IntArray
from longbert.core.entity_stream import EntityStream, FoundEntity, LearnedLabels
from longbert.core.scores import softmax
from longbert.core.tag_scheme import TagScheme
from longbert.core.text_stream import Text
from longbert.core.viterbi import Transitions
from longbert.records import ScoredSpan

WRAPPED_LINE_CHARS = 50
"""A line of so many characters or more may have been broken where it was full."""

_NEVER = -1e4
_BREAK = re.compile("\n")


def ends_at_line_breaks(text: Text, offsets: IntArray) -> BoolArray:
    """Whether no entity goes on into a token, since a line ended before it.

    True for the first token of a line, unless one line break alone parts it from a line that is
    long enough to have been wrapped.

    Args:
        text: the document.
        offsets: character spans of the tokens. Shape: (n_tokens, 2).

    Returns:
        Shape: (n_tokens,).
    """
    return LineEnds().add(text, offsets)


class LineEnds:
    """Says of tokens that come in pieces what :func:`ends_at_line_breaks` does.

    Attributes:
        first_char: the first character that is still to be looked at.
    """

    def __init__(self) -> None:
        self.first_char = 0
        self._line_start = 0

    def add(self, text: Text, offsets: IntArray) -> BoolArray:
        """Look at the next tokens. Shape: (n_tokens, 2)."""
        ends = np.zeros(len(offsets), dtype=np.bool_)
        first = self.first_char
        starts = np.maximum.accumulate(np.append(first, offsets[:, 0]))[1:]
        self.first_char = int(starts[-1]) if len(starts) else first
        breaks = [first + one.start() for one in _BREAK.finditer(text[first : self.first_char])]
        tokens = np.searchsorted(starts, breaks, side="right").tolist()
        for token, (place, following) in zip(tokens, pairwise([*breaks, None]), strict=True):
            assert place is not None
            is_blank = following is not None and following < starts[token]
            if is_blank or place - self._line_start < WRAPPED_LINE_CHARS:
                ends[token] = True
            self._line_start = place + 1
        return ends


def masked_emissions(emissions: FloatArray, stops: BoolArray, scheme: TagScheme) -> FloatArray:
    """Emissions in which a label that continues an entity is never taken where one must end.

    Args:
        emissions: Shape: (n, n_labels).
        stops: Shape: (n,).
        scheme: what the labels mean.
    """
    continues = np.array([kind is not None for kind in scheme.types]) & ~np.array(scheme.begins)
    masked: FloatArray = np.where(stops[:, None] & continues, np.float32(_NEVER), emissions)
    return masked


def decode_crf(
    emissions: FloatArray,
    offsets: IntArray,
    starts_word: BoolArray,
    *,
    text: Text,
    scheme: TagScheme,
    transitions: Transitions,
    temperature: float,
) -> list[tuple[ScoredSpan, FloatArray]]:
    """Read entities off the best sequence of labels of a whole document.

    The first token of a word decides for it. An entity's score is the probability of its type
    against every other type and against none, given its borders and the words around it: the
    softmax, at the temperature, over what the sequence would score with each of them in its place.

    Args:
        emissions: of tokens. Shape: (n_tokens, n_labels).
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts_word: whether a token begins a word. Shape: (n_tokens,).
        text: the document.
        scheme: BIO.
        transitions: allowed and scored.
        temperature: above 0.

    Returns:
        Each entity, in the order of the text, and the logits that its score is made of: none, then
        the types, sorted.
    """
    stream = crf_stream(scheme, transitions)
    found = [*stream.add(text, emissions, offsets, starts_word), *stream.finish(text)]
    return crf_spans(found, scheme=scheme, temperature=temperature)


def crf_stream(scheme: TagScheme, transitions: Transitions) -> EntityStream:
    """As :func:`decode_crf`, for tokens that come in pieces; see :func:`crf_spans`."""
    scores = np.zeros(transitions.next.shape) if transitions.scores is None else transitions.scores
    table = np.where(transitions.next, scores, _NEVER)
    return EntityStream(
        scheme,
        strategy="first",
        labels=LearnedLabels(transitions),
        score_runs=partial(_span_logits, alternatives=_alternatives(scheme), table=table),
    )


def crf_spans(
    found: Iterable[FoundEntity], *, scheme: TagScheme, temperature: float
) -> list[tuple[ScoredSpan, FloatArray]]:
    """What a :func:`crf_stream` has found, with scores and the logits that they are made of."""
    kinds = sorted({kind for kind in scheme.types if kind is not None})
    scored = []
    for one in found:
        probabilities = softmax(one.row / np.float32(temperature))
        score = float(probabilities[1 + kinds.index(one.span.label)])
        scored.append((ScoredSpan(one.span, score), one.row))
    return scored


def _alternatives(scheme: TagScheme) -> list[tuple[int, int]]:
    """First and further label of a span: outside of all entities, then of each type."""
    outside = scheme.types.index(None)
    pairs = [(outside, outside)]
    for kind in sorted({kind for kind in scheme.types if kind is not None}):
        own = [index for index, other in enumerate(scheme.types) if other == kind]
        first = next(index for index in own if scheme.begins[index])
        pairs.append((first, next(index for index in own if not scheme.begins[index])))
    return pairs


def _span_logits(
    emissions: FloatArray,
    labels: IntArray,
    firsts: IntArray,
    stops: IntArray,
    *,
    alternatives: list[tuple[int, int]],
    table: AnyFloatArray,
) -> FloatArray:
    """What the sequence scores in and beside each span, with each alternative in it.

    Args:
        emissions: of words. Shape: (n_words, n_labels).
        labels: of words. Shape: (n_words,).
        firsts, stops: half-open runs of words. Shape of each: (n_spans,).
        alternatives: first and further label.
        table: what the second label scores behind the first. Shape: (n_labels, n_labels).

    Returns:
        Shape: (n_spans, n_alternatives).
    """
    logits = np.empty((len(firsts), len(alternatives)), dtype=np.float32)
    if not len(firsts):
        return logits
    lengths = stops - firsts
    # The words of all spans, one span after the other.
    begins = np.cumsum(lengths) - lengths
    words = np.arange(lengths.sum()) + np.repeat(firsts - begins, lengths)
    has_before, has_after = firsts > 0, stops < len(labels)
    before, after = labels[firsts[has_before] - 1], labels[stops[has_after]]
    for column, (begin, inside) in enumerate(alternatives):
        emitted = emissions[words, inside].astype(np.float64)
        emitted[begins] = emissions[firsts, begin]
        passed = np.zeros(len(firsts))
        passed[has_before] = table[before, begin]
        passed[lengths > 1] += table[begin, inside]
        passed += np.maximum(lengths - 2, 0) * table[inside, inside]
        passed[has_after] += table[np.where(lengths[has_after] > 1, inside, begin), after]
        logits[:, column] = np.add.reduceat(emitted, begins) + passed
    return logits
