"""The best sequence of labels that a tagging scheme allows (Viterbi 1967)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from longbert.arrays import AnyFloatArray, BoolArray, DoubleArray, FloatArray, IntArray
from longbert.core.outside import EntityRuns, Outside

# The logarithm of a score that is zero: worse than any other, and still a number, so that of two
# sequences through zeros the one with fewer of them wins.
_LEAST_LOG = -1e4


@dataclass(frozen=True, slots=True)
class Transitions:
    """Which labels may stand where.

    Attributes:
        first: labels that a sequence may begin with. Shape: (n_labels,).
        next: whether the second label may follow the first. Shape: (n_labels, n_labels).
        last: labels that a sequence may end with. Shape: (n_labels,).
        scores: logarithms that are added where the second label follows the first, as learned;
            None for none. Shape: (n_labels, n_labels).
        outside: the label outside of all entities; None where none is.
    """

    first: BoolArray
    next: BoolArray
    last: BoolArray
    scores: FloatArray | None = None
    runs: EntityRuns | None = None

    def allow(self, labels: IntArray) -> bool:
        """Whether this sequence is allowed. Shape of ``labels``: (n,)."""
        return not len(labels) or bool(
            self.first[labels[0]]
            and self.next[labels[:-1], labels[1:]].all()
            and self.last[labels[-1]]
        )


class ViterbiDecoder:
    """Reads scores in pieces, however they are cut, and finds the best allowed sequence.

    The best is the one with the highest sum of logarithms. Of equally good ones, that with the
    lower label at the last place where they differ. Between pieces the score of the best sequence
    to each label is carried, and two bytes for each element and label from the last element on
    that all of these sequences share (the online algorithm of Šrámek et al. 2007,
    arXiv:0704.0062): what comes later can change no label up to there.

    Elements that are outside of all entities for certain, most of an ordinary text, are passed at
    once; see :class:`~longbert.core.outside.Outside`. Labels are those of the plain algorithm.

    Args:
        transitions: what is allowed; at least one sequence of every length must be.
    """

    def __init__(self, transitions: Transitions) -> None:
        self._first = np.where(transitions.first, 0.0, -np.inf)
        scores = 0.0 if transitions.scores is None else transitions.scores
        self._next = np.where(transitions.next, scores, -np.inf)
        self._last = np.where(transitions.last, 0.0, -np.inf)
        self._outside = None if transitions.runs is None else Outside(self._next, transitions.runs)
        self._labels = np.arange(len(self._first))
        self._best: DoubleArray | None = None
        self._pointers: list[npt.NDArray[np.uint16]] = []

    def feed(self, logs: AnyFloatArray) -> None:
        """Take the next elements' logarithms of scores, finite. Shape: (n, n_labels)."""
        if not len(logs):
            return
        rows = np.asarray(logs, dtype=np.float64)
        pointers = np.zeros(rows.shape, dtype=np.uint16)
        certain = (
            np.zeros(len(rows), dtype=np.bool_)
            if self._outside is None
            else self._outside.certain(rows)
        )
        borders = [0, *(np.flatnonzero(np.diff(certain)) + 1).tolist(), len(rows)]
        for start, stop in pairwise(borders):
            # The first element of a certain run is reached from several labels.
            n_steps = 1 if certain[start] else stop - start
            for element in range(start, start + n_steps):
                self._step(rows[element], pointers[element])
            if certain[start]:
                self._pass(rows[start + 1 : stop], pointers[start + 1 : stop])
        self._pointers.append(pointers)

    def _step(self, row: DoubleArray, pointers: npt.NDArray[np.uint16]) -> None:
        """Take an element, and note where the best sequence to each label came from."""
        if self._best is None:
            self._best = self._first + row
            return
        reached = self._best[:, None] + self._next
        came_from = reached.argmax(axis=0)
        pointers[:] = came_from
        self._best = reached[came_from, self._labels] + row

    def _pass(self, rows: DoubleArray, pointers: npt.NDArray[np.uint16]) -> None:
        """Take elements that are outside for certain, behind one that is."""
        assert self._best is not None
        assert self._outside is not None
        label = self._outside.runs.outside
        terms = np.full(2 * len(rows) + 1, self._next[label, label])
        terms[0] = self._best[label]
        terms[2::2] = rows[:, label]
        self._best = np.full(len(self._best), -np.inf)
        # Added one after the other, as step by step.
        self._best[label] = np.add.accumulate(terms)[-1]
        pointers[:] = label

    def settled(self) -> IntArray:
        """Labels of the next elements, as far as they are the same whatever is still to come.

        Each call goes on where the last one stopped. Shape: (n,).
        """
        if self._best is None:
            return np.empty(0, dtype=np.int64)
        pointers = self._joined()
        reached = np.flatnonzero(np.isfinite(self._best))
        element = len(pointers) - 1
        while element >= 0 and len(reached) > 1:
            reached = np.unique(pointers[element, reached])
            element -= 1
        labels = _trace(pointers[: element + 1], int(reached[0]))
        self._pointers = [pointers[element + 1 :]]
        return labels

    def finish(self) -> IntArray:
        """The best sequence for all that was fed and is not settled yet. Shape: (n,)."""
        if self._best is None:
            return np.empty(0, dtype=np.int64)
        return _trace(self._joined(), int((self._best + self._last).argmax()))

    def _joined(self) -> npt.NDArray[np.uint16]:
        return np.concatenate(self._pointers)


def _trace(pointers: npt.NDArray[np.uint16], label: int) -> IntArray:
    """The labels of some elements, from that of the last one backwards."""
    labels = np.empty(len(pointers), dtype=np.int64)
    for element in range(len(pointers) - 1, -1, -1):
        labels[element] = label
        label = int(pointers[element, label])
    return labels


def best_labels(scores: FloatArray, transitions: Transitions) -> IntArray:
    """The allowed sequence of labels with the highest product of scores.

    Args:
        scores: probabilities. Shape: (n, n_labels).
        transitions: what is allowed, without scores of their own.

    Returns:
        Shape: (n,).
    """
    greedy: IntArray = scores.argmax(axis=1)
    # Where the best label of each element makes an allowed sequence, none can be better.
    if transitions.allow(greedy):
        return greedy
    decoder = ViterbiDecoder(transitions)
    decoder.feed(logs_of(scores))
    return decoder.finish()


def logs_of(scores: FloatArray) -> DoubleArray:
    """Logarithms of probabilities, finite for those that are zero."""
    rows = np.asarray(scores, dtype=np.float64)
    return np.log(rows, out=np.full(rows.shape, _LEAST_LOG), where=rows > 0)
