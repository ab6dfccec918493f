"""Words as runs of tokens, against the tokens one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.words import first_tokens, reached_before, starts_apart, word_spans


@st.composite
def tokens(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Offsets that may be empty, share characters and step back, and what begins a word."""
    n_tokens = draw(st.integers(1, 12))
    spans = st.tuples(st.integers(0, 20), st.integers(0, 4)).map(lambda one: (one[0], sum(one)))
    offsets = draw(st.lists(spans, min_size=n_tokens, max_size=n_tokens))
    if draw(st.booleans()):
        offsets.sort()
    starts = draw(st.lists(st.booleans(), min_size=n_tokens, max_size=n_tokens))
    return np.array(offsets, dtype=np.int64), np.array(starts, dtype=np.bool_)


@given(tokens())
def test_a_token_that_starts_before_others_have_ended_starts_no_word(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    offsets, starts_word = drawn
    expected = [
        bool(starts) and all(end <= start for _, end in offsets[:token].tolist())
        for token, (start, starts) in enumerate(
            zip(offsets[:, 0].tolist(), starts_word, strict=True)
        )
    ]
    assert starts_apart(offsets, starts_word).tolist() == expected


@given(tokens())
def test_words_span_the_characters_of_their_tokens(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    offsets, starts_word = drawn
    firsts = first_tokens(starts_word)
    begins, ends = word_spans(offsets, firsts)
    groups = np.split(offsets, firsts[1:])
    assert len(begins) == len(ends) == len(groups)
    for begin, end, group in zip(begins, ends, groups, strict=True):
        held = [char for start, stop in group.tolist() for char in range(start, stop)]
        if held:
            assert (begin, end) == (min(held), max(held) + 1)
        else:
            assert begin == end == group[0, 0]


def test_lone_marks_and_bytes_continue_the_word_that_they_stand_in() -> None:
    # "▁" and "x" on one character, then two bytes of a letter on the next.
    offsets = np.array([[3, 4], [3, 4], [4, 5], [4, 5], [6, 7]])
    assert starts_apart(offsets, np.ones(5, np.bool_)).tolist() == [True, False, True, False, True]
    assert reached_before(offsets).tolist() == [0, 4, 4, 5, 5]


def test_no_tokens() -> None:
    nothing = np.empty((0, 2), dtype=np.int64)
    assert reached_before(nothing).shape == (0,)
    assert starts_apart(nothing, np.empty(0, np.bool_)).shape == (0,)
