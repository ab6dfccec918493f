"""Spans of characters: without white space at their ends, in order, and apart from each other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np

from longbert.arrays import BoolArray, IntArray
from longbert.core.text_stream import Text

_LAST_SPACE = "\N{IDEOGRAPHIC SPACE}"
"""No character after this one is white space in Unicode."""


def white_space(text: str, *, chars_at_once: int = 1 << 20) -> BoolArray:
    """Which characters are white space as ``str.isspace`` has it. Shape: (n_chars,).

    Args:
        text: of any length.
        chars_at_once: bounds the memory beside the result.
    """
    is_space = np.empty(len(text), dtype=np.bool_)
    table = _space_table()
    for start in range(0, len(text), chars_at_once):
        piece = text[start : start + chars_at_once]
        codes = np.frombuffer(piece.encode(_UTF_32, "surrogatepass"), dtype=np.uint32)
        is_space[start : start + len(piece)] = table[np.minimum(codes, len(table) - 1)]
    return is_space


def trim(text: Text, start: int, end: int) -> tuple[int, int]:
    """A span without the white space at its ends; of white space alone, nothing at its end."""
    held = text[start:end].lstrip()
    start = end - len(held)
    return start, start + len(held.rstrip())


def trim_all(text: str, spans: IntArray, is_space: BoolArray) -> IntArray:
    """Spans without the white space at their ends; see :func:`trim`.

    Args:
        text: the document.
        spans: half-open. Shape: (n, 2).
        is_space: what :func:`white_space` says of the text. Shape: (n_chars,).

    Returns:
        Shape: (n, 2).
    """
    trimmed = spans.copy()
    held = np.flatnonzero(spans[:, 0] < spans[:, 1])
    starts, ends = spans[held, 0], spans[held, 1]
    for index in held[is_space[starts] | is_space[ends - 1]].tolist():
        trimmed[index] = trim(text, int(spans[index, 0]), int(spans[index, 1]))
    return trimmed


def settle(
    text: Text, spans: Iterable[tuple[int, int]], *, reached: int = 0
) -> Iterator[tuple[int, int] | None]:
    """Give each character to the first span that claims it, and trim what is left.

    Args:
        text: the document.
        spans: half-open, in the order in which they may take characters.
        reached: the end of what earlier spans have taken.

    Yields:
        For each span, in order, what is left of it, or None if that is nothing. What is yielded is
        sorted, does not overlap, and neither begins nor ends with white space.
    """
    for span_start, span_end in spans:
        start, end = trim(text, max(span_start, reached), max(span_end, reached))
        if start < end:
            reached = end
            yield start, end
        else:
            yield None


def span_problems(text: str, spans: Iterable[tuple[int, int, str]]) -> Iterator[str]:
    """Say what is wrong with the entities of one head in one document.

    Args:
        text: the document.
        spans: start, end and text of each entity, as they stand in the table.

    Yields:
        A clause for each thing that is wrong, which holds no text of the document: a span outside
        the text, empty, with another text than its row says, with white space at either end, out of
        order, or overlapping the one before it.
    """
    previous = reached = 0
    for start, end, claimed in spans:
        what = f"the entity at {start} to {end}"
        if not 0 <= start <= end <= len(text):
            yield f"{what} is outside the text of {len(text)} characters"
            continue
        held = text[start:end]
        if not held:
            yield f"{what} is empty"
        if held != claimed:
            yield f"{what} is not that span of the text"
        if held != held.strip():
            yield f"{what} begins or ends with white space"
        if start < previous:
            yield f"{what} is not in the order of the text"
        elif start < reached:
            yield f"{what} overlaps the one before it"
        previous, reached = start, max(reached, end)


_UTF_32 = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"


@cache
def _space_table() -> BoolArray:
    """Whether each code point is white space, up to one past the last that is."""
    return np.array([chr(code).isspace() for code in range(ord(_LAST_SPACE) + 2)])
