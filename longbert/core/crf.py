"""Entities from the emissions and transitions of a conditional random field (Lafferty et al. 2001).

The emissions of a word are no probabilities by themselves, so decoding and scores go by whole
sequences and whole entities.
"""

from __future__ import annotations

import numpy as np

from longbert.arrays import AnyFloatArray, BoolArray, FloatArray, IntArray
from longbert.core.entity_decoding import TagScheme, entity_runs, settled_runs
from longbert.core.scores import softmax
from longbert.core.viterbi import Transitions, ViterbiDecoder
from longbert.core.words import first_tokens, word_spans
from longbert.records import LabelledSpan, ScoredSpan

WRAPPED_LINE_CHARS = 50
"""A line of so many characters or more may have been broken where it was full."""

_NEVER = -1e4


def ends_at_line_breaks(text: str, offsets: IntArray) -> BoolArray:
    """Whether no entity goes on into a token, since a line ended before it.

    True for the first token of a line, unless one line break alone parts it from a line that is
    long enough to have been wrapped.

    Args:
        text: the document.
        offsets: character spans of the tokens. Shape: (n_tokens, 2).

    Returns:
        Shape: (n_tokens,).
    """
    ends = np.zeros(len(offsets), dtype=np.bool_)
    line_start = 0
    break_at = text.find("\n")
    starts = np.maximum.accumulate(offsets[:, 0]) if len(offsets) else offsets[:, 0]
    while break_at >= 0:
        token = int(np.searchsorted(starts, break_at, side="right"))
        if token == len(offsets):
            break
        following = text.find("\n", break_at + 1)
        is_blank = 0 <= following < int(starts[token])
        if is_blank or break_at - line_start < WRAPPED_LINE_CHARS:
            ends[token] = True
        line_start, break_at = break_at + 1, following
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
    text: str,
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
    if not len(emissions):
        return []
    words = first_tokens(starts_word)
    of_words = emissions[words]
    decoder = ViterbiDecoder(transitions)
    decoder.feed(of_words)
    labels = decoder.finish()
    scores = np.zeros(transitions.next.shape) if transitions.scores is None else transitions.scores
    table = np.where(transitions.next, scores, _NEVER)
    firsts, stops = entity_runs(labels, scheme)
    logits = _span_logits(of_words, labels, firsts, stops, _alternatives(scheme), table)
    probabilities = softmax(logits / np.float32(temperature))
    kinds = sorted({kind for kind in scheme.types if kind is not None})
    found = []
    for run, start, end in settled_runs(text, *word_spans(offsets, words), firsts, stops):
        label = str(scheme.types[labels[firsts[run]]])
        score = float(probabilities[run, 1 + kinds.index(label)])
        found.append((ScoredSpan(LabelledSpan(start, end, label), score), logits[run]))
    return found


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
