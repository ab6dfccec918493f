"""A text in pieces, read by offsets of the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.text_stream import TextStream


@given(st.lists(st.text("ab\n北😀", max_size=6), max_size=8), st.data())
def test_slices_are_those_of_the_whole(pieces: list[str], data: st.DataObject) -> None:
    stream = TextStream()
    for piece in pieces:
        stream.add(piece)
    whole = "".join(pieces)
    released = data.draw(st.integers(0, len(whole)))
    stream.release(released)
    start = data.draw(st.integers(released, len(whole)))
    stop = data.draw(st.integers(0, len(whole) + 2))
    assert stream[start:stop] == whole[start:stop]
    assert len(stream) == len(whole)


def test_what_was_released_cannot_be_read() -> None:
    stream = TextStream()
    for piece in ("abc", "def", "ghi"):
        stream.add(piece)
    assert stream[:] == "abcdefghi"
    stream.release(5)
    assert stream[3:9] == "defghi"
    with pytest.raises(IndexError, match="text at 2 has been released"):
        stream[2:4]
    # Nothing is in an empty slice, wherever it is.
    assert stream[2:2] == ""
