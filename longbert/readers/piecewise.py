"""Decoding a file piece by piece, in the way that :mod:`longbert.readers.decoding` decides on."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from longbert.readers.decoding import BOMS, CONTROL, ISO_2022, damaged_marked, wrong_name
from longbert.readers.encodings import is_over_ascii

PIECE_BYTES = 1 << 20
_LONGEST_ESCAPE = 4
_LONGEST_MARK = 4


class SupportsRead(Protocol):
    """A stream of bytes."""

    def read(self, n_bytes: int, /) -> bytes:
        """Read on; raises OSError."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one reading of a file tells of its encoding.

    Attributes:
        digest: SHA-256 in hexadecimal.
        beginning: as many bytes as the longest byte order mark has.
        is_utf8: whether all of it is.
        has_escapes: whether escapes of ISO 2022 are among the bytes.
    """

    digest: str
    n_bytes: int
    beginning: bytes
    is_utf8: bool
    n_zeros: int
    has_escapes: bool


@dataclass(frozen=True, slots=True)
class Codec:
    """How a file is decoded.

    Attributes:
        name: in Python.
        n_mark: bytes of the byte order mark, which are no text.
        is_named: whether the user named it, so that what it gives has to look like text.
    """

    name: str
    n_mark: int = 0
    is_named: bool = False


class DigestedStream:
    """A stream, and the digest of what was read from it."""

    def __init__(self, stream: SupportsRead) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def read(self, n_bytes: int, /) -> bytes:
        """Read on; raises OSError."""
        data = self._stream.read(n_bytes)
        self._digest.update(data)
        return data

    def hexdigest(self) -> str:
        """SHA-256 of what was read so far."""
        return self._digest.hexdigest()


def survey(stream: SupportsRead) -> Survey:
    """Read a file to its end, in bounded memory; raises OSError."""
    digested = DigestedStream(stream)
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_bytes = n_zeros = 0
    is_utf8, has_escapes = True, False
    beginning = before = b""
    while True:
        chunk = digested.read(PIECE_BYTES)
        beginning = (beginning + chunk)[:_LONGEST_MARK]
        n_bytes += len(chunk)
        n_zeros += chunk.count(0)
        # An escape may lie across two chunks.
        has_escapes = has_escapes or ISO_2022.search(before + chunk) is not None
        before = (before + chunk)[1 - _LONGEST_ESCAPE :]
        if is_utf8:
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                is_utf8 = False
        if not chunk:
            break
    return Survey(digested.hexdigest(), n_bytes, beginning, is_utf8, n_zeros, has_escapes)


def codec_of(found: Survey, *, named: str | None) -> Codec | None:
    """The codec that a whole file is decoded with; None where its text has to be looked at.

    Args:
        found: of the file.
        named: the codec that the user names, as for :func:`longbert.readers.decoding.decode`.
    """
    codec: Codec | None = None
    mark = next((one for one in BOMS if found.beginning.startswith(one[0])), None)
    if mark is not None:
        codec = Codec(mark[1], n_mark=len(mark[0]))
    elif named is not None and not is_over_ascii(named):
        codec = Codec(named, is_named=True)
    elif found.n_zeros * 4 > found.n_bytes:
        return None
    elif found.is_utf8:
        codec = None if found.has_escapes else Codec("utf-8")
    elif named is not None:
        codec = Codec(named, is_named=True)
    return codec if codec is not None and _is_incremental(codec.name) else None


def decoded_pieces(stream: SupportsRead, codec: Codec) -> Iterator[str]:
    """The text of a file, piece by piece.

    Raises:
        DocumentError: it is not in this encoding, or the name that the user gave it gives no text.
        OSError: the file system does not give the file.
    """
    decoder = codecs.getincrementaldecoder(codec.name)()
    n_before = len(stream.read(codec.n_mark))
    n_chars = n_control = 0
    while True:
        chunk = stream.read(PIECE_BYTES)
        n_waiting = len(decoder.getstate()[0])
        try:
            piece = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            place = n_before - n_waiting + error.start
            problem = wrong_name if codec.is_named else damaged_marked
            raise problem(codec.name, place) from None
        n_before += len(chunk)
        n_chars += len(piece)
        if codec.is_named:
            n_control += len(CONTROL.findall(piece))
        if piece:
            yield piece
        if not chunk:
            break
    if n_control * 20 > n_chars:
        raise wrong_name(codec.name)


def _is_incremental(name: str) -> bool:
    try:
        codecs.getincrementaldecoder(name)
    except LookupError:
        return False
    return True
