"""Segmentation and normal forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.index.lexical.words import normalised, without_accents, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's the U.S. naïve café.", ["It's", "the", "U", "S", "naïve", "café"]),
        ("file_name.py 3.14", ["file", "name", "py", "3", "14"]),
        ("今天天气。水", ["今天", "天天", "天气", "水"]),
        ("สวัสดี", ["สวั", "วัส", "สดี"]),
        ("Beijing北京city", ["Beijing", "北京", "city"]),
        ("한국어를 ok", ["한국", "국어", "어를", "ok"]),
        ("привет, мир", ["привет", "мир"]),
        (" \u200b—!? ", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word for _, word in words_of(text)] == words


@given(st.text())
def test_words_stand_where_they_are_said_to(text: str) -> None:
    found = list(words_of(text))

    assert [start for start, _ in found] == sorted(start for start, _ in found)
    for start, word in found:
        assert text[start : start + len(word)] == word


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Smith’s", "smith"),
        ("STRASSE", "straße"),
        ("ﬁle", "File"),
        ("e\u0301", "É"),
        ("１２", "12"),
    ],
)
def test_equal_words_have_one_form(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@given(st.text())
def test_a_normal_form_is_its_own(word: str) -> None:
    form = normalised(word)

    assert normalised(form).removesuffix("'s") == form.removesuffix("'s")


def test_only_latin_letters_lose_their_marks() -> None:
    assert without_accents("crème") == "creme"
    assert without_accents("й") == "й"
    assert without_accents("が") == "が"
