"""Numbers, names and texts as people read them."""

from __future__ import annotations

import re

_SPACES = re.compile(r"\s+")
# Control characters of both sets, line and paragraph separators, marks that turn the direction of
# writing, and halves of characters, which stand for bytes that are not UTF-8 in names of files.
_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """``1 document``, ``1,400 documents``."""
    return f"{int(number):,} {noun if number == 1 else plural or noun + 's'}"


def escaped(text: str) -> str:
    r"""Write characters that a terminal would obey as in Python, such as ``\x1b``."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """A text on one line: white space as single spaces, the rest as :func:`escaped`."""
    return escaped(_SPACES.sub(" ", text).strip())
