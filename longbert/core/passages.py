"""Passages: short runs of tokens that partition a document, the unit of search."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from longbert.arrays import IntArray
from longbert.core.windows import Window
from longbert.core.words import reached_before


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
    if not len(offsets):
        return np.empty(0, dtype=np.int64)
    begins = offsets[:, 0]
    is_clear = (begins >= reached_before(offsets)) & (begins < offsets[:, 1].max())
    # A token without a character, such as one for a space, goes with the character after it.
    is_clear[1:] &= begins[1:] > np.maximum.accumulate(begins)[:-1]
    clear = np.flatnonzero(is_clear[1:]) + 1
    starts = [0]
    while True:
        full = int(np.searchsorted(clear, starts[-1] + size, side="right"))
        following = int(np.searchsorted(clear, starts[-1], side="right"))
        if starts[-1] + size >= len(offsets) or following == len(clear):
            return np.array(starts, dtype=np.int64)
        starts.append(int(clear[max(following, full - 1)]))


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
    # Tokens of a tokenizer that rewrites its text may step back; a partition may not.
    begins = np.maximum.accumulate(offsets[starts, 0])
    begins[:1] = 0
    return np.stack([begins, np.append(begins[1:], n_chars)], axis=1)


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a passage that one window owns, half-open, in tokens of the document."""

    passage: int
    start: int
    stop: int


def owned_pieces(window: Window, starts: IntArray) -> Iterator[Piece]:
    """Cut a window's owned tokens at the borders of passages.

    Args:
        window: of the document.
        starts: first token of every passage of the document.
    """
    first = int(np.searchsorted(starts, window.owned_start, side="right"))
    stop = int(np.searchsorted(starts, window.owned_stop, side="left"))
    borders = [window.owned_start, *starts[first:stop].tolist(), window.owned_stop]
    for passage, (start, end) in enumerate(pairwise(borders), start=first - 1):
        yield Piece(passage, start, end)


def passage_id(document_id: str, ordinal: int) -> int:
    """The passage's id in tables and index: 63 bits of SHA-256 of document id and ordinal.

    The same in every run; a clash is found when the index is built.
    """
    digest = hashlib.sha256(f"{ordinal}\0{document_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
