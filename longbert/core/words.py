"""Words as runs of tokens."""

from __future__ import annotations

import numpy as np

from longbert.arrays import BoolArray, IntArray


def first_tokens(starts_word: BoolArray) -> IntArray:
    """The first token of each word; the first token of all always starts one.

    Args:
        starts_word: whether a token starts a word, at least one. Shape: (n_tokens,).

    Returns:
        Shape: (n_words,).
    """
    starts = starts_word.copy()
    starts[0] = True
    return np.flatnonzero(starts)


def word_spans(offsets: IntArray, firsts: IntArray) -> tuple[IntArray, IntArray]:
    """Where words begin and end: from their first token's start to their last token's end.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        firsts: first token of each word. Shape: (n_words,).

    Returns:
        Begins and ends, each of shape (n_words,).
    """
    return offsets[firsts, 0], offsets[np.append(firsts[1:], len(offsets)) - 1, 1]
