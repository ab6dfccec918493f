"""Passages: short runs of tokens that partition a document, the unit of search."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from longbert.arrays import IntArray
from longbert.core.windows import Window


def passage_starts(offsets: IntArray, *, size: int) -> IntArray:
    """First token of every passage.

    A passage takes as many tokens as fit and ends with a whole character: where several tokens
    claim one character, as the bytes of a letter do, all of them belong to the passage of the first
    one. A character of more than ``size`` tokens makes a longer passage. No passage is without a
    character. Where every token has characters of its own, the passages are a grid.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        size: tokens of a passage, at least 1.

    Returns:
        Increasing, from 0. Shape: (n_passages,).
    """
    stream = PassageStream(size=size)
    starts = [*stream.add(offsets), *stream.finish()]
    return np.array(starts, dtype=np.int64)


class PassageStream:
    """The passages of :func:`passage_starts` for tokens that come in pieces.

    Args:
        size: tokens of a passage, at least 1.
    """

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._n_tokens = 0
        self._last = 0
        self._furthest_begin = -1
        self._furthest_end = 0
        # Tokens behind the last start that may begin a passage, and those that may if one that is
        # still to come reaches further than they begin, with where that is.
        self._clear = np.empty(0, dtype=np.int64)
        self._waiting = np.empty((0, 2), dtype=np.int64)

    @property
    def settled(self) -> int:
        """No start that is still to be found lies before this token."""
        held = self._clear[self._clear <= self._last + self._size]
        if len(held):
            return int(held[-1])
        return int(self._waiting[0, 0]) if len(self._waiting) else self._n_tokens

    def add(self, offsets: IntArray) -> list[int]:
        """Take the next tokens; the starts that are certain now. Shape: (n, 2)."""
        if not len(offsets):
            return []
        begins, ends = offsets[:, 0], offsets[:, 1]
        before = np.maximum.accumulate(np.append(self._furthest_begin, begins))
        reached = np.maximum.accumulate(np.append(self._furthest_end, ends))
        # A token without a character, such as one for a space, goes with the character after it.
        is_clear = (begins >= reached[:-1]) & (begins > before[:-1])
        found = np.flatnonzero(is_clear)
        places = np.stack([found + self._n_tokens, begins[found]], axis=1)
        starts = [] if self._n_tokens else [0]
        # The first passage begins with the document in any case.
        waiting = np.concatenate([self._waiting, places[places[:, 0] > 0]])
        self._n_tokens += len(offsets)
        self._furthest_begin, self._furthest_end = int(before[-1]), int(reached[-1])
        n_clear = int(np.searchsorted(waiting[:, 1], self._furthest_end, side="left"))
        self._clear = np.concatenate([self._clear, waiting[:n_clear, 0]])
        self._waiting = waiting[n_clear:]
        return [*starts, *self._found()]

    def finish(self) -> list[int]:
        """The starts that are left: behind the last character there are none."""
        self._waiting = self._waiting[:0]
        return self._found()

    def _found(self) -> list[int]:
        starts = []
        clear = self._clear
        following = 0
        while True:
            stop = self._last + self._size
            following = int(np.searchsorted(clear, self._last, side="right"))
            is_open = len(self._waiting) > 0 and self._waiting[0, 0] <= stop
            if self._n_tokens <= stop or following == len(clear) or is_open:
                break
            full = int(np.searchsorted(clear, stop, side="right"))
            self._last = int(clear[max(following, full - 1)])
            starts.append(self._last)
        self._clear = clear[following:]
        return starts


def passage_windows(starts: IntArray, n_tokens: int, *, size: int) -> tuple[Window, ...]:
    """Passages as windows of their own, for models that encode each alone.

    Args:
        starts: first token of every passage.
        n_tokens: of the document.
        size: tokens that a window holds; a longer passage has several windows, side by side.
    """
    return tuple(
        Window(first, min(first + size, stop), first, min(first + size, stop))
        for start, stop in pairwise([*starts.tolist(), n_tokens])
        for first in range(start, stop, size)
    )


def passage_spans(offsets: IntArray, starts: IntArray, n_chars: int) -> IntArray:
    """Character spans of runs of tokens, which partition ``[0, n_chars)``.

    A run begins where its first token does, so what lies between two runs (white space, characters
    that the tokenizer drops) belongs to the earlier one; the first begins with the text and the
    last ends with it.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts: first token of every run, such as :func:`passage_starts` gives. Shape: (n_runs,).
        n_chars: code points of the text.

    Returns:
        Half-open spans. Shape: (n_runs, 2).
    """
    stream = SpanStream()
    return np.concatenate([stream.add(offsets[starts, 0]), stream.finish(n_chars)])[: len(starts)]


class SpanStream:
    """The spans of :func:`passage_spans` for runs of tokens that come a few at a time.

    Attributes:
        first_char: where the last run begins, whose span ends with the next one.
    """

    def __init__(self) -> None:
        self.first_char = 0
        self._is_first = True

    def add(self, begins: IntArray) -> IntArray:
        """Take where the first tokens of the next runs begin; the spans that have ended."""
        if not len(begins):
            return np.empty((0, 2), dtype=np.int64)
        # Tokens of a tokenizer that rewrites its text may step back; a partition may not.
        borders = np.maximum.accumulate(np.append(self.first_char, begins))
        if self._is_first:
            borders = np.append(0, borders[2:])
        self._is_first = False
        self.first_char = int(borders[-1])
        return np.stack([borders[:-1], borders[1:]], axis=1)

    def finish(self, n_chars: int) -> IntArray:
        """The span of the last run, which ends with the text."""
        return np.array([[self.first_char, n_chars]], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a passage that one window owns, half-open, in tokens of the document."""

    passage: int
    start: int
    stop: int


def owned_pieces(window: Window, starts: IntArray, *, first_passage: int = 0) -> Iterator[Piece]:
    """Cut a window's owned tokens at the borders of passages.

    Args:
        window: of the document.
        starts: first token of every passage of the document, or of those that the window meets.
        first_passage: ordinal of the first of ``starts``.
    """
    first = int(np.searchsorted(starts, window.owned_start, side="right"))
    stop = int(np.searchsorted(starts, window.owned_stop, side="left"))
    borders = [window.owned_start, *starts[first:stop].tolist(), window.owned_stop]
    ordinal = first_passage + first - 1
    for passage, (start, end) in enumerate(pairwise(borders), start=ordinal):
        yield Piece(passage, start, end)


def passage_id(document_id: str, ordinal: int) -> int:
    """The passage's id in tables and index: 63 bits of SHA-256 of document id and ordinal.

    The same in every run; a clash is found when the index is built.
    """
    digest = hashlib.sha256(f"{ordinal}\0{document_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
