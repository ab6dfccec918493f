"""Counting the characters that windows span, and those under unknown tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from longbert.arrays import BoolArray, IntArray
from longbert.core.text_stream import Text
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
    counter = CoveredChars()
    for window in windows:
        held = offsets[window.start : window.stop]
        counter.add(text, int(held[:, 0].min()), int(held[:, 1].max()))
    return counter.finish(text)


class CoveredChars:
    """Counts as :func:`count_covered_chars` does, window by window.

    Attributes:
        reached: the end of what has been spanned.
        passed: the end of what has been looked at: no character before it is asked for again, as
            long as no window begins before it.
    """

    def __init__(self) -> None:
        self.reached = 0
        self._n_covered = 0
        self.passed = 0
        self._n_dropped = 0

    def add(self, text: Text, start: int, stop: int) -> None:
        """Count the characters of the next window, from its first token to its last."""
        self.skip(text, start)
        self._n_covered += self._n_dropped + max(0, stop - max(start, self.reached))
        self.reached = self.passed = max(self.reached, stop)
        self._n_dropped = 0

    def skip(self, text: Text, start: int) -> None:
        """Look at characters behind which the next window begins, so that they can be released."""
        if start < self.passed:
            self.passed, self._n_dropped = self.reached, 0
        self._n_dropped += _droppable(text, self.passed, start)
        self.passed = max(self.passed, start)

    def finish(self, text: Text) -> int:
        """How many there were, once all windows have been added."""
        return self._n_covered + _droppable(text, self.reached, len(text))


def count_unknown_chars(offsets: IntArray, is_unknown: BoolArray) -> int:
    """Characters under unknown tokens, each counted once.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        is_unknown: whether a token is the tokenizer's unknown token. Shape: (n_tokens,).
    """
    counter = UnknownChars()
    counter.add(offsets, is_unknown)
    return counter.count


class UnknownChars:
    """Counts as :func:`count_unknown_chars` does, for tokens that come in pieces.

    Attributes:
        count: of what was added so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._reached = 0

    def add(self, offsets: IntArray, is_unknown: BoolArray) -> None:
        """Count the characters of the next tokens."""
        spans = offsets[is_unknown]
        reached = np.maximum.accumulate(np.append(self._reached, spans[:, 1]))
        own = np.maximum(0, spans[:, 1] - np.maximum(spans[:, 0], reached[:-1]))
        self.count += int(own.sum())
        self._reached = int(reached[-1])


def _droppable(text: Text, start: int, stop: int) -> int:
    return sum(
        char.isspace() or char in _DROPPED or unicodedata.category(char)[0] in "CM"
        for char in text[start:stop]
    )
