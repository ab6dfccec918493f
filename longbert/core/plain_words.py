"""Words of a text that no tokenizer reads: what lengths are counted in where no model runs.

A word is what white space parts. A letter of a script that is written without spaces is a word of
its own, with the marks on it and the punctuation behind it. The rule is made of fixed ranges, so it
does not depend on a version of Unicode.
"""

from __future__ import annotations

import re

import numpy as np

from longbert.arrays import IntArray

LONGEST_WORD = 100
"""Characters of a word at most; a longer one is cut, so that a text without spaces has passages."""

# Thai, Lao, Tibetan, Myanmar and Khmer; Chinese characters and their radicals, kana and Bopomofo.
_UNSPACED = (
    r"\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"
    r"\u2e80-\u2fdf\u3005-\u3007\u3021-\u302f\u3031-\u303c\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f"
    r"\U00020000-\U0003ffff"
)
_MARKS = (
    r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    r"\u0f0b-\u0f14\u0f18\u0f19\u0f35\u0f37\u0f39\u0f3e\u0f3f\u0f71-\u0f87\u0f8d-\u0fbc"
    r"\u102b-\u103e\u104a\u104b\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074"
    r"\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d6\u17dd"
    r"\u3099-\u309c\u30fc\uff70\uff9e\uff9f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
)
_CLOSING = (
    r".,:;!?)\]}\u2019\u201d\u2026"
    r"\u3001\u3002\u3009\u300b\u300d\u300f\u3011\u3015\u3017\u3019\u301b\u301e\u301f"
    r"\uff01\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\uff3d\uff5d\uff60\uff61\uff63\uff64"
)
_WORD = re.compile(
    rf"[{_UNSPACED}][{_MARKS}{_CLOSING}]{{0,{LONGEST_WORD - 1}}}"
    rf"|[^\s{_UNSPACED}]{{1,{LONGEST_WORD}}}"
)


def plain_words(text: str) -> IntArray:
    """The words of a text as half-open spans, in order and apart. Shape: (n_words, 2)."""
    return _spans([found.span() for found in _WORD.finditer(text)])


class PlainWordStream:
    """The words of :func:`plain_words` for a text that comes in pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._n_chars_before = 0

    def add(self, piece: str) -> IntArray:
        """Take the next characters; the words that no later one can change. Shape: (n, 2)."""
        self._held += piece
        spans = [found.span() for found in _WORD.finditer(self._held)]
        # The last word may go on.
        is_open = bool(spans) and spans[-1][1] == len(self._held)
        return self._take(spans[:-1] if is_open else spans, spans[-1][0] if is_open else None)

    def finish(self) -> IntArray:
        """The words that are left. Shape: (n, 2)."""
        return self._take([found.span() for found in _WORD.finditer(self._held)], None)

    def _take(self, spans: list[tuple[int, int]], held_from: int | None) -> IntArray:
        words = _spans(spans) + self._n_chars_before
        n_done = len(self._held) if held_from is None else held_from
        self._held = self._held[n_done:]
        self._n_chars_before += n_done
        return words


def _spans(spans: list[tuple[int, int]]) -> IntArray:
    return np.array(spans, dtype=np.int64).reshape(-1, 2)
