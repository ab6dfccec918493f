"""Entities from the emissions and transitions of a conditional random field (Lafferty et al. 2001).

The emissions of a word are no probabilities by themselves, so decoding and scores go by whole
sequences and whole entities.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from longbert.arrays import AnyFloatArray, BoolArray, FloatArray, IntArray
from longbert.core.entity_decoding import EntitySpan, TagScheme, entity_runs
from longbert.core.scores import softmax
from longbert.core.viterbi import Transitions, ViterbiDecoder
from longbert.core.words import first_tokens, word_spans

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
    scheme: TagScheme,
    transitions: Transitions,
    temperature: float,
) -> list[tuple[EntitySpan, FloatArray]]:
    """Read entities off the best sequence of labels of a whole document.

    The first token of a word decides for it. An entity's score is the probability of its type
    against every other type and against none, given its borders and the words around it: the
    softmax, at the temperature, over what the sequence would score with each of them in its place.

    Args:
        emissions: of tokens. Shape: (n_tokens, n_labels).
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts_word: whether a token begins a word. Shape: (n_tokens,).
        scheme: BIO.
        transitions: allowed and scored.
        temperature: above 0.

    Returns:
        Each entity, and the logits that its score is made of: none, then the types, sorted.
    """
    if not len(emissions):
        return []
    words = first_tokens(starts_word)
    of_words = emissions[words]
    decoder = ViterbiDecoder(transitions)
    decoder.feed(of_words)
    labels = decoder.finish()
    begins, ends = word_spans(offsets, words)
    scores = np.zeros(transitions.next.shape) if transitions.scores is None else transitions.scores
    table = np.where(transitions.next, scores, _NEVER)
    alternatives = _alternatives(scheme)
    kinds = sorted({kind for kind in scheme.types if kind is not None})
    found = []
    for first, stop in entity_runs(labels, scheme):
        if begins[first] >= ends[stop - 1]:
            continue
        logits = _span_logits(of_words, labels, first, stop, alternatives, table)
        label = str(scheme.types[labels[first]])
        score = softmax(logits / np.float32(temperature))[1 + kinds.index(label)]
        span = EntitySpan(label, int(begins[first]), int(ends[stop - 1]), float(score))
        found.append((span, logits))
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
    first: int,
    stop: int,
    alternatives: list[tuple[int, int]],
    table: AnyFloatArray,
) -> FloatArray:
    """What the sequence scores in and beside a span, with each alternative in it."""
    sums = []
    for begin, inside in alternatives:
        own = np.full(stop - first, inside)
        own[0] = begin
        total = float(emissions[np.arange(first, stop), own].sum(dtype=np.float64))
        path = [*labels[first - 1 : first].tolist(), *own.tolist()]
        after = labels[stop : stop + 1].tolist()
        # A span of another type right behind would go on; as an alternative it begins anew.
        path += after
        total += sum(float(table[a, b]) for a, b in pairwise(path))
        sums.append(total)
    return np.array(sums, dtype=np.float32)
