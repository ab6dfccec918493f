"""Counting the characters that windows span, and those under unknown tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from longbert.arrays import BoolArray, IntArray
from longbert.core.windows import Window

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_DROPPED = (REPLACEMENT, "\N{LOWER ONE EIGHTH BLOCK}")


def count_covered_chars(text: str, offsets: IntArray, windows: Sequence[Window]) -> int:
    """Characters that the windows span.

    A window spans from its first token to its last. White space and characters that
    tokenizers drop (control, format, private, unassigned, marks, U+FFFD, and U+2581, which
    SentencePiece takes for a space) between neighbouring windows, before the first and after
    the last count as spanned, too.

    Args:
        text: the document.
        offsets: character spans of its tokens. Shape: (n_tokens, 2).
        windows: in order.
    """
    covered = reached = 0
    for window in windows:
        start = int(offsets[window.start : window.stop, 0].min())
        stop = int(offsets[window.start : window.stop, 1].max())
        covered += _droppable(text, reached, start) + max(0, stop - max(start, reached))
        reached = max(reached, stop)
    return covered + _droppable(text, reached, len(text))


def count_unknown_chars(offsets: IntArray, is_unknown: BoolArray) -> int:
    """Characters under unknown tokens, each counted once.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        is_unknown: whether a token is the tokenizer's unknown token. Shape: (n_tokens,).
    """
    spans = offsets[is_unknown]
    if not len(spans):
        return 0
    reached = np.maximum.accumulate(np.concatenate([[0], spans[:-1, 1]]))
    return int(np.maximum(0, spans[:, 1] - np.maximum(spans[:, 0], reached)).sum())


def _droppable(text: str, start: int, stop: int) -> int:
    return sum(
        char.isspace() or char in _DROPPED or unicodedata.category(char)[0] in "CM"
        for char in text[start:stop]
    )
