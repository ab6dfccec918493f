"""Passages: short runs of tokens that partition a document, the unit of search."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from longbert.arrays import IntArray
from longbert.core.windows import Window


def passage_starts(n_tokens: int, *, size: int) -> IntArray:
    """First token of every passage; a passage holds ``size`` tokens, the last one the rest.

    A fixed grid, so that the passages of a segment are known without the segments before it.
    """
    return np.arange(0, n_tokens, size, dtype=np.int64)


def passage_windows(n_tokens: int, *, size: int) -> tuple[Window, ...]:
    """Passages as windows of their own, for models that encode each alone."""
    ranges = [(start, min(start + size, n_tokens)) for start in range(0, n_tokens, size)]
    return tuple(Window(start, stop, start, stop) for start, stop in ranges)


def passage_spans(offsets: IntArray, starts: IntArray, n_chars: int) -> IntArray:
    """Character spans of passages, which partition ``[0, n_chars)``.

    A passage begins where its first token does, so what lies between two passages (white
    space, characters that the tokenizer drops) belongs to the earlier one; the first begins
    with the text and the last ends with it.

    Args:
        offsets: character spans of the tokens. Shape: (n_tokens, 2).
        starts: first token of every passage. Shape: (n_passages,).
        n_chars: code points of the text.

    Returns:
        Half-open spans. Shape: (n_passages, 2).
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


def owned_pieces(window: Window, *, size: int) -> Iterable[Piece]:
    """Cut a window's owned tokens at the borders of passages of ``size`` tokens."""
    start = window.owned_start
    while start < window.owned_stop:
        passage = start // size
        stop = min((passage + 1) * size, window.owned_stop)
        yield Piece(passage, start, stop)
        start = stop


def passage_id(document_id: str, ordinal: int) -> int:
    """The passage's id in tables and index: 63 bits of SHA-256 of document id and ordinal.

    The same in every run; a clash is found when the index is built.
    """
    digest = hashlib.sha256(f"{ordinal}\0{document_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
