"""Encodings that the user names, for all files or for some."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from encodings.aliases import aliases

from longbert.errors import ConfigError, nearest
from longbert.records import InputFile
from longbert.store.globs import path_matches

SUPERSETS: Mapping[str, str] = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "shift_jis_2004": "cp932",
    "euc_jis_2004": "euc_jp",
    "euc_kr": "cp949",
    "big5": "cp950",
}
"""What an encoding is read as: the larger one that the WHATWG's Encoding Standard gives browsers,
since many files that are said to be in the smaller one use more."""

_NO_ENCODINGS_OF_FILES = ("unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined")
_PRINTABLE_ASCII = bytes(range(0x20, 0x7F))
# They look like ASCII, but some of its characters begin an escape.
_WITH_ESCAPES = ("iso2022", "hz", "utf-7")


@dataclass(frozen=True, slots=True)
class NamedEncoding:
    """An encoding for the files that a glob matches.

    Attributes:
        codec: its name in Python.
        glob: of ids or paths; empty for all files.
    """

    codec: str
    glob: str = ""

    def fits(self, file: InputFile) -> bool:
        """Whether it is meant for a file."""
        if not self.glob:
            return True
        return path_matches(file.document_id, self.glob) or path_matches(file.path, self.glob)


def parse_encodings(values: Iterable[str]) -> tuple[NamedEncoding, ...]:
    """Parse ``NAME`` or ``GLOB=NAME``, each.

    Raises:
        ConfigError: Python knows no encoding of that name.
    """
    return tuple(_parse(value) for value in values)


def named_encoding(file: InputFile, encodings: Sequence[NamedEncoding]) -> str | None:
    """The encoding that was named for a file: by the last glob that fits, else for all files."""
    fitting = [one for one in encodings if one.fits(file)]
    with_glob = [one for one in fitting if one.glob]
    return next((one.codec for one in reversed(with_glob or fitting)), None)


def is_over_ascii(codec: str) -> bool:
    """Whether bytes below 128 stand for ASCII, so that UTF-8 can be told from it."""
    if codec.startswith(_WITH_ESCAPES):
        return False
    try:
        return _PRINTABLE_ASCII.decode(codec) == _PRINTABLE_ASCII.decode("ascii")
    except UnicodeDecodeError:
        return False


def _parse(value: str) -> NamedEncoding:
    glob, _, name = value.rpartition("=")
    try:
        codec = codecs.lookup(name.strip()).name
        _check_is_of_text(codec)
    except (LookupError, ValueError):
        codec = ""
    if not codec or codec.replace("-", "_") in _NO_ENCODINGS_OF_FILES:
        known = sorted({*aliases, *aliases.values()})
        raise ConfigError(
            "encoding must be NAME or GLOB=NAME with an encoding that Python knows, such as "
            f"cp1252 or '*.log=utf-16-le', got {value!r}{nearest(name, known)}"
        )
    return NamedEncoding(SUPERSETS.get(codec, codec), glob)


def _check_is_of_text(codec: str) -> None:
    """Raise LookupError for codecs such as base64, which Python decodes in another way."""
    with contextlib.suppress(UnicodeDecodeError):
        b"a".decode(codec)
