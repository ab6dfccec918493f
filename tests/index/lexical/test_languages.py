"""Languages: stemming in each, and which one a text is written in."""

import pytest

from longbert.config import LANGUAGES
from longbert.index.lexical.languages import (
    AUTO,
    STEMMERS,
    UNSTEMMED,
    detect_language,
    term_of,
)


@pytest.mark.parametrize("language", sorted(STEMMERS))
def test_every_language_has_a_stemmer(language: str) -> None:
    assert term_of("1234", language) == "1234"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("agreed", "agreeing", "AGREE")),
        ("de", ("Verträge", "Vertrag")),
        ("fr", ("contrats", "contrat")),
    ],
)
def test_forms_of_a_word_are_one_term(language: str, words: tuple[str, ...]) -> None:
    assert len({term_of(word, language) for word in words}) == 1


def test_words_without_a_language_are_not_stemmed() -> None:
    assert term_of("Agreed", "none") == "agreed"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The parties agreed on the price of the goods.", "en"),
        ("Die Parteien haben sich auf den Preis der Ware geeinigt.", "de"),
        ("Les parties se sont mises d'accord sur le prix.", "fr"),
        ("双方就货物的价格达成了一致。", "none"),
        ("1234 5678", "none"),
    ],
)
def test_detection(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_the_languages_of_a_run_are_those_with_a_stemmer() -> None:
    assert (AUTO, UNSTEMMED, *STEMMERS) == LANGUAGES
