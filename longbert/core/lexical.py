"""BM25 over documents and over runs of passages, from postings of passages.

Postings say in which passages a term stands, and how often. Documents and runs are sums of
passages, so one set of postings serves them all. A run is two neighbouring blocks of passages of
one document; a document of a single block is one run. Runs overlap by half, so that no stretch of
text is far from the middle of one.

The whole query is looked for in long runs, where a document speaks of all of it, and each of its
sentences in pairs of passages, where a document speaks of that; the latter add up.

All use the document frequency of a term: among runs of a transcript, a word of one topic is
frequent, and yet it tells its document from the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from longbert.arrays import DoubleArray, FloatArray, IntArray, UnsignedArray
from longbert.core.ranking import rows_between

BLOCK_PASSAGES = 6
"""Passages of a block, half a run, for the whole query."""

SENTENCE_BLOCK_PASSAGES = 1
"""The same for a sentence of the query."""

PAIR_WEIGHT = 0.5
"""Weight of a pair of neighbouring words beside that of a word."""

DOCUMENT_K1, DOCUMENT_B = 2.0, 1.0
RUN_K1, RUN_B = 1.2, 0.75


@dataclass(frozen=True)
class Layout:
    """Which passages belong to which document, and how long they are.

    Attributes:
        starts: first passage of every document, and the end of the last.
            Shape: (documents + 1,).
        words: terms of every passage, pairs not counted. Shape: (passages,).
    """

    starts: IntArray
    words: UnsignedArray

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.starts) - 1

    @cached_property
    def runs(self) -> Runs:
        """Runs for the whole query."""
        return Runs(self.starts, self.words_before, BLOCK_PASSAGES)

    @cached_property
    def sentence_runs(self) -> Runs:
        """Runs for a sentence of the query."""
        return Runs(self.starts, self.words_before, SENTENCE_BLOCK_PASSAGES)

    @cached_property
    def document_words(self) -> IntArray:
        """Terms of every document. Shape: (documents,)."""
        words: IntArray = self.words_before[self.starts[1:]] - self.words_before[self.starts[:-1]]
        return words

    @cached_property
    def words_before(self) -> IntArray:
        """Terms before every passage, and all. Shape: (passages + 1,)."""
        sums: IntArray = np.concatenate([[0], np.cumsum(self.words, dtype=np.int64)])
        return sums

    def documents_of(self, passages: IntArray) -> IntArray:
        """Document of each passage."""
        return np.searchsorted(self.starts, passages, side="right") - 1


@dataclass(frozen=True)
class Runs:
    """How the passages of a part make runs.

    Attributes:
        first_passages: of every document, and the end. Shape: (documents + 1,).
        words_before: terms before every passage, and all. Shape: (passages + 1,).
        block_passages: passages of a block, half a run.
    """

    first_passages: IntArray
    words_before: IntArray
    block_passages: int

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.first_passages) - 1

    @cached_property
    def block_starts(self) -> IntArray:
        """First block of every document, and the end. Shape: (documents + 1,)."""
        n_blocks = -(-np.diff(self.first_passages) // self.block_passages)
        return np.concatenate([[0], np.cumsum(n_blocks)]).astype(np.int64)

    @cached_property
    def starts(self) -> IntArray:
        """First run of every document, and the end. Shape: (documents + 1,)."""
        n_passages = np.diff(self.first_passages)
        n_runs = np.maximum(np.diff(self.block_starts) - 1, np.minimum(n_passages, 1))
        return np.concatenate([[0], np.cumsum(n_runs)]).astype(np.int64)

    @cached_property
    def words(self) -> IntArray:
        """Terms of every run. Shape: (runs,)."""
        documents = np.repeat(np.arange(self.n_documents), np.diff(self.starts))
        first = np.arange(int(self.starts[-1])) - self.starts[documents]
        begin = self.first_passages[documents] + first * self.block_passages
        end = np.minimum(begin + 2 * self.block_passages, self.first_passages[documents + 1])
        words: IntArray = self.words_before[end] - self.words_before[begin]
        return words

    def best(self, scores: DoubleArray) -> DoubleArray:
        """The best of each document's runs, 0 without any.

        Args:
            scores: of runs. Shape: (..., runs).

        Returns:
            Shape: (..., documents).
        """
        best = np.zeros((*scores.shape[:-1], self.n_documents))
        filled = np.flatnonzero(np.diff(self.starts))
        if len(filled):
            best[..., filled] = np.maximum.reduceat(scores, self.starts[filled], axis=-1)
        return best


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a corpus; those of its parts add up.

    Attributes:
        documents, passages, runs: how many there are.
        words: terms of all documents, pairs not counted.
        run_words: terms of all runs, which overlap.
    """

    documents: int = 0
    passages: int = 0
    runs: int = 0
    words: int = 0
    run_words: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.documents + other.documents,
            self.passages + other.passages,
            self.runs + other.runs,
            self.words + other.words,
            self.run_words + other.run_words,
        )

    @classmethod
    def of(cls, layout: Layout) -> Totals:
        """The sums of one part."""
        return cls(
            documents=layout.n_documents,
            passages=len(layout.words),
            runs=int(layout.runs.starts[-1]),
            words=int(layout.words.sum(dtype=np.int64)),
            run_words=int(layout.runs.words.sum()),
        )


class TotalsStream:
    """The :class:`Totals` of a part that is one document, whose passages come in pieces."""

    def __init__(self) -> None:
        self._n_passages = self._n_words = self._first_block = 0
        # Those of the last block, which begins at a multiple of its size.
        self._last_block: UnsignedArray = np.empty(0, np.uint64)

    def add(self, words: UnsignedArray) -> None:
        """Take the terms of the next passages. Shape: (n,)."""
        begin = self._n_passages - len(self._last_block)
        held = np.concatenate([self._last_block, words])
        self._n_passages += len(words)
        self._n_words += int(words.sum(dtype=np.int64))
        if not begin:
            self._first_block = int(held[:BLOCK_PASSAGES].sum(dtype=np.int64))
        n_before = (self._n_passages - 1) // BLOCK_PASSAGES * BLOCK_PASSAGES
        self._last_block = held[max(0, n_before - begin) :]

    def finish(self) -> Totals:
        """The sums, once there are all passages."""
        n_blocks = -(-self._n_passages // BLOCK_PASSAGES)
        run_words = self._n_words
        if n_blocks > 1:
            # Each block is in two runs, but for the first and the last.
            last_block = int(self._last_block.sum(dtype=np.int64))
            run_words = 2 * self._n_words - self._first_block - last_block
        return Totals(
            documents=1,
            passages=self._n_passages,
            runs=max(n_blocks - 1, min(self._n_passages, 1)),
            words=self._n_words,
            run_words=run_words,
        )


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Where the terms of a query stand in a part, ordered by term and passage. Shape of all: (n,).

    Attributes:
        terms: their places in the query.
        passages: each once for a term.
        documents: of the passages.
        counts: times the term stands there, at least 1.
    """

    terms: IntArray
    passages: IntArray
    documents: IntArray
    counts: DoubleArray

    @classmethod
    def of(
        cls, terms: IntArray, passages: IntArray, counts: IntArray, layout: Layout
    ) -> Occurrences:
        """Put together what stands in the lists of postings, in whose order terms ascend.

        Lists of one term, which is written in several ways, are merged, and their counts add up.
        """
        if (np.diff(passages)[np.diff(terms) == 0] <= 0).any():
            order = np.lexsort((passages, terms))
            terms, passages, counts = terms[order], passages[order], counts[order]
            is_new = np.concatenate([[True], (np.diff(terms) != 0) | (np.diff(passages) != 0)])
            counts = np.add.reduceat(counts, np.flatnonzero(is_new))
            terms, passages = terms[is_new], passages[is_new]
        documents = layout.documents_of(passages)
        return cls(terms, passages, documents, counts.astype(np.float64))

    def document_frequencies(self, n_terms: int) -> IntArray:
        """Documents that each term stands in. Shape: (n_terms,)."""
        is_new = np.concatenate(
            [[True], (np.diff(self.terms) != 0) | (np.diff(self.documents) != 0)]
        )[: len(self.terms)]
        return np.bincount(self.terms[is_new], minlength=n_terms)

    def passage_frequencies(self, n_terms: int) -> IntArray:
        """Passages that each term stands in. Shape: (n_terms,)."""
        return np.bincount(self.terms, minlength=n_terms)


def inverse_frequency(frequencies: IntArray, total: int) -> DoubleArray:
    """Inverse document frequency, never negative (Lucene's form of Robertson & Zaragoza 2009)."""
    weights: DoubleArray = np.log1p((total - frequencies + 0.5) / (frequencies + 0.5))
    return weights


@dataclass(frozen=True, slots=True)
class PartScores:
    """Scores of the documents of a part, 0 where none of the terms stands.

    Attributes:
        documents: BM25 of the whole document. Shape: (documents,).
        runs: BM25 of its best run. Shape: (documents,).
        sentences: sum over the sentences of the query of the best run for each.
            Shape: (documents,).
    """

    documents: FloatArray
    runs: FloatArray
    sentences: FloatArray


def score_documents(
    found: Occurrences, weights: DoubleArray, layout: Layout, totals: Totals
) -> PartScores:
    """Score all documents of a part; a document's score is independent of the others'.

    Args:
        found: the terms of a query in the part.
        weights: of these terms in each sentence of the query, inverse frequency included. Shape:
            (sentences, terms).
        layout: of the part.
        totals: of the corpus.
    """
    n_documents = layout.n_documents
    if not len(found.terms):
        nothing = np.zeros(n_documents, np.float32)
        return PartScores(nothing, nothing, nothing)
    in_query = weights.sum(axis=0)

    places, counts = _sums(found.terms * n_documents + found.documents, found.counts)
    term, document = np.divmod(places, n_documents)
    ratio = layout.document_words[document] / _mean(totals.words, totals.documents)
    gain = _bm25(counts, ratio, k1=DOCUMENT_K1, b=DOCUMENT_B)
    by_document = np.bincount(document, weights=gain * in_query[term], minlength=n_documents)

    in_runs = _in_runs(found, layout.runs, _mean(totals.run_words, totals.runs))
    # Pairs of passages are as many as passages, nearly, and twice as long.
    mean_words = 2 * _mean(totals.words, totals.passages)
    in_pairs = _in_runs(found, layout.sentence_runs, mean_words)
    return PartScores(
        documents=by_document.astype(np.float32),
        runs=in_runs.best(in_query[np.newaxis])[0].astype(np.float32),
        sentences=in_pairs.best(weights).sum(axis=0).astype(np.float32),
    )


def score_passages(
    found: Occurrences,
    weights: DoubleArray,
    layout: Layout,
    totals: Totals,
    *,
    document: int,
) -> FloatArray:
    """BM25 of every passage of one document. Shape: (passages of the document,)."""
    start, stop = int(layout.starts[document]), int(layout.starts[document + 1])
    here = np.flatnonzero(found.documents == document)
    rows = found.passages[here] - start
    ratios = layout.words[start:stop] / _mean(totals.words, totals.passages)
    gains = _bm25(found.counts[here], ratios[rows], k1=RUN_K1, b=RUN_B)
    scores = np.bincount(rows, weights=weights[found.terms[here]] * gains, minlength=stop - start)
    return scores.astype(np.float32)


def highest_score(weights: DoubleArray) -> float:
    """What a passage would score that holds every term of the query without end."""
    return float(weights.sum() * (RUN_K1 + 1))


def _bm25(counts: DoubleArray, ratio: DoubleArray, *, k1: float, b: float) -> DoubleArray:
    gain: DoubleArray = counts * (k1 + 1) / (counts + k1 * (1 - b + b * ratio))
    return gain


def _mean(total: int, count: int) -> float:
    return max(total, 1) / max(count, 1)


def _sums(keys: IntArray, values: DoubleArray) -> tuple[IntArray, DoubleArray]:
    """Add up the values of equal keys, which stand together."""
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[firsts], np.add.reduceat(values, firsts)


@dataclass(frozen=True, slots=True)
class _RunGains:
    """What terms give to runs, before their weights. Shape of each array: (n,)."""

    terms: IntArray
    numbers: IntArray
    gains: DoubleArray
    runs: Runs

    def best(self, weights: DoubleArray) -> DoubleArray:
        """Each document's best run for each sentence, all scored in one pass.

        Args:
            weights: of the terms. Shape: (sentences, terms).

        Returns:
            Shape: (sentences, documents).
        """
        # For each term, the sentences that it stands in, one after the other.
        term, sentence = np.nonzero(weights.T)
        sizes = np.bincount(term, minlength=weights.shape[1])
        n_sentences = sizes[self.terms]
        firsts = (np.cumsum(sizes) - sizes)[self.terms]
        used = np.repeat(np.arange(len(firsts)), n_sentences)
        places = rows_between(firsts, n_sentences)
        n_runs = int(self.runs.starts[-1])
        scores = np.bincount(
            sentence[places] * n_runs + self.numbers[used],
            weights=self.gains[used] * weights[sentence, term][places],
            minlength=len(weights) * n_runs,
        ).astype(np.float64, copy=False)
        return self.runs.best(scores.reshape(len(weights), n_runs))


def _in_runs(found: Occurrences, runs: Runs, mean_words: float) -> _RunGains:
    within = (found.passages - runs.first_passages[found.documents]) // runs.block_passages
    blocks = runs.block_starts[found.documents] + within
    n_blocks = int(runs.block_starts[-1])
    places, counts = _sums(found.terms * n_blocks + blocks, found.counts)
    terms, numbers, in_run = _run_counts(*np.divmod(places, n_blocks), counts, runs)
    ratio = runs.words[numbers] / mean_words
    return _RunGains(terms, numbers, _bm25(in_run, ratio, k1=RUN_K1, b=RUN_B), runs)


def _run_counts(
    term: IntArray, block: IntArray, counts: DoubleArray, runs: Runs
) -> tuple[IntArray, IntArray, DoubleArray]:
    """Counts of terms in runs, from those in blocks, ordered by term and block.

    Run ``i`` of a document holds its blocks ``i`` and ``i + 1``. A block begins the run of its
    own number, with what follows; if the term is not in the block before, it also ends a run.
    """
    document = np.searchsorted(runs.block_starts, block, side="right") - 1
    same = (term[1:] == term[:-1]) & (document[1:] == document[:-1])
    follows = np.concatenate([same & (block[1:] == block[:-1] + 1), [False]])
    in_run = counts.copy()
    in_run[follows] += counts[1:][follows[:-1]]
    first_block = runs.block_starts[document]
    first_run = runs.starts[document]
    n_runs = runs.starts[document + 1] - first_run
    begins = block - first_block < n_runs
    has_before = np.concatenate([[False], follows[:-1]])
    ends = (block > first_block) & ~has_before
    terms = np.concatenate([term[begins], term[ends]])
    numbers = (first_run + block - first_block)[begins], (first_run + block - first_block - 1)[ends]
    return terms, np.concatenate(numbers), np.concatenate([in_run[begins], counts[ends]])
