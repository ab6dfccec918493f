"""What words look like, against slow definitions, and never by what stands beyond the window."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.texts import HOSTILE_TEXTS, long_text

from longbert.core.word_shape import (
    FLAGS,
    IS_SPACE,
    N_BUCKETS,
    N_STRINGS,
    WordShapes,
    word_shapes,
)

# Letters of both cases and none, digits, marks that flags tell of, white space, wide characters.
ALPHABET = "aZéß0٣.!'“-@#:/w \n\r\t\u00a0\u0301北\U0001f389\ufffd\u200b"

Tokens = tuple[str, np.ndarray, np.ndarray]


def tokens_of(text: str) -> tuple[np.ndarray, np.ndarray]:
    """A token for each run of letters and digits and for each other visible character."""
    spans = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
    return np.array(spans, dtype=np.int64).reshape(-1, 2), np.ones(len(spans), dtype=np.bool_)


def shapes_of(text: str) -> WordShapes:
    return word_shapes(text, *tokens_of(text))


def same(one: WordShapes, other: WordShapes) -> bool:
    return (
        one.first_tokens.tolist() == other.first_tokens.tolist()
        and one.flags.tobytes() == other.flags.tobytes()
        and one.strings.tolist() == other.strings.tolist()
    )


@st.composite
def tokenized(draw: st.DrawFn) -> Tokens:
    """A text cut anywhere, white space left out of the tokens, and words of one token or more."""
    text = draw(st.text(ALPHABET, min_size=1, max_size=50))
    borders = sorted({0, len(text), *draw(st.sets(st.integers(0, len(text)), max_size=15))})
    spans = []
    for start, stop in pairwise(borders):
        piece = text[start:stop]
        if piece.strip():
            begin = start + len(piece) - len(piece.lstrip())
            spans.append((begin, begin + len(piece.strip())))
    starts = draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    return text, np.array(spans, dtype=np.int64).reshape(-1, 2), np.array(starts, dtype=np.bool_)


def slow_words(offsets: np.ndarray, starts_word: np.ndarray) -> list[tuple[int, int]]:
    words: list[tuple[int, int]] = []
    for (start, stop), begins in zip(offsets.tolist(), starts_word.tolist(), strict=True):
        if begins or not words:
            words.append((start, stop))
        else:
            words[-1] = words[-1][0], stop
    return words


def slow_flags(text: str, words: list[tuple[int, int]]) -> list[dict[str, float]]:
    """Each flag of each word by itself, in the order of its definition."""
    first, last = words[0][0], words[-1][1]
    lines: list[list[int]] = []
    for index, (start, _) in enumerate(words):
        if index == 0 or "\n" in text[words[index - 1][1] : start]:
            lines.append([])
        lines[-1].append(index)
    found = []
    for line in lines:
        of_letters = [i for i in line if text[words[i][0]].isalpha()]
        for place, index in enumerate(line):
            start, stop = words[index]
            word = text[start:stop]
            letters = [char for char in word if char.isalpha()]
            upper = [char for char in letters if char.isupper()]
            digits = [char for char in word if char.isdigit()]
            left, right = start, stop
            while left > first and start - left < 40 and not text[left - 1].isspace():
                left -= 1
            while right < last and right - stop < 40 and not text[right].isspace():
                right += 1
            begun = True
            for other in line[:place]:
                mark = text[words[other][0]]
                if mark in ".!?":
                    begun = True
                elif mark not in "\"'`()[]{}*_-–—“”‘’«»|>:;":
                    begun = False
            flags = {
                "begins_upper": word[0].isupper(),
                "all_upper": len(letters) > 1 and letters == upper,
                "single_upper": len(letters) == 1 and letters == upper,
                "upper_inside": bool(upper) and not word[0].isupper(),
                "mixed_case": word[0].isupper() and len(upper) > 1 and upper != letters,
                "all_lower": bool(letters) and not upper,
                "has_digit": bool(digits),
                "all_digits": len(digits) == len(word),
                "no_letter_or_digit": not letters and not digits,
                "not_ascii": any(ord(char) > 127 for char in word),
                "ends_sentence": word in list(".!?"),
                "is_quote": word in list("\"'`“”‘’"),
                "begins_line": place == 0,
                "after_space": start == first or text[start - 1].isspace(),
                "before_space": stop == last or text[stop].isspace(),
                "begins_sentence": begun,
                "after_at_or_hash": start > first and text[start - 1] in "@#",
                "in_address": re.search(r"://|www\.|@", text[left:right]) is not None,
                "in_short_line": bool(of_letters) and len(line) <= 6,
                "share_upper_in_line": sum(text[words[i][0]].isupper() for i in of_letters)
                / max(1, len(of_letters)),
            }
            found.append({name: float(value) for name, value in flags.items()})
    return found


@given(tokenized())
def test_flags_are_those_of_slow_definitions(drawn: Tokens) -> None:
    text, offsets, starts_word = drawn
    shapes = word_shapes(text, offsets, starts_word)
    if not len(offsets):
        assert len(shapes) == 0
        return
    expected = slow_flags(text, slow_words(offsets, starts_word))
    assert len(shapes) == len(expected)
    for row, flags in zip(shapes.flags.tolist(), expected, strict=True):
        assert dict(zip(FLAGS, row, strict=True)) == pytest.approx(flags, abs=1e-6)


@given(tokenized(), st.text(ALPHABET, max_size=20), st.text(ALPHABET, max_size=20), st.data())
def test_a_window_depends_on_its_own_characters_alone(
    drawn: Tokens, before: str, after: str, data: st.DataObject
) -> None:
    text, offsets, starts_word = drawn
    start = data.draw(st.integers(0, len(offsets)))
    stop = data.draw(st.integers(start, len(offsets)))
    own, begins = offsets[start:stop], starts_word[start:stop]
    untouched = begins.copy()
    found = word_shapes(text, own, begins)
    assert begins.tolist() == untouched.tolist()
    if start == stop:
        assert len(found) == 0
        return
    first, last = int(own[0, 0]), int(own[-1, 1])
    assert same(word_shapes(text[first:last], own - first, begins), found)
    elsewhere = before + text[first:last] + after
    assert same(word_shapes(elsewhere, own - first + len(before), begins), found)


@given(st.data())
def test_tokens_that_step_back_or_are_empty(data: st.DataObject) -> None:
    text = data.draw(st.text(ALPHABET, min_size=1, max_size=30))
    borders = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(borders, borders).map(sorted), min_size=1, max_size=8))
    offsets = np.array(spans, dtype=np.int64)
    n_tokens = len(spans)
    starts = data.draw(st.lists(st.booleans(), min_size=n_tokens, max_size=n_tokens))
    starts_word = np.array(starts, dtype=np.bool_)
    found = word_shapes(text, offsets, starts_word)
    assert np.isfinite(found.flags).all()
    assert found.first_tokens[0] == 0
    moved = word_shapes("Xy " + text, offsets + 3, starts_word)
    assert same(moved, found)


@pytest.mark.parametrize(
    ("flag", "text", "words"),
    [
        ("begins_upper", "Ada met ÉVA, iPhone 3D", "Ada ÉVA"),
        ("all_upper", "Ada USA A B2 AT", "USA AT"),
        ("single_upper", "A USA b B2 C", "A B2 C"),
        ("upper_inside", "iPhone Ada eBay 3D x", "iPhone eBay 3D"),
        ("mixed_case", "McDonald Ada USA iPhone", "McDonald"),
        ("all_lower", "ada Ada x1 12 北京", "ada x1 北京"),
        ("has_digit", "x1 12 ada B52", "x1 12 B52"),
        ("all_digits", "x1 12 ada 007", "12 007"),
        ("no_letter_or_digit", "a - 1 🎉 .", "- 🎉 ."),
        ("not_ascii", "café cafe 北京 🎉", "café 北京 🎉"),
        ("ends_sentence", "No. Why? So! a, b;", ". ? !"),
        ("is_quote", "“a” 'b' c", "“ ” ' '"),
        ("begins_line", "One two\nthree four\r\n\r\nfive six", "One three five"),
        ("after_space", "a-b c\nd\u00a0e", "a c d e"),
        ("before_space", "a-b c\nd.", "b c ."),
        ("begins_sentence", "He ran. “So” it\n- was", "He “ So - was"),
        ("after_at_or_hash", "@ada #tag a @ b", "ada tag"),
        ("in_address", "see http://x.org/y or a@b.c now", "http : / / x . org / y a @ b . c"),
        (
            "in_short_line",
            "Table of Contents\none two three four five six seven",
            "Table of Contents",
        ),
    ],
)
def test_examples_of_every_flag(flag: str, text: str, words: str) -> None:
    offsets, _ = tokens_of(text)
    column = shapes_of(text).flags[:, FLAGS.index(flag)]
    found = [text[a:b] for (a, b), value in zip(offsets.tolist(), column, strict=True) if value]
    assert found == words.split()


def test_the_share_of_upper_case_goes_by_words_of_letters() -> None:
    share = shapes_of("ADA LOVELACE 12 - was\nhere , now\n12 : 30").flags[:, -1]
    assert share.tolist() == pytest.approx([2 / 3] * 5 + [0] * 6)


def test_an_address_does_not_reach_beyond_forty_characters() -> None:
    near, far = "a@" + "b." * 19 + "com", "a@" + "b." * 30 + "com"
    column = FLAGS.index("in_address")
    assert shapes_of(near).flags[-1, column] == 1
    assert shapes_of(far).flags[-1, column] == 0


# The tables of trained heads hang on these numbers.
PINNED = {
    "Ada": [1506, 2391, 3483, 1630, 0, 71, 2483, 0, 0],
    "a": [1039, 1313, 0, 0, 0, 0, 0, 0, 0],
    "Zürich-26": [1518, 2661, 330, 285, 376, 1065, 1669, 2556, 2876],
}


@pytest.mark.parametrize("word", PINNED)
def test_buckets_never_change(word: str) -> None:
    whole = np.array([[0, len(word)]]), np.array([True])
    assert word_shapes(word, *whole).strings.tolist() == [PINNED[word]]


@given(tokenized())
def test_bucket_zero_stands_for_affixes_that_a_word_is_too_short_for(drawn: Tokens) -> None:
    text, offsets, starts_word = drawn
    shapes = word_shapes(text, offsets, starts_word)
    assert shapes.strings.shape == (len(shapes), N_STRINGS)
    assert shapes.strings.dtype == np.int64
    lengths = [stop - start for start, stop in slow_words(offsets, starts_word)]
    for row, length in zip(shapes.strings.tolist(), lengths, strict=True):
        assert [bucket == 0 for bucket in row] == [
            *(False, False),
            *(length <= n for n in (1, 2, 3, 1, 2, 3, 4)),
        ]
        assert all(bucket < N_BUCKETS for bucket in row)


def test_shapes_are_runs_of_kinds() -> None:
    words = "McDonald DeLuca MacDonaldson B-52 A-7 b-52"
    of_shape = [surface_of_word(word).strings[0, 1] for word in words.split()]
    assert len(set(of_shape[:3])) == 1
    assert of_shape[3] == of_shape[4] != of_shape[5]


def surface_of_word(word: str) -> WordShapes:
    return word_shapes(word, np.array([[0, len(word)]]), np.array([True]))


def test_no_white_space_lies_behind_the_table() -> None:
    assert not any(chr(code).isspace() for code in range(len(IS_SPACE) - 1, 0x110000))


def test_no_tokens() -> None:
    found = word_shapes("text", np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.bool_))
    assert len(found) == 0
    assert found.flags.shape == (0, len(FLAGS))
    assert found.strings.shape == (0, N_STRINGS)
    assert (found.flags.dtype, found.strings.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("text", [pytest.param(t.text, id=t.name) for t in HOSTILE_TEXTS])
def test_hostile_texts(text: str) -> None:
    offsets, starts_word = tokens_of(text)
    shapes = word_shapes(text, offsets, starts_word)
    if not len(offsets):
        assert len(shapes) == 0
        return
    expected = slow_flags(text, slow_words(offsets, starts_word))
    assert shapes.flags.tolist() == [
        pytest.approx([one[flag] for flag in FLAGS], abs=1e-6) for one in expected
    ]
    around = "Ö@\n" + text + "\n#x"
    inner = text[offsets[0, 0] : offsets[-1, 1]]
    assert same(word_shapes(around, offsets + 3, starts_word), shapes)
    assert same(word_shapes(inner, offsets - offsets[0, 0], starts_word), shapes)


def test_ordinary_prose() -> None:
    text = long_text(300, seed=1)
    offsets, starts_word = tokens_of(text)
    flags = word_shapes(text, offsets, starts_word).flags
    assert flags.tolist() == [
        pytest.approx(list(one.values()), abs=1e-6)
        for one in slow_flags(text, slow_words(offsets, starts_word))
    ]
    # Each paragraph begins a line.
    assert flags[:, FLAGS.index("begins_line")].sum() == 1 + text.count("\n\n")
