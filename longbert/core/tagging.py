"""From labelled spans of characters to labels of tokens, the way back from decoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from longbert.arrays import BoolArray, IntArray
from longbert.core.entity_decoding import OUTSIDE
from longbert.core.words import first_tokens, word_spans


def bio_labels(types: Iterable[str]) -> tuple[str, ...]:
    """The labels of a BIO scheme: ``O``, then B and I of each type, sorted by name."""
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted(set(types)) for prefix in "BI"))


def tag_tokens(
    spans: Iterable[tuple[int, int, str]],
    offsets: IntArray,
    starts_word: BoolArray,
    *,
    labels: Sequence[str],
) -> IntArray:
    """The label of each token's word: B for an entity's first word, I for the others.

    A word belongs to the entity with which it shares a character, to the first of several. So a
    span that begins or ends within a word is widened to it, which is what whole words allow.

    Args:
        spans: start, end and type of each entity, half-open, in code points; not overlapping.
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts_word: Shape: (n_tokens,).
        labels: of the scheme, see :func:`bio_labels`; spans of other types are left out.

    Returns:
        Indices into ``labels``. Shape: (n_tokens,).
    """
    index = {label: number for number, label in enumerate(labels)}
    tags = np.full(len(offsets), index[OUTSIDE], dtype=np.int64)
    if not len(offsets):
        return tags
    words = first_tokens(starts_word)
    word_tags = np.full(len(words), index[OUTSIDE], dtype=np.int64)
    begins, ends = word_spans(offsets, words)
    for start, end, kind in sorted(spans):
        if f"B-{kind}" not in index:
            continue
        inside = np.flatnonzero((begins < end) & (ends > start))
        inside = inside[word_tags[inside] == index[OUTSIDE]]
        word_tags[inside[1:]] = index[f"I-{kind}"]
        word_tags[inside[:1]] = index[f"B-{kind}"]
    return np.repeat(word_tags, np.diff(words, append=len(offsets)))
