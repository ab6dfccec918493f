"""The lexical index of an output: the files of its parts, opened together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from longbert.arrays import DoubleArray, FloatArray, IntArray
from longbert.core.lexical import (
    Occurrences,
    Totals,
    highest_score,
    inverse_frequency,
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
        sentences: sum of what each sentence of the query finds. Shape: (documents,).
        highest: what no passage exceeds.
        term_weights: of the words of the query, by number, however often they stand in it; pairs
            are left out.
    """

    documents: FloatArray
    runs: FloatArray
    sentences: FloatArray
    highest: float
    term_weights: Mapping[int, float]
    _corpus: LexicalCorpus
    _found: tuple[Occurrences, ...]
    _passage_weights: DoubleArray

    def passages(self, document: int) -> FloatArray:
        """Score the passages of a document, from 0 to 1. Shape: (passages of the document,)."""
        number, own = self._corpus.place(document)
        part = self._corpus.parts[number]
        scores = score_passages(
            self._found[number],
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

    Raises:
        OutputError: a part is damaged.
    """

    def __init__(self, parts: Sequence[LexicalPart]) -> None:
        self.parts = tuple(parts)
        for part in self.parts:
            part.check_layout()
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
        numbers = np.array([one for term in terms for one in term.variants], np.uint64)
        owners = np.repeat(np.arange(len(terms)), [len(term.variants) for term in terms])
        found = tuple(part.find(numbers, owners) for part in self.parts)
        frequencies = _added([one.document_frequencies(len(terms)) for one in found], len(terms))
        known = np.flatnonzero(frequencies)
        if not len(known):
            return None
        in_sentences = np.array([term.weights for term in terms]).T
        weights = in_sentences * inverse_frequency(frequencies, self.totals.documents)
        # Inside a document, words that all documents have still tell its passages apart.
        in_passages = _added([one.passage_frequencies(len(terms)) for one in found], len(terms))
        rarities = inverse_frequency(in_passages, self.totals.passages)
        passage_weights = in_sentences.sum(axis=0) * rarities
        scores = [
            score_documents(one, weights, part.layout, self.totals)
            for part, one in zip(self.parts, found, strict=True)
        ]
        return LexicalMatch(
            documents=np.concatenate([one.documents for one in scores]),
            runs=np.concatenate([one.runs for one in scores]),
            sentences=np.concatenate([one.sentences for one in scores]),
            highest=highest_score(passage_weights[known]),
            term_weights={
                variant: float(rarities[place])
                for place in known
                for variant in terms[place].variants
                if not terms[place].is_pair
            },
            _corpus=self,
            _found=found,
            _passage_weights=passage_weights,
        )


def _added(of_parts: Sequence[IntArray], n_terms: int) -> IntArray:
    return sum(of_parts, np.zeros(n_terms, np.int64))
