"""Inputs of any size that lie nowhere: their bytes are made where they are read.

A text is drawn block by block, each from its own number, so that any place of any file can be read
without what stands before it. Words follow Zipf's law; half of all pairs of words are new.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from longbert.store.filesystem import FileInfo, LocalFileSystem

FOLDER = "/generated"
BLOCK_BYTES = 1 << 20
_N_WORDS = 50_000
_N_PLACES = 1 << 18
_LONGEST_WORD = 9
_WORDS_OF_LINE = 12
_HEAD = b'{"id": "%012d", "text": "'
_TAIL = b'"}\n'


class Content(Protocol):
    """The bytes of a file."""

    @property
    def n_bytes(self) -> int:
        """All of them."""

    def read(self, start: int, stop: int) -> bytes:
        """Some of them, at least one."""


@dataclass(frozen=True)
class Text:
    """Lines of words.

    Attributes:
        first: number of the first block.
    """

    n_bytes: int
    first: int = 0

    def read(self, start: int, stop: int) -> bytes:
        """To the end of the block at most."""
        number, inside = divmod(start, BLOCK_BYTES)
        return block(self.first + number)[inside : inside + min(stop, self.n_bytes) - start]


@dataclass(frozen=True)
class Records:
    """JSON lines, all of the same length: an id and a text.

    Attributes:
        text_bytes: of each text, a divisor of the size of a block.
    """

    n_records: int
    text_bytes: int

    @property
    def line_bytes(self) -> int:
        """Of each line, with its line break."""
        return len(_HEAD % 0) + self.text_bytes + len(_TAIL)

    @property
    def n_bytes(self) -> int:
        """Of all lines."""
        return self.n_records * self.line_bytes

    def read(self, start: int, stop: int) -> bytes:
        """Whole lines but for the first, and a mebibyte or a line of them at most."""
        first, inside = divmod(start, self.line_bytes)
        n_lines = max(1, min(stop - start, BLOCK_BYTES) // self.line_bytes)
        last = min(first + n_lines, self.n_records)
        lines = b"".join(map(self._line, range(first, last)))
        return lines[inside : inside + stop - start]

    def _line(self, number: int) -> bytes:
        place, inside = divmod(number * self.text_bytes, BLOCK_BYTES)
        text = block(place)[inside : inside + self.text_bytes].replace(b"\n", b" ")
        return _HEAD % number + text + _TAIL


class GeneratedFiles(LocalFileSystem):
    """Local files, and a folder whose files are made as they are read.

    Args:
        contents: by name, relative to the folder.
    """

    def __init__(self, contents: Mapping[str, Content]) -> None:
        self._contents = contents

    def is_folder(self, path: str) -> bool:
        return path == FOLDER or super().is_folder(path)

    def files(self, path: str) -> Iterator[FileInfo]:
        if path != FOLDER:
            yield from super().files(path)
            return
        for name, content in self._contents.items():
            yield FileInfo(f"{FOLDER}/{name}", content.n_bytes)

    def match(self, pattern: str) -> Iterator[FileInfo]:
        content = self._content(pattern)
        if content is None:
            yield from super().match(pattern)
        else:
            yield FileInfo(pattern, content.n_bytes)

    def open(self, path: str) -> BinaryIO:
        content = self._content(path)
        if content is None:
            return super().open(path)
        return io.BufferedReader(_Raw(content), BLOCK_BYTES)

    def _content(self, path: str) -> Content | None:
        return self._contents.get(path.removeprefix(f"{FOLDER}/"))


class _Raw(io.RawIOBase):
    """A file of some content, without a buffer."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._content.n_bytes}
        self._place = before[whence] + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        stop = min(self._place + len(buffer), self._content.n_bytes)
        data = self._content.read(self._place, stop) if self._place < stop else b""
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


@lru_cache(4)
def block(number: int) -> bytes:
    """A block of text, which ends with a line."""
    words, places = _vocabulary()
    draw = np.random.default_rng(number)
    # A word has six letters on average, and a space behind it.
    found = words[places[draw.integers(len(places), size=BLOCK_BYTES // 5)]]
    found[_WORDS_OF_LINE - 1 :: _WORDS_OF_LINE, -1] = ord("\n")
    letters = found.ravel()
    return letters[letters > 0][: BLOCK_BYTES - 1].tobytes() + b"\n"


@cache
def _vocabulary() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Words with a space behind each, padded with zeros, and each one's number as often as due."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(3, _LONGEST_WORD + 1, _N_WORDS)
    words = draw.integers(ord("a"), ord("z") + 1, (_N_WORDS, _LONGEST_WORD + 1), np.uint8)
    words[np.arange(_LONGEST_WORD + 1) >= lengths[:, None]] = 0
    words[:, -1] = ord(" ")
    shares = 1 / np.arange(1, _N_WORDS + 1)
    counts = np.ceil(shares / shares.sum() * _N_PLACES).astype(np.int64)
    return words, np.repeat(np.arange(_N_WORDS), counts)
