"""Spans without white space at their ends, apart from each other, and what is wrong with others."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.spans import settle, span_problems, trim, trim_all, white_space

SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
CHARS = st.sampled_from([*SPACES, *"ab.", "\u200b", "\ufeff", "\u0301", "王", "\U0001f600", "\x00"])
TEXT = st.text(st.one_of(CHARS, st.characters(exclude_categories=["Cs"])), max_size=40)


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    text = draw(TEXT)
    place = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(place, place).map(sorted).map(tuple), max_size=8))
    return text, draw(st.sampled_from([spans, sorted(spans)]))


@pytest.mark.parametrize("n_at_once", [1 << 20, 7])
def test_white_space_is_what_python_takes_for_it(n_at_once: int) -> None:
    # The first plane, where all of it is, its surrogates included, and the ends of the others.
    text = "".join(map(chr, [*range(0x3100), 0xD800, 0xDFFF, 0xFEFF, 0xFFFF, 0x10000, 0x10FFFF]))
    found = white_space(text, chars_at_once=n_at_once)
    assert found.tolist() == [char.isspace() for char in text]
    assert white_space("").shape == (0,)
    assert max(SPACES) == "\u3000"


@given(texts_with_spans())
def test_spans_are_trimmed(drawn: tuple[str, list[tuple[int, int]]]) -> None:
    text, spans = drawn
    given_spans = np.array(spans, dtype=np.int64).reshape(-1, 2)
    before = given_spans.copy()
    found = trim_all(text, given_spans, white_space(text)).tolist()
    assert (given_spans == before).all()
    assert found == [list(trim(text, *span)) for span in spans]
    for (start, end), (first, stop) in zip(spans, found, strict=True):
        assert start <= first <= stop <= end
        assert text[first:stop] == text[start:end].strip()
        # What holds nothing visible stands at its end, where byte-level tokenizers put it.
        assert first < stop or first == end


@given(texts_with_spans())
def test_each_character_goes_to_the_first_span_that_claims_it(
    drawn: tuple[str, list[tuple[int, int]]],
) -> None:
    text, spans = drawn
    found = list(settle(text, spans))
    assert len(found) == len(spans)
    reached = 0
    for (start, end), span in zip(spans, found, strict=True):
        left = text[max(start, reached) : max(end, reached)]
        if not left.strip():
            assert span is None
            continue
        assert span is not None
        assert max(start, reached) <= span[0] < span[1] <= end
        assert text[slice(*span)] == left.strip()
        reached = span[1]
    kept = [(*span, text[slice(*span)]) for span in found if span is not None]
    assert list(span_problems(text, kept)) == []


TEN = "one  three"


@pytest.mark.parametrize(
    ("spans", "problems"),
    [
        ([], []),
        ([(0, 3, "one"), (5, 10, "three")], []),
        ([(0, 3, "one"), (3, 10, "  three")], ["3 to 10 begins or ends with white space"]),
        ([(0, 4, "one ")], ["0 to 4 begins or ends with white space"]),
        ([(3, 5, "  ")], ["3 to 5 begins or ends with white space"]),
        ([(2, 2, "")], ["2 to 2 is empty"]),
        ([(2, 2, "e")], ["2 to 2 is empty", "2 to 2 is not that span of the text"]),
        ([(0, 3, "two")], ["0 to 3 is not that span of the text"]),
        ([(5, 11, "three")], ["5 to 11 is outside the text of 10 characters"]),
        ([(-1, 3, "one")], ["-1 to 3 is outside the text of 10 characters"]),
        ([(3, 0, "one")], ["3 to 0 is outside the text of 10 characters"]),
        ([(0, 3, "one"), (2, 10, "e  three")], ["2 to 10 overlaps the one before it"]),
        ([(0, 3, "one"), (0, 3, "one")], ["0 to 3 overlaps the one before it"]),
        ([(5, 10, "three"), (0, 3, "one")], ["0 to 3 is not in the order of the text"]),
        # A short one hides no overlap with a long one before it.
        (
            [(0, 10, "one  three"), (1, 2, "n"), (5, 6, "t")],
            ["1 to 2 overlaps the one before it", "5 to 6 overlaps the one before it"],
        ),
    ],
)
def test_what_is_wrong_with_entities(
    spans: list[tuple[int, int, str]], problems: list[str]
) -> None:
    assert list(span_problems(TEN, spans)) == [f"the entity at {problem}" for problem in problems]


@given(texts_with_spans())
def test_no_problem_is_missed(drawn: tuple[str, list[tuple[int, int]]]) -> None:
    text, spans = drawn
    rows = [(start, end, text[start:end]) for start, end in spans]
    is_right = all(
        held and held == held.strip() and all(end <= start for _, end, _ in rows[:number])
        for number, (start, _, held) in enumerate(rows)
    )
    assert (not list(span_problems(text, rows))) == is_right


def test_problems_hold_no_text_of_the_document() -> None:
    text = "secret  words"
    rows = [(0, 8, "hidden"), (1, 7, "ecret "), (0, 6, "secret"), (4, 99, "x")]
    said = " ".join(span_problems(text, rows))
    assert said
    assert not any(word in said for word in ("secret", "ecret", "hidden", "word"))
