"""Terms of documents and of queries: words and pairs of neighbouring words, as numbers.

A term is 64 bits of a digest of its word, so a part needs no table of strings, and a word is
found by binary search. Two words of one number would be taken for each other; among 100 million
terms, chances of a single such pair are about 1 in 4,000.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

import numpy as np

from longbert.arrays import IntArray, TermArray
from longbert.core.lexical import PAIR_WEIGHT
from longbert.core.sentences import query_sentences
from longbert.index.lexical.languages import AUTO, UNSTEMMED, detect_language, term_of
from longbert.index.lexical.words import characters_of, words_of

_CACHED_TERMS = 1 << 16
# Odd constants of splitmix64 (Steele et al. 2014), which mixes well.
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_THIRD = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class AnalysedText:
    """The words of a text.

    Attributes:
        starts: where each begins, in code points. Shape: (n,).
        terms: its number. Shape: (n,).
        character_starts, character_terms: the same for each character of scripts without spaces,
            whose words are pairs of characters. Shape of each: (characters,).
        language: that the words were stemmed in.
    """

    starts: IntArray
    terms: TermArray
    character_starts: IntArray
    character_terms: TermArray
    language: str


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A word or a pair of words of a query.

    Attributes:
        variants: its numbers in the languages of the index, in ascending order.
        weights: times it stands in each sentence of the query, less for pairs.
        is_pair: of words.
    """

    variants: tuple[int, ...]
    weights: tuple[float, ...]
    is_pair: bool


def analyse(text: str, *, language: str = AUTO) -> AnalysedText:
    """Cut a text into terms.

    Args:
        text: of any length.
        language: ``"auto"``: detected; ``"none"``: words are not stemmed.
    """
    if language == AUTO:
        language = detect_language(text)
    starts, terms = _numbered(words_of(text), language)
    character_starts, character_terms = _numbered(characters_of(text), language)
    return AnalysedText(starts, terms, character_starts, character_terms, language)


def pairs(first: TermArray, second: TermArray) -> TermArray:
    """Numbers of ordered pairs of words. Shape: that of both."""
    mixed = first * _FIRST + second
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _SECOND
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _THIRD
    return mixed ^ (mixed >> np.uint64(31))


def query_terms(text: str, *, languages: Sequence[str]) -> tuple[QueryTerm, ...]:
    """Cut a query into terms, each once.

    A query is too short to tell its language. So a word is looked for in the forms that it has
    in any language of the index, as one term.

    Args:
        text: of any length.
        languages: of the index.
    """
    sentences = query_sentences(text)
    analysed = [analyse(text, language=one) for one in sorted(set(languages) or {UNSTEMMED})]
    starts = [start for start, _ in sentences]
    # What stands before the first sentence goes with it. A pair stands where its first word does.
    places = np.searchsorted(starts[1:], analysed[0].starts, side="right").tolist()
    words = zip(*(one.terms.tolist() for one in analysed), strict=True)
    neighbours = zip(
        *(pairs(one.terms[:-1], one.terms[1:]).tolist() for one in analysed), strict=True
    )
    found = []
    for stream, weight, is_pair in ((words, 1.0, False), (neighbours, PAIR_WEIGHT, True)):
        counts: dict[tuple[int, ...], list[float]] = {}
        for forms, place in zip(stream, places, strict=False):
            key = tuple(sorted(set(forms)))
            counts.setdefault(key, [0.0] * len(sentences))[place] += weight
        found += [QueryTerm(forms, tuple(of_it), is_pair) for forms, of_it in counts.items()]
    return tuple(found)


def _numbered(words: Iterable[tuple[int, str]], language: str) -> tuple[IntArray, TermArray]:
    starts, forms = [*zip(*words, strict=True)] or ((), ())
    numbers = map(_number, forms, repeat(language))
    return np.array(starts, np.int64), np.fromiter(numbers, np.uint64, len(starts))


@lru_cache(_CACHED_TERMS)
def _number(word: str, language: str) -> int:
    digest = hashlib.blake2b(term_of(word, language).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
