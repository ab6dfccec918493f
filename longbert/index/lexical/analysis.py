"""Terms of documents and of queries: words and pairs of neighbouring words, as numbers.

A term is 64 bits of a digest of its word, so a part needs no table of strings, and a word is
found by binary search. Two words of one number would be taken for each other; among 100 million
terms, chances of a single such pair are about 1 in 4,000.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from longbert.arrays import IntArray, TermArray
from longbert.core.lexical import PAIR_WEIGHT
from longbert.index.lexical.languages import AUTO, UNSTEMMED, detect_language, term_of
from longbert.index.lexical.words import words_of

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
        language: that the words were stemmed in.
    """

    starts: IntArray
    terms: TermArray
    language: str


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A word or a pair of words of a query.

    Attributes:
        variants: its numbers in the languages of the index, in ascending order.
        weight: times it stands in the query, less for pairs.
        is_pair: of words.
    """

    variants: tuple[int, ...]
    weight: float
    is_pair: bool


def analyse(text: str, *, language: str = AUTO) -> AnalysedText:
    """Cut a text into terms.

    Args:
        text: of any length.
        language: ``"auto"``: detected; ``"none"``: words are not stemmed.
    """
    if language == AUTO:
        language = detect_language(text)
    found = list(words_of(text))
    return AnalysedText(
        starts=np.fromiter((start for start, _ in found), np.int64, len(found)),
        terms=np.fromiter((_number(word, language) for _, word in found), np.uint64, len(found)),
        language=language,
    )


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
    analysed = [analyse(text, language=one).terms for one in sorted(set(languages) or {UNSTEMMED})]
    words = zip(*(one.tolist() for one in analysed), strict=True)
    neighbours = zip(*(pairs(one[:-1], one[1:]).tolist() for one in analysed), strict=True)
    found = []
    for stream, weight, is_pair in ((words, 1.0, False), (neighbours, PAIR_WEIGHT, True)):
        counts = Counter(tuple(sorted(set(forms))) for forms in stream)
        found += [QueryTerm(forms, weight * n, is_pair) for forms, n in counts.items()]
    return tuple(found)


@lru_cache(_CACHED_TERMS)
def _number(word: str, language: str) -> int:
    digest = hashlib.blake2b(term_of(word, language).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
