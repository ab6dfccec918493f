"""Passages partition a document, in tokens and in characters."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.passages import (
    PassageStream,
    Piece,
    owned_pieces,
    passage_id,
    passage_spans,
    passage_starts,
    passage_windows,
)
from longbert.core.windows import split_windows


def apart(n_tokens: int) -> np.ndarray:
    """Tokens of two characters with a space after each."""
    starts = 3 * np.arange(n_tokens, dtype=np.int64)
    return np.stack([starts, starts + 2], axis=1)


@st.composite
def any_offsets(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Offsets as tokenizers give them: some share characters, are empty, or step back."""
    n_chars = draw(st.integers(1, 80))
    spans = st.tuples(st.integers(0, n_chars), st.integers(0, n_chars)).map(sorted)
    offsets = draw(st.lists(spans, min_size=1, max_size=40))
    if draw(st.booleans()):
        offsets.sort()
    return np.array(offsets, dtype=np.int64), n_chars


@st.composite
def shared_characters(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Characters of one token, of several, or of an empty one and another, some after spaces."""
    offsets, at = [], 0
    for _ in range(draw(st.integers(1, 25))):
        at += draw(st.integers(0, 2))
        if draw(st.booleans()):
            offsets.append([at, at])
        offsets += [[at, at + 1]] * draw(st.integers(1, 4))
        at += 1
    return np.array(offsets, dtype=np.int64), at + draw(st.integers(0, 2))


offsets_of_texts = st.one_of(any_offsets(), shared_characters())


def slow_starts(offsets: list[list[int]], size: int) -> list[int]:
    """Token by token: where a passage may begin, and the last such place that it fits."""

    def may_begin(token: int) -> bool:
        before = offsets[:token]
        start = offsets[token][0]
        is_clear = all(end <= start and begin < start for begin, end in before)
        return is_clear and start < max(end for _, end in offsets)

    starts = [0]
    while starts[-1] + size < len(offsets):
        places = [one for one in range(starts[-1] + 1, len(offsets)) if may_begin(one)]
        if not places:
            break
        fitting = [one for one in places if one <= starts[-1] + size]
        starts.append(fitting[-1] if fitting else places[0])
    return starts


@given(offsets_of_texts, st.integers(1, 12))
def test_passages_begin_where_the_slow_rule_says(drawn: tuple[np.ndarray, int], size: int) -> None:
    offsets, _ = drawn
    assert passage_starts(offsets, size=size).tolist() == slow_starts(offsets.tolist(), size)


@given(offsets_of_texts, st.integers(1, 12), st.data())
def test_passages_of_a_stream_are_those_of_the_whole(
    drawn: tuple[np.ndarray, int], size: int, data: st.DataObject
) -> None:
    offsets, _ = drawn
    expected = passage_starts(offsets, size=size).tolist()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(offsets)), max_size=5)))
    stream = PassageStream(size=size)
    found: list[int] = []
    for piece in np.split(offsets, cuts):
        found += stream.add(piece)
        assert found == expected[: len(found)]
        # What is said to be settled is.
        assert not any(start < stream.settled for start in expected[len(found) :])
    assert found + stream.finish() == expected


@given(st.lists(st.integers(0, 200), max_size=8), st.integers(1, 50))
def test_a_stream_settles_what_is_further_than_a_passage_away(pieces: list[int], size: int) -> None:
    stream = PassageStream(size=size)
    n_tokens = 0
    for n in pieces:
        stream.add(apart(n_tokens + n)[n_tokens:])
        n_tokens += n
        assert stream.settled >= n_tokens - size


@given(st.integers(0, 2_000), st.integers(1, 200))
def test_tokens_with_characters_of_their_own_make_a_grid(n_tokens: int, size: int) -> None:
    assert passage_starts(apart(n_tokens), size=size).tolist() == list(range(0, n_tokens, size))


@given(shared_characters(), st.integers(1, 12))
def test_no_character_is_in_two_passages_and_none_is_empty(
    drawn: tuple[np.ndarray, int], size: int
) -> None:
    offsets, n_chars = drawn
    starts = passage_starts(offsets, size=size)
    spans = passage_spans(offsets, starts, n_chars).tolist()
    assert all(start < stop for start, stop in spans)
    for (start, stop), first, following in zip(
        spans, starts, [*starts[1:], len(offsets)], strict=True
    ):
        own = offsets[first:following]
        # A token stands in the passage of its characters, an empty one no later than they do.
        assert all(start <= begin and end <= stop for begin, end in own.tolist())
        assert len(own) <= max(size, 5)
        assert (own[:, 0] < own[:, 1]).any()


@given(offsets_of_texts, st.data())
def test_spans_of_any_runs_of_tokens_partition_the_text(
    drawn: tuple[np.ndarray, int], data: st.DataObject
) -> None:
    offsets, n_chars = drawn
    borders = data.draw(st.sets(st.integers(1, len(offsets)), max_size=5))
    starts = sorted({0, *(border for border in borders if border < len(offsets))})

    spans = passage_spans(offsets, np.array(starts), n_chars).tolist()

    reached = [max(offsets[first, 0] for first in starts[: n + 1]) for n in range(len(starts))]
    assert spans == [
        [start, stop]
        for start, stop in zip([0, *reached[1:]], [*reached[1:], n_chars], strict=True)
    ]
    assert all(start <= stop for start, stop in spans)


def test_a_passage_of_one_token_holds_the_bytes_of_a_letter() -> None:
    # "a 王 b" in bytes, the first space a token of its own: a, Ġ, three bytes, Ġb.
    offsets = np.array([[0, 1], [2, 2], [2, 3], [2, 3], [2, 3], [4, 5]])
    assert passage_starts(offsets, size=1).tolist() == [0, 1, 5]
    assert passage_spans(offsets, passage_starts(offsets, size=1), 5).tolist() == [
        [0, 2],
        [2, 4],
        [4, 5],
    ]
    # Three tokens fit up to the middle of the letter, which the next passage has as a whole.
    assert passage_starts(offsets, size=3).tolist() == [0, 1, 5]
    assert passage_starts(offsets, size=5).tolist() == [0, 5]


def test_spaces_after_the_last_word_make_no_empty_passage() -> None:
    offsets = np.array([[0, 1], [2, 2], [3, 3]])
    assert passage_spans(offsets, passage_starts(offsets, size=1), 3).tolist() == [[0, 2], [2, 3]]
    # Nothing but spaces.
    offsets = np.array([[1, 1], [2, 2]])
    assert passage_spans(offsets, passage_starts(offsets, size=1), 2).tolist() == [[0, 2]]


@given(offsets_of_texts, st.integers(1, 12), st.integers(0, 3))
def test_passages_as_windows_partition_the_tokens(
    drawn: tuple[np.ndarray, int], size: int, n_more: int
) -> None:
    offsets, _ = drawn
    starts = passage_starts(offsets, size=size)

    windows = passage_windows(starts, len(offsets), size=size + n_more)

    held = [token for window in windows for token in range(window.start, window.stop)]
    assert held == list(range(len(offsets)))
    assert {window.start for window in windows} >= set(starts.tolist())
    for window in windows:
        assert (window.owned_start, window.owned_stop) == (window.start, window.stop)
        # Only what is too long for a window has several, all but the last of them full.
        assert window.n_tokens <= size + n_more
        if window.start not in starts:
            before = next(one for one in windows if one.stop == window.start)
            assert before.n_tokens == size + n_more


@given(any_offsets(), st.integers(1, 12))
def test_spans_partition_the_characters(text: tuple[np.ndarray, int], size: int) -> None:
    offsets, n_chars = text
    # Of windows, too, which begin at any token.
    starts = np.arange(0, len(offsets), size)

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
    borders = data.draw(st.sets(st.integers(1, n_tokens), max_size=40)) - {n_tokens}
    starts = [0, *sorted(borders)]

    passage_of = {}
    for window in split_windows(n_tokens, size=size, overlap=overlap):
        pieces = list(owned_pieces(window, np.array(starts)))
        assert all(piece.start < piece.stop for piece in pieces)
        for piece in pieces:
            for token in range(piece.start, piece.stop):
                assert window.owned_start <= token < window.owned_stop
                assert token not in passage_of
                passage_of[token] = piece.passage
    assert passage_of == {token: bisect_right(starts, token) - 1 for token in range(n_tokens)}


def test_pieces_of_a_worked_example() -> None:
    (window,) = split_windows(10, size=12, overlap=0)
    starts = np.array([0, 4, 8])
    assert list(owned_pieces(window, starts)) == [Piece(0, 0, 4), Piece(1, 4, 8), Piece(2, 8, 10)]


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
