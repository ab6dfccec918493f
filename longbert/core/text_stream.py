"""The end of a text that comes in pieces, read by offsets of the whole."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Text(Protocol):
    """What is asked of a text: a string has it, and so has a :class:`TextStream`."""

    def __getitem__(self, key: slice, /) -> str:
        """The characters from ``start`` to ``stop``, none of them negative."""

    def __len__(self) -> int:
        """Characters of the whole; while it is being read, those read so far."""


class TextStream(Text):
    """A text of which only as much is kept as is still to be asked for."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, str]] = deque()
        self._n_chars = 0

    def __len__(self) -> int:
        return self._n_chars

    def __getitem__(self, key: slice) -> str:
        start = 0 if key.start is None else key.start
        stop = self._n_chars if key.stop is None else min(key.stop, self._n_chars)
        if start >= stop:
            return ""
        if not self._pieces or start < self._pieces[0][0]:
            raise IndexError(f"the text at {start} has been released")
        return "".join(
            piece[max(0, start - first) : stop - first]
            for first, piece in self._pieces
            if first < stop and first + len(piece) > start
        )

    def add(self, piece: str) -> None:
        """Append the next characters."""
        self._pieces.append((self._n_chars, piece))
        self._n_chars += len(piece)

    def release(self, before: int) -> None:
        """Forget pieces that end before a character; a piece is kept whole or not at all."""
        while self._pieces and self._pieces[0][0] + len(self._pieces[0][1]) <= before:
            self._pieces.popleft()
