"""What is particular to some ways to split; that they cover is among the invariants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.windows import Window, WindowStream, default_overlap, split_windows
from longbert.errors import ConfigError


def test_owners_of_a_worked_example() -> None:
    assert split_windows(10, size=4, overlap=2) == (
        Window(0, 4, 0, 3),
        Window(2, 6, 3, 5),
        Window(4, 8, 5, 7),
        Window(6, 10, 7, 10),
    )


def test_the_last_window_moves_left_instead_of_being_short() -> None:
    assert split_windows(9, size=4, overlap=0) == (
        Window(0, 4, 0, 4),
        Window(4, 8, 4, 7),
        Window(5, 9, 7, 9),
    )


@pytest.mark.parametrize("n_tokens", [1, 5, 6])
def test_a_short_document_has_one_short_window(n_tokens: int) -> None:
    assert split_windows(n_tokens, size=6, overlap=2) == (Window(0, n_tokens, 0, n_tokens),)


def test_no_tokens_have_no_windows() -> None:
    assert split_windows(0, size=6, overlap=2) == ()


def test_counts_of_a_window() -> None:
    window = Window(start=10, stop=20, owned_start=12, owned_stop=17)
    assert (window.n_tokens, window.n_owned) == (10, 5)


def test_default_overlap_is_a_quarter() -> None:
    assert [default_overlap(size) for size in (1, 3, 4, 254, 510)] == [0, 0, 1, 63, 127]


@pytest.mark.parametrize("size", [0, -1])
def test_a_window_without_room_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"room for at least 1 content token, got {size}"):
        split_windows(10, size=size, overlap=0)


@pytest.mark.parametrize("overlap", [510, 511, -1])
def test_an_overlap_out_of_range_is_refused_with_a_remedy(overlap: int) -> None:
    with pytest.raises(ConfigError) as raised:
        split_windows(10, size=510, overlap=overlap)
    assert str(raised.value) == f"overlap must be in [0, 510), got {overlap}: try 127"


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 12), st.data())
def test_windows_of_a_stream_are_those_of_the_whole(
    pieces: list[int], size: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    stream = WindowStream(size=size, overlap=overlap)
    found: list[Window] = []
    n_tokens = 0
    for n in pieces:
        found += stream.add(n)
        n_tokens += n
        # All tokens are owned but those of one window and of the step behind it.
        owned = found[-1].owned_stop if found else 0
        assert n_tokens - owned < 2 * size + size - overlap
    found += stream.finish()
    assert tuple(found) == split_windows(n_tokens, size=size, overlap=overlap)
