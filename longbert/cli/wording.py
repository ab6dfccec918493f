"""Numbers as people read them."""

from __future__ import annotations


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """``1 document``, ``1,400 documents``."""
    return f"{int(number):,} {noun if number == 1 else plural or noun + 's'}"
