"""Entities from the scores of tokens that come in pieces, each as soon as it is certain.

Tokens make words, words get labels, and runs of words with labels of one type make entities. Each
of these steps holds back only what later tokens may change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from longbert.arrays import BoolArray, FloatArray, IntArray
from longbert.core.spans import settle
from longbert.core.tag_scheme import TagScheme
from longbert.core.text_stream import Text
from longbert.core.viterbi import Transitions, ViterbiDecoder, best_labels, logs_of
from longbert.core.words import first_tokens, hull, word_spans
from longbert.records import LabelledSpan

ScoreRuns = Callable[[FloatArray, IntArray, IntArray, IntArray], FloatArray]
"""From the scores and labels of words, and half-open runs of them, to a row for each run.

One word before the first run and one behind the last are among the words, if there are any.
"""


@dataclass(frozen=True, slots=True)
class Words:
    """Neighbouring words.

    Attributes:
        scores: of their labels. Shape: (n_words, n_labels).
        begins, ends: in characters of the text. Shape of each: (n_words,).
    """

    scores: FloatArray
    begins: IntArray
    ends: IntArray

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, key: slice) -> Words:
        return Words(self.scores[key], self.begins[key], self.ends[key])

    def __add__(self, other: Words) -> Words:
        if not len(self):
            return other
        return Words(
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.begins, other.begins]),
            np.concatenate([self.ends, other.ends]),
        )

    @classmethod
    def none(cls, n_labels: int) -> Words:
        """No words at all."""
        nowhere = np.empty(0, dtype=np.int64)
        return cls(np.empty((0, n_labels), dtype=np.float32), nowhere, nowhere)


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """An entity, and the row that :data:`ScoreRuns` gives it."""

    span: LabelledSpan
    row: FloatArray


class Labels(Protocol):
    """Gives labels to words that come in pieces."""

    def add(self, scores: FloatArray) -> IntArray:
        """Take the next words; the next labels that are certain. Shape: (n_words, n_labels)."""

    def finish(self) -> IntArray:
        """The labels that are left."""


class GreedyLabels:
    """Each word's best label."""

    def add(self, scores: FloatArray) -> IntArray:
        """Labels of these words."""
        labels: IntArray = scores.argmax(axis=1)
        return labels

    def finish(self) -> IntArray:
        """None."""
        return np.empty(0, dtype=np.int64)


class BestLabels:
    """The best allowed sequence of labels, as :func:`longbert.core.viterbi.best_labels` finds it.

    Args:
        transitions: without scores of their own.

    Attributes:
        most_held: words that are held in the hope that there are no more; so many are decided upon
            without a table of paths where their best labels are an allowed sequence.
    """

    most_held = 1 << 18

    def __init__(self, transitions: Transitions) -> None:
        self._transitions = transitions
        self._held: list[FloatArray] = []
        self._decoder: ViterbiDecoder | None = None

    def add(self, scores: FloatArray) -> IntArray:
        """Take the next words; labels that no later word can change."""
        self._held.append(scores)
        if self._decoder is None:
            if sum(map(len, self._held)) <= self.most_held:
                return np.empty(0, dtype=np.int64)
            self._decoder = ViterbiDecoder(self._transitions)
        for held in self._held:
            self._decoder.feed(logs_of(held))
        self._held.clear()
        return self._decoder.settled()

    def finish(self) -> IntArray:
        """The labels that are left."""
        if self._decoder is not None:
            return self._decoder.finish()
        if not self._held:
            return np.empty(0, dtype=np.int64)
        return best_labels(np.concatenate(self._held), self._transitions)


class LearnedLabels:
    """The best sequence of labels by emissions and learned transitions."""

    def __init__(self, transitions: Transitions) -> None:
        self._decoder = ViterbiDecoder(transitions)

    def add(self, scores: FloatArray) -> IntArray:
        """Take the emissions of the next words; labels that no later word can change."""
        self._decoder.feed(scores)
        return self._decoder.settled()

    def finish(self) -> IntArray:
        """The labels that are left."""
        return self._decoder.finish()


class EntityStream:
    """Entities of a document whose tokens come in pieces, however it is cut.

    Args:
        scheme: what the labels mean.
        strategy: one of ``longbert.config.ENTITY_STRATEGIES``.
        labels: gives words their labels.
        score_runs: what an entity's score is made of.
    """

    def __init__(
        self, scheme: TagScheme, *, strategy: str, labels: Labels, score_runs: ScoreRuns
    ) -> None:
        n_labels = len(scheme.types)
        self._words = _WordStream(strategy, n_labels)
        self._labels = labels
        self._unlabelled = Words.none(n_labels)
        self._runs = _RunStream(scheme, score_runs)

    @property
    def first_char(self) -> int | None:
        """The first character that is still to be asked for; None: any may be."""
        firsts = [
            int(begins.min())
            for begins in (self._runs.begins, self._unlabelled.begins, self._words.begins)
            if len(begins)
        ]
        return min(firsts, default=None)

    def add(
        self, text: Text, scores: FloatArray, offsets: IntArray, starts_word: BoolArray
    ) -> list[FoundEntity]:
        """Take the next tokens; the next entities.

        Args:
            text: up to the last of these tokens, at least.
            scores: Shape: (n_tokens, n_labels).
            offsets: character spans of the tokens. Shape: (n_tokens, 2).
            starts_word: whether a token begins a word. Shape: (n_tokens,).
        """
        words = self._words.add(scores, offsets, starts_word)
        return self._label(text, words, self._labels.add(words.scores))

    def finish(self, text: Text) -> list[FoundEntity]:
        """The entities that are left."""
        words = self._words.finish()
        found = self._label(text, words, self._labels.add(words.scores))
        found += self._label(text, words[:0], self._labels.finish())
        return found + self._runs.finish(text)

    def _label(self, text: Text, words: Words, labels: IntArray) -> list[FoundEntity]:
        self._unlabelled += words
        ready, self._unlabelled = self._unlabelled[: len(labels)], self._unlabelled[len(labels) :]
        return self._runs.add(text, ready, labels)


class _WordStream:
    """Words, each once it is complete.

    Attributes:
        begins: of the tokens of the word that is not. Shape: (n_tokens,).
    """

    def __init__(self, strategy: str, n_labels: int) -> None:
        self._strategy = strategy
        self._scores = np.empty((0, n_labels), dtype=np.float32)
        self._offsets = np.empty((0, 2), dtype=np.int64)
        self._starts_word = np.empty(0, dtype=np.bool_)

    @property
    def begins(self) -> IntArray:
        return self._offsets[:, 0]

    def add(self, scores: FloatArray, offsets: IntArray, starts_word: BoolArray) -> Words:
        self._scores = np.concatenate([self._scores, scores])
        self._offsets = np.concatenate([self._offsets, offsets])
        self._starts_word = np.concatenate([self._starts_word, starts_word])
        starts = np.flatnonzero(self._starts_word[1:])
        if self._strategy == "simple":
            return self._take(len(self._scores))
        return self._take(int(starts[-1]) + 1 if len(starts) else 0)

    def finish(self) -> Words:
        return self._take(len(self._scores))

    def _take(self, n_tokens: int) -> Words:
        """Words of the first tokens that are held."""
        scores, self._scores = self._scores[:n_tokens], self._scores[n_tokens:]
        offsets, self._offsets = self._offsets[:n_tokens], self._offsets[n_tokens:]
        starts, self._starts_word = self._starts_word[:n_tokens], self._starts_word[n_tokens:]
        if not n_tokens:
            return Words.none(scores.shape[1])
        is_simple = self._strategy == "simple"
        firsts = np.arange(n_tokens) if is_simple else first_tokens(starts)
        return Words(_word_scores(scores, firsts, self._strategy), *word_spans(offsets, firsts))


class _RunStream:
    """Entities of words with labels, each once another run of words has begun behind it.

    Attributes:
        begins: of the words whose run may go on. Shape: (n_words,).
    """

    def __init__(self, scheme: TagScheme, score_runs: ScoreRuns) -> None:
        self._scheme = scheme
        self._score_runs = score_runs
        self._words = Words.none(len(scheme.types))
        self._labels = np.empty(0, dtype=np.int64)
        self._n_before = 0
        self._reached = 0

    @property
    def begins(self) -> IntArray:
        return self._words.begins[self._n_before :]

    def add(self, text: Text, words: Words, labels: IntArray) -> list[FoundEntity]:
        self._words += words
        self._labels = np.concatenate([self._labels, labels])
        first = self._n_before
        if len(self._labels) < first + 2:
            return []
        breaks, is_inside = _breaks(self._labels[first:], self._scheme)
        # What is outside need not be kept together.
        is_cut = breaks[1:-1] | ~(is_inside[1:] | is_inside[:-1])
        cuts = np.flatnonzero(is_cut)
        return self._take(text, first + int(cuts[-1]) + 1) if len(cuts) else []

    def finish(self, text: Text) -> list[FoundEntity]:
        return self._take(text, len(self._labels))

    def _take(self, text: Text, stop: int) -> list[FoundEntity]:
        """Entities of the words before ``stop``, where a run begins."""
        words, labels, first = self._words, self._labels, self._n_before
        firsts, stops = (one + first for one in entity_runs(labels[first:stop], self._scheme))
        rows = self._score_runs(words.scores[: stop + 1], labels[: stop + 1], firsts, stops)
        found = []
        for run, start, end in settled_runs(
            text, words.begins[:stop], words.ends[:stop], firsts, stops, reached=self._reached
        ):
            self._reached = end
            label = str(self._scheme.types[labels[firsts[run]]])
            found.append(FoundEntity(LabelledSpan(start, end, label), rows[run]))
        self._n_before = min(stop, 1)
        kept = slice(stop - self._n_before, None)
        self._words, self._labels = words[kept], labels[kept]
        return found


def _word_scores(scores: FloatArray, word_starts: IntArray, strategy: str) -> FloatArray:
    """Label scores of each word. Shape: (n_words, n_labels)."""
    if strategy in ("simple", "first"):
        return scores[word_starts]
    n_tokens = np.diff(np.append(word_starts, len(scores)))
    if strategy == "average":
        sums: FloatArray = np.add.reduceat(scores, word_starts, axis=0)
        return sums / n_tokens.astype(np.float32)[:, None]
    best = scores.max(axis=1)
    highest = np.repeat(np.maximum.reduceat(best, word_starts), n_tokens)
    # The first token that reaches its word's highest score, as max() of Python finds it.
    candidates = np.flatnonzero(best == highest)
    return scores[candidates[np.searchsorted(candidates, word_starts)]]


def entity_runs(labels: IntArray, scheme: TagScheme) -> tuple[IntArray, IntArray]:
    """Half-open runs of words that make one entity, in order.

    Args:
        labels: of the words, in a scheme. Shape: (n_words,).
        scheme: what they mean.

    Returns:
        First words, and the words after the last ones. Shape of each: (n_entities,).
    """
    if not len(labels):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    breaks, is_inside = _breaks(labels, scheme)
    # The label outside has neither beginnings nor ends, so its words stay in one run.
    return np.flatnonzero(breaks[:-1] & is_inside), np.flatnonzero(breaks[1:] & is_inside) + 1


def _breaks(labels: IntArray, scheme: TagScheme) -> tuple[BoolArray, BoolArray]:
    """Before which words, and behind the last, a run ends; and which words are in an entity.

    Shapes: (n_words + 1,), (n_words,).
    """
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(scheme.types))}
    kinds = np.array([numbers[kind] for kind in scheme.types])[labels]
    is_inside = np.array([kind is not None for kind in scheme.types])[labels]
    breaks = np.ones(len(labels) + 1, dtype=np.bool_)
    breaks[1:-1] = (
        (kinds[1:] != kinds[:-1])
        | np.array(scheme.begins)[labels[1:]]
        | np.array(scheme.ends)[labels[:-1]]
    )
    return breaks, is_inside


def settled_runs(
    text: Text,
    begins: IntArray,
    ends: IntArray,
    firsts: IntArray,
    stops: IntArray,
    *,
    reached: int = 0,
) -> Iterator[tuple[int, int, int]]:
    """What runs of words are left with once each character belongs to the first that claims it.

    Args:
        text: the document.
        begins, ends: of the words. Shape of each: (n_words,).
        firsts, stops: half-open runs of words, in order. Shape of each: (n_runs,).
        reached: the end of what earlier runs have taken.

    Yields:
        Number, first character and end of each run that has a character left; sorted, apart from
        each other, without white space at either end.
    """
    if not len(firsts):
        return
    # Every second run is what lies between two entities; where that is nothing, numpy takes the
    # one word there, which is as good.
    borders = np.stack([firsts, stops], axis=1).ravel()
    is_last = stops[-1] == len(begins)
    starts, limits = (
        one[::2].tolist() for one in hull(begins, ends, borders[:-1] if is_last else borders)
    )
    for run, span in enumerate(settle(text, zip(starts, limits, strict=True), reached=reached)):
        if span is not None:
            yield run, *span
