"""From labelled spans of characters to labels of tokens, the way back from decoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from longbert.arrays import BoolArray, IntArray
from longbert.core.tag_scheme import OUTSIDE
from longbert.core.words import first_tokens, word_spans
from longbert.records import LabelledSpan


def bio_labels(types: Iterable[str]) -> tuple[str, ...]:
    """The labels of a BIO scheme: ``O``, then B and I of each type, sorted by name."""
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted(set(types)) for prefix in "BI"))


def tag_tokens(
    spans: Iterable[LabelledSpan],
    offsets: IntArray,
    starts_word: BoolArray,
    *,
    labels: Sequence[str],
) -> IntArray:
    """The label of each token's word: B for an entity's first word, I for the others.

    A word belongs to the entity with which it shares a character, to the first of several. So a
    span that begins or ends within a word is widened to it, which is what whole words allow.

    Args:
        spans: of the entities; not overlapping.
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts_word: Shape: (n_tokens,).
        labels: of the scheme, see :func:`bio_labels`; spans of other types are left out.

    Returns:
        Indices into ``labels``. Shape: (n_tokens,).
    """
    index = {label: number for number, label in enumerate(labels)}
    outside = index[OUTSIDE]
    tags = np.full(len(offsets), outside, dtype=np.int64)
    if not len(offsets):
        return tags
    words = first_tokens(starts_word)
    word_tags = np.full(len(words), outside, dtype=np.int64)
    begins, ends = word_spans(offsets, words)
    # Words of a rewritten text may step back; these bounds do not, so they can be searched.
    least_begins = np.minimum.accumulate(begins[::-1])[::-1]
    greatest_ends = np.maximum.accumulate(ends)
    for span in sorted(spans):
        if f"B-{span.label}" not in index:
            continue
        first = int(np.searchsorted(greatest_ends, span.char_start, side="right"))
        stop = int(np.searchsorted(least_begins, span.char_end, side="left"))
        inside = first + np.flatnonzero(
            (begins[first:stop] < span.char_end)
            & (ends[first:stop] > span.char_start)
            & (word_tags[first:stop] == outside)
        )
        word_tags[inside[1:]] = index[f"I-{span.label}"]
        word_tags[inside[:1]] = index[f"B-{span.label}"]
    return np.repeat(word_tags, np.diff(words, append=len(offsets)))
