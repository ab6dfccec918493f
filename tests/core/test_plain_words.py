"""Words where no tokenizer reads: against the slow obvious version, and in pieces."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.plain_words import LONGEST_WORD, PlainWordStream, plain_words

TEXTS = st.text(st.sampled_from("ab .,(\n\t\u3000é你好。，กิำカ゛ကြာ한ا"), max_size=30)
_ALONE = frozenset("好กำカーြာิ゛")
_JOINED = frozenset("ิー゛ြာ。，.")


def words_of(text: str) -> list[str]:
    return [text[start:end] for start, end in plain_words(text).tolist()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He said “no.”\n Twice, e.g.", ["He", "said", "“no.”", "Twice,", "e.g."]),
        ("src/a_b.py --x=1", ["src/a_b.py", "--x=1"]),
        ("今天好。（我们）去Rom吧！", [*"今天", "好。", "（", "我", "们）", "去", "Rom", "吧！"]),
        ("ー今", ["ー", "今"]),
        ("กินข้าว", ["กิ", "น", "ข้", "า", "ว"]),
        ("한국어 문서", ["한국어", "문서"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        (" \n\u3000", []),
        ("", []),
    ],
)  # fmt: skip
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def slow_words(text: str) -> list[str]:
    """Character by character; no text here has a longer word than there may be."""
    words: list[str] = []
    previous = " "
    for char in text:
        goes_on = not (char.isspace() or previous.isspace()) and (
            char in _JOINED if words[-1][0] in _ALONE else char not in _ALONE
        )
        if goes_on:
            words[-1] += char
        elif not char.isspace():
            words.append(char)
        previous = char
    return words


@given(st.text(st.sampled_from("ab .(\u3000é好。，กิำーカ゛ြာ한"), max_size=30))
def test_words_are_those_of_the_slow_version(text: str) -> None:
    assert words_of(text) == slow_words(text)


@given(st.text(max_size=30))
def test_words_hold_all_that_is_not_white_space(text: str) -> None:
    assert "".join(words_of(text)) == "".join(text.split())


def test_a_run_of_letters_without_spaces_is_cut() -> None:
    assert [len(one) for one in words_of("x" * 250 + " y")] == [LONGEST_WORD, LONGEST_WORD, 50, 1]
    assert [len(one) for one in words_of("好" + "。" * 250)] == [LONGEST_WORD, LONGEST_WORD, 51]


@given(TEXTS | st.just("x" * 250 + "好" + "。" * 150), st.data())
def test_words_of_pieces_are_those_of_the_whole(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=6).map(sorted))
    stream = PlainWordStream()
    borders = [0, *cuts, len(text)]

    found = [stream.add(text[a:b]) for a, b in itertools.pairwise(borders)]
    found.append(stream.finish())

    assert np.concatenate(found).tolist() == plain_words(text).tolist()


def test_a_stream_keeps_no_more_than_a_word() -> None:
    stream = PlainWordStream()
    assert sum(len(stream.add("x" * 1000)) for _ in range(10)) == 10_000 // LONGEST_WORD - 1
    assert stream.add(" " * 1000).tolist() == [[10_000 - LONGEST_WORD, 10_000]]
    assert stream.finish().tolist() == []
