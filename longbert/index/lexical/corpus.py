"""The lexical index of an output: the files of its parts, opened together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from longbert.arrays import DoubleArray, FloatArray, IntArray
from longbert.core.lexical import (
    Postings,
    Totals,
    document_frequency,
    highest_score,
    inverse_frequency,
    merge_postings,
    score_documents,
    score_passages,
)
from longbert.index.lexical.analysis import query_terms
from longbert.index.lexical.part import LexicalPart


@dataclass(frozen=True)
class LexicalMatch:
    """What the words of one query find.

    Attributes:
        documents: BM25 of every document, 0 without a word of the query. Shape: (documents,).
        runs: BM25 of every document's best run of passages. Shape: (documents,).
        highest: what no passage exceeds.
        term_weights: of the words of the query, by number; pairs are left out.
    """

    documents: FloatArray
    runs: FloatArray
    highest: float
    term_weights: Mapping[int, float]
    _corpus: LexicalCorpus
    _postings: tuple[tuple[Postings, ...], ...]
    _passage_weights: DoubleArray

    def passages(self, document: int) -> FloatArray:
        """Score the passages of a document, from 0 to 1. Shape: (passages of the document,)."""
        number, own = self._corpus.place(document)
        part = self._corpus.parts[number]
        scores = score_passages(
            self._postings[number],
            self._passage_weights,
            part.layout,
            self._corpus.totals,
            document=own,
        )
        return scores / np.float32(self.highest or 1.0)


class LexicalCorpus:
    """Postings of all parts; what they know together are sums, so no part depends on another.

    Args:
        parts: in the order of the tables.
    """

    def __init__(self, parts: Sequence[LexicalPart]) -> None:
        self.parts = tuple(parts)
        self.totals = sum((part.totals for part in self.parts), Totals())
        self.languages = sorted({one for part in self.parts for one in part.languages})

    @cached_property
    def starts(self) -> IntArray:
        """First document of every part, and the end. Shape: (parts + 1,)."""
        return np.cumsum([0, *(part.totals.documents for part in self.parts)])

    def place(self, document: int) -> tuple[int, int]:
        """The part that holds a document, and its position there."""
        number = int(np.searchsorted(self.starts, document, side="right")) - 1
        return number, document - int(self.starts[number])

    def match(self, text: str) -> LexicalMatch | None:
        """Look for the words of a query; None if no document has any of them."""
        terms = query_terms(text, languages=self.languages)
        found = [
            [merge_postings([part.postings(one) for one in term.variants]) for term in terms]
            for part in self.parts
        ]
        by_part = [
            [document_frequency(one, part.layout) for one in lists]
            for part, lists in zip(self.parts, found, strict=True)
        ]
        frequencies = np.array([*by_part, [0] * len(terms)], np.int64).sum(axis=0)
        known = np.flatnonzero(frequencies)
        if not len(known):
            return None
        in_query = np.array([terms[place].weight for place in known])
        weights = in_query * inverse_frequency(frequencies[known], self.totals.documents)
        postings = tuple(tuple(lists[place] for place in known) for lists in found)
        in_passages = np.array([[len(one.passages) for one in lists] for lists in postings])
        # Inside a document, words that all documents have still tell its passages apart.
        passage_weights = in_query * inverse_frequency(
            in_passages.sum(axis=0), self.totals.passages
        )
        scores = [
            score_documents(lists, weights, part.layout, self.totals)
            for part, lists in zip(self.parts, postings, strict=True)
        ]
        return LexicalMatch(
            documents=np.concatenate([one.documents for one in scores]),
            runs=np.concatenate([one.runs for one in scores]),
            highest=highest_score(passage_weights),
            term_weights={
                variant: float(weight)
                for place, weight in zip(known, passage_weights, strict=True)
                for variant in terms[place].variants
                if not terms[place].is_pair
            },
            _corpus=self,
            _postings=postings,
            _passage_weights=passage_weights,
        )
