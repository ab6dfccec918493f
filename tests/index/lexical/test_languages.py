"""Languages: stemming in each, and which one a text is written in."""

import threading
from functools import cache
from typing import Any

import pytest

from longbert.config import LANGUAGES
from longbert.index.lexical import languages
from longbert.index.lexical.languages import (
    AUTO,
    STEMMERS,
    UNSTEMMED,
    detect_language,
    read_ahead,
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


class _Identifier:
    def classify(self, sample: str) -> tuple[str, float]:
        return "fi", 0.9


def test_what_languages_are_told_by_is_read_once_and_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readers: list[str] = []
    is_asked, may_end = threading.Event(), threading.Event()

    @cache
    def read() -> Any:
        readers.append(threading.current_thread().name)
        is_asked.set()
        assert may_end.wait(30)
        return _Identifier()

    monkeypatch.setattr(languages, "read_identifier", read)
    read_ahead("en")
    assert not is_asked.is_set()
    read_ahead(AUTO)
    # It has returned before anything was read.
    assert is_asked.wait(30)
    found: list[str] = []
    asking = threading.Thread(target=lambda: found.append(detect_language("whatever")))
    asking.start()
    may_end.set()
    asking.join(30)
    assert found == ["fi"]
    assert readers == ["longbert-languages"]
