"""Languages that words can be stemmed in, and which of them a document is written in."""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from longbert.core.text_stream import Text
from longbert.index.lexical.words import normalised, without_accents
from longbert.store.fingerprints import LexicalSettings

if TYPE_CHECKING:
    from collections.abc import Callable

STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""Snowball's algorithms by ISO 639-1 code."""

AUTO = "auto"
UNSTEMMED = "none"
"""Where the language has no stemmer or is unknown: words are searched as they are."""

ANALYSIS = 3
"""Version of how texts are cut into terms; one index does not mix two."""

_LIBRARIES = ("py3langid", "pystemmer", "regex")
_ALIASES = {"nb": "no", "nn": "no", "bs": "sr", "hr": "sr"}
_SAMPLE_CHARS = 500
_SURE = 0.5
_READING = threading.Lock()
_CACHED_STEMS = 1 << 16


@cache
def lexical_settings(language: str) -> LexicalSettings:
    """What can change the terms of a text, the text aside.

    Args:
        language: ``"auto"``, ``"none"`` or a key of :data:`STEMMERS`.
    """
    # A query does not ask for versions, and need not wait for this.
    import importlib.metadata

    return LexicalSettings(
        language=language,
        analysis=ANALYSIS,
        libraries={name: importlib.metadata.version(name) for name in _LIBRARIES},
    )


def read_ahead(language: str) -> None:
    """Begin to read what languages are detected by, which takes a third of a second.

    It is unpacked in a thread beside whatever the caller does next.

    Args:
        language: as for :func:`lexical_settings`.
    """
    if language == AUTO:
        threading.Thread(target=_identifier, name="longbert-languages", daemon=True).start()


def detect_language(text: Text) -> str:
    """The language of a document, from its beginning and its middle.

    Returns:
        Key of :data:`STEMMERS`, or ``"none"`` where it has no stemmer or is not sure.
    """
    middle = max(len(text) // 2, _SAMPLE_CHARS)
    sample = text[:_SAMPLE_CHARS] + "\n" + text[middle : middle + _SAMPLE_CHARS]
    code, probability = _identifier().classify(sample)
    code = _ALIASES.get(code, code)
    return code if code in STEMMERS and probability >= _SURE else UNSTEMMED


@lru_cache(_CACHED_STEMS)
def term_of(word: str, language: str) -> str:
    """What a word is indexed as in a language."""
    form = normalised(word)
    if language != UNSTEMMED:
        form = _stem(language)(form)
    return without_accents(form)


@cache
def _stem(language: str) -> Callable[[str], str]:
    import Stemmer

    # Its own cache would keep every word for ever.
    stem: Callable[[str], str] = Stemmer.Stemmer(STEMMERS[language], 0).stemWord
    return stem


def _identifier() -> Any:
    with _READING:
        return read_identifier()


@cache
def read_identifier() -> Any:
    """Unpack the model of py3langid, which takes a third of a second, once."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
