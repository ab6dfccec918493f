"""Words of a text: where they are, and the forms that are equal for search."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import regex

# Of scripts written without spaces. Hangul has spaces, but its words carry their particles.
_UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Hangul}"
    r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)
# Words as in Unicode's default segmentation (UAX #29), but that full stops, colons and
# underscores always part: file names and identifiers are found by what they are made of.
_WORD = regex.compile(
    rf"""(?V1)
      (?P<unspaced> [[{_UNSPACED}]&&[\p{{L}}\p{{M}}]]+ )
    | (?P<word> [[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]+
                (?: ['’] [\p{{L}}\p{{M}}--[{_UNSPACED}]]+ )* )
    """,
    regex.VERBOSE,
)
_CACHED_WORDS = 1 << 16


def words_of(text: str) -> Iterator[tuple[int, str]]:
    """Cut a text into words, and scripts without spaces into pairs of characters.

    Yields:
        Where each begins in the text, and its characters as they stand there.
    """
    for found in _WORD.finditer(text):
        start = found.start()
        if found.lastgroup == "word":
            yield start, found.group()
            continue
        clusters = [(start + one.start(), one.group()) for one in _CLUSTER.finditer(found.group())]
        if len(clusters) == 1:
            yield clusters[0]
        for (begin, first), (_, second) in pairwise(clusters):
            yield begin, first + second


def characters_of(text: str) -> Iterator[tuple[int, str]]:
    """The characters that :func:`words_of` gives as parts of pairs, for who asks for one alone.

    Yields:
        Where each begins in the text, and the character with the marks on it.
    """
    runs = () if text.isascii() else _UNSPACED_RUN.finditer(text)
    for found in runs:
        clusters = list(_CLUSTER.finditer(found.group()))
        if len(clusters) > 1:
            yield from ((found.start() + one.start(), one.group()) for one in clusters)


_UNSPACED_RUN = regex.compile(rf"(?V1)[[{_UNSPACED}]&&[\p{{L}}\p{{M}}]]{{2,}}")
# A letter with the marks on it.
_CLUSTER = regex.compile(r"\P{M}\p{M}*|\p{M}+")


@lru_cache(_CACHED_WORDS)
def normalised(word: str) -> str:
    """The form in which equal words are equal: NFKC, case folded, without a possessive 's."""
    folded = unicodedata.normalize("NFKC", word).casefold().replace("’", "'")
    # Folding may undo the composition.
    return unicodedata.normalize("NFC", folded).removesuffix("'s")


def without_accents(word: str) -> str:
    """Drop the marks from Latin letters; those of other scripts tell letters apart."""
    if word.isascii():
        return word
    kept: list[str] = []
    for char in unicodedata.normalize("NFD", word):
        if unicodedata.combining(char) and kept and kept[-1].isascii():
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))
