"""Segmentation and normal forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.index.lexical.words import characters_of, normalised, without_accents, words_of


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


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("今天。水 ok", ["今", "天"]),
        ("สวัส x", ["ส", "วั", "ส"]),
        ("hello, мир 3", []),
    ],
)
def test_characters_of_what_is_cut_into_pairs(text: str, characters: list[str]) -> None:
    assert [one for _, one in characters_of(text)] == characters


@given(st.text(st.sampled_from("今天水ัสab 。가")))
def test_words_are_characters_and_their_neighbours(text: str) -> None:
    singles = list(characters_of(text))
    words = dict(words_of(text))
    for start, one in singles:
        assert text[start : start + len(one)] == one
        follows = dict(singles).get(start + len(one))
        if follows is not None:
            assert words[start] == one + follows


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
