"""Passages partition a document, in tokens and in characters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.passages import (
    Piece,
    owned_pieces,
    passage_id,
    passage_spans,
    passage_starts,
    passage_windows,
)
from longbert.core.windows import split_windows


@given(st.integers(0, 2_000), st.integers(1, 200))
def test_passages_as_windows_partition_the_tokens(n_tokens: int, size: int) -> None:
    windows = passage_windows(n_tokens, size=size)

    held = [token for window in windows for token in range(window.start, window.stop)]
    assert held == list(range(n_tokens))
    assert all(window.n_tokens == size for window in windows[:-1])
    assert [window.start for window in windows] == passage_starts(n_tokens, size=size).tolist()
    for window in windows:
        assert (window.owned_start, window.owned_stop) == (window.start, window.stop)


@st.composite
def texts_with_offsets(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Offsets as tokenizers give them, some of which step back or are empty."""
    n_chars = draw(st.integers(1, 80))
    spans = st.tuples(st.integers(0, n_chars), st.integers(0, n_chars)).map(sorted)
    offsets = draw(st.lists(spans, min_size=1, max_size=40))
    if draw(st.booleans()):
        offsets.sort()
    return np.array(offsets, dtype=np.int64), n_chars


@given(texts_with_offsets(), st.integers(1, 12))
def test_spans_partition_the_characters(text: tuple[np.ndarray, int], size: int) -> None:
    offsets, n_chars = text
    starts = passage_starts(len(offsets), size=size)

    spans = passage_spans(offsets, starts, n_chars)

    assert len(spans) == len(starts)
    characters = [char for start, stop in spans.tolist() for char in range(start, stop)]
    assert characters == list(range(n_chars))
    assert (spans[:, 0] <= spans[:, 1]).all()
    begins = offsets[starts, 0]
    if (np.diff(begins) >= 0).all():
        assert spans[1:, 0].tolist() == begins[1:].tolist()


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_owned_pieces_partition_the_tokens_at_passage_borders(
    n_tokens: int, size: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    passage = data.draw(st.integers(1, 70))

    passage_of = {}
    for window in split_windows(n_tokens, size=size, overlap=overlap):
        pieces = list(owned_pieces(window, size=passage))
        assert all(piece.start < piece.stop for piece in pieces)
        for piece in pieces:
            for token in range(piece.start, piece.stop):
                assert window.owned_start <= token < window.owned_stop
                assert token not in passage_of
                passage_of[token] = piece.passage
    assert passage_of == {token: token // passage for token in range(n_tokens)}


def test_pieces_of_a_worked_example() -> None:
    (window,) = split_windows(10, size=12, overlap=0)
    assert list(owned_pieces(window, size=4)) == [Piece(0, 0, 4), Piece(1, 4, 8), Piece(2, 8, 10)]


@pytest.mark.parametrize(
    ("document_id", "ordinal", "expected"),
    [
        ("guide.md", 0, 3_288_839_440_131_333_326),
        ("guide.md", 1, 5_191_379_846_831_233_102),
        ("reports/2024/été.txt", 12, 9_024_541_488_068_885_715),
        ("", 0, 8_249_194_312_159_197_673),
    ],
)
def test_passage_ids_never_change(document_id: str, ordinal: int, expected: int) -> None:
    assert passage_id(document_id, ordinal) == expected


@given(st.text(), st.integers(0, 10**9))
def test_passage_ids_are_positive_int64(document_id: str, ordinal: int) -> None:
    assert 0 <= passage_id(document_id, ordinal) < 2**63


def test_passage_ids_do_not_run_into_each_other() -> None:
    ids = {
        passage_id(name, ordinal)
        for name in ("", "0", "1", "a", "a\0", "\0a")
        for ordinal in range(50)
    }
    assert len(ids) == 6 * 50
