"""Ways to split the tokens of a document into the runs that are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from typing_extensions import override

from longbert.arrays import IntArray
from longbert.core.passages import PassageStream, passage_windows
from longbert.core.windows import Window, WindowStream, split_ends
from longbert.encoders.tokenizers.base import TokenizedText


class WindowPlan(Protocol):
    """Plans the runs of one document, whose tokens come in pieces."""

    def add(self, offsets: IntArray) -> list[Window]:
        """Take the next tokens; the next runs that are certain, none of them the last one.

        Shape of the offsets: (n_tokens, 2).
        """

    def finish(self) -> list[Window]:
        """The runs that are left."""


class Split(ABC):
    """A way to split documents."""

    @abstractmethod
    def plan(self) -> WindowPlan:
        """For one document."""

    def __call__(self, tokens: TokenizedText) -> tuple[Window, ...]:
        """The runs of a document that is there as a whole."""
        plan = self.plan()
        return (*plan.add(tokens.offsets), *plan.finish())


@dataclass(frozen=True, slots=True)
class Overlapping(Split):
    """Windows that overlap; see :func:`longbert.core.windows.split_windows`."""

    size: int
    overlap: int

    @override
    def plan(self) -> WindowPlan:
        return _Overlapping(WindowStream(size=self.size, overlap=self.overlap))


@dataclass(frozen=True, slots=True)
class Ends(Split):
    """The first and the last tokens; see :func:`longbert.core.windows.split_ends`."""

    size: int

    @override
    def plan(self) -> WindowPlan:
        return _Ends(self.size)


@dataclass(frozen=True, slots=True)
class Passages(Split):
    """Each passage by itself; see :func:`longbert.core.passages.passage_windows`.

    Attributes:
        passage: content tokens of a passage.
        size: content tokens of a window.
    """

    passage: int
    size: int

    @override
    def plan(self) -> WindowPlan:
        return _Passages(PassageStream(size=self.passage), size=self.size)


class _Overlapping:
    def __init__(self, stream: WindowStream) -> None:
        self._stream = stream

    def add(self, offsets: IntArray) -> list[Window]:
        return self._stream.add(len(offsets))

    def finish(self) -> list[Window]:
        return self._stream.finish()


class _Ends:
    def __init__(self, size: int) -> None:
        self._size = size
        self._n_tokens = 0

    def add(self, offsets: IntArray) -> list[Window]:
        self._n_tokens += len(offsets)
        return []

    def finish(self) -> list[Window]:
        return list(split_ends(self._n_tokens, size=self._size))


class _Passages:
    def __init__(self, stream: PassageStream, *, size: int) -> None:
        self._stream = stream
        self._size = size
        self._n_tokens = 0
        self._starts: list[int] = []

    def add(self, offsets: IntArray) -> list[Window]:
        self._n_tokens += len(offsets)
        return self._take(self._stream.add(offsets))

    def finish(self) -> list[Window]:
        return self._take([*self._stream.finish(), self._n_tokens])

    def _take(self, starts: list[int]) -> list[Window]:
        """The windows of the passages that end with one of these starts."""
        borders = [*self._starts, *starts]
        self._starts = borders[-1:]
        if len(borders) < 2:
            return []
        firsts = np.array(borders[:-1], dtype=np.int64)
        return list(passage_windows(firsts, borders[-1], size=self._size))
