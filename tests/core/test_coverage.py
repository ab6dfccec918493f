"""Characters that windows span, and those under unknown tokens, counted one by one."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.coverage import (
    CoveredChars,
    UnknownChars,
    count_covered_chars,
    count_unknown_chars,
)
from longbert.core.text_stream import TextStream
from longbert.core.windows import Window, split_windows

CHARACTERS = "ab ▁é.\n\x00\u200d\u0301\ufffd\ue000\ufeff北😀\t"


@st.composite
def tokenized(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    """A text and tokens over it that begin in order, with gaps, overlaps and empty ones."""
    text = draw(st.text(CHARACTERS, min_size=1, max_size=60))
    spans = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)
    offsets = sorted(draw(st.lists(spans, min_size=1, max_size=25)))
    return text, np.array(offsets, dtype=np.int64)


def is_droppable(character: str) -> bool:
    return (
        character.isspace()
        or character in "\ufffd▁"
        or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Mc", "Me")
    )


def slow_covered(text: str, offsets: np.ndarray, windows: tuple[Window, ...]) -> int:
    spanned = set()
    for window in windows:
        tokens = offsets[window.start : window.stop].tolist()
        spanned |= set(range(min(start for start, _ in tokens), max(stop for _, stop in tokens)))
    return sum(i in spanned or is_droppable(character) for i, character in enumerate(text))


@given(tokenized(), st.integers(1, 8), st.data())
def test_covered_characters(drawn: tuple[str, np.ndarray], size: int, data: st.DataObject) -> None:
    text, offsets = drawn
    overlap = data.draw(st.integers(0, size - 1))
    windows = split_windows(len(offsets), size=size, overlap=overlap)

    assert count_covered_chars(text, offsets, windows) == slow_covered(text, offsets, windows)


@given(tokenized(), st.integers(1, 8), st.data())
def test_covered_characters_of_a_stream(
    drawn: tuple[str, np.ndarray], size: int, data: st.DataObject
) -> None:
    """The text comes in pieces and is released, and places are looked at before they count."""
    text, offsets = drawn
    windows = split_windows(len(offsets), size=size, overlap=data.draw(st.integers(0, size - 1)))
    stream = TextStream()
    counter = CoveredChars()
    for window in windows:
        spans = offsets[window.start : window.stop].tolist()
        start, stop = min(one for one, _ in spans), max(one for _, one in spans)
        while len(stream) < stop:
            n_chars = data.draw(st.integers(1, 9))
            stream.add(text[len(stream) : len(stream) + n_chars])
        if data.draw(st.booleans()):
            counter.skip(stream, data.draw(st.integers(counter.reached, len(stream))))
        counter.add(stream, start, stop)
        stream.release(counter.reached)
    stream.add(text[len(stream) :])
    assert counter.finish(stream) == count_covered_chars(text, offsets, windows)


@pytest.mark.parametrize(
    ("text", "offsets", "covered"),
    [
        ("ab cd", [[0, 2], [3, 5]], 5),
        (" \x00ab\u200d\n", [[2, 4]], 6),
        ("x ab", [[2, 4]], 3),
        ("ab x", [[0, 2]], 3),
        ("ab北cd", [[0, 2], [3, 5]], 4),
    ],
)
def test_a_visible_character_between_windows_is_missed(
    text: str, offsets: list[list[int]], covered: int
) -> None:
    windows = split_windows(len(offsets), size=1, overlap=0)
    assert count_covered_chars(text, np.array(offsets), windows) == covered


@given(tokenized(), st.data())
def test_unknown_characters(drawn: tuple[str, np.ndarray], data: st.DataObject) -> None:
    _, offsets = drawn
    flags = st.lists(st.booleans(), min_size=len(offsets), max_size=len(offsets))
    is_unknown = np.array(data.draw(flags))

    expected = {
        character
        for (start, stop), unknown in zip(offsets.tolist(), is_unknown, strict=True)
        for character in range(start, stop)
        if unknown
    }
    assert count_unknown_chars(offsets, is_unknown) == len(expected)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(offsets)), max_size=5)))
    stream = UnknownChars()
    for held, flags_held in zip(np.split(offsets, cuts), np.split(is_unknown, cuts), strict=True):
        stream.add(held, flags_held)
    assert stream.count == len(expected)
