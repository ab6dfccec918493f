"""Numbers and texts as people read them."""

from __future__ import annotations

import re

_NOT_PRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """``1 document``, ``1,400 documents``."""
    return f"{int(number):,} {noun if number == 1 else plural or noun + 's'}"


def printable(text: str) -> str:
    """On one line, without control characters that a terminal would obey."""
    return _NOT_PRINTABLE.sub(" ", text).strip()
