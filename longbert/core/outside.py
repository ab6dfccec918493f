"""Elements that no best sequence of labels has within an entity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longbert.arrays import BoolArray, DoubleArray, IntArray

_ROUNDING = 1e-3
"""More than sums of millions of scores are off by."""


@dataclass(frozen=True, slots=True)
class EntityRuns:
    """Labels by which every entity begins with one and goes on with another.

    Attributes:
        outside: the one label of elements in no entity.
        begins, continues: of each type. Shape of each: (n_types,).
    """

    outside: int
    begins: IntArray
    continues: IntArray


class Outside:
    """Finds elements that are outside in every best sequence, of scores that come in pieces.

    Take a sequence with an entity around an element. If the entity scores less than the same
    elements outside, the sequence is not the best. If the entity goes on beyond what is known,
    compare it with one that begins at a later element and goes on likewise: if that scores more,
    the sequence is not the best either. An element is outside where one of this holds for every
    entity that may lie around it. Sums over elements are differences of a running total, so all
    elements and all beginnings are looked at together.

    Args:
        table: scores of transitions, minus infinity where one is not allowed. Shape: (n_labels,
            n_labels).
        runs: labels of entities.
    """

    def __init__(self, table: DoubleArray, runs: EntityRuns) -> None:
        self.runs = runs
        at = runs.outside
        self._inner = table[runs.continues, runs.continues] - table[at, at]
        scores = table[np.isfinite(table)]
        # An entity's transitions within are counted exactly; up to four others differ between the
        # sequences that are compared.
        self._slack = 4 * (max(scores.max(), 0.0) - min(scores.min(), 0.0)) + _ROUNDING
        self._open = np.full(len(runs.begins), -np.inf)

    def certain(self, rows: DoubleArray) -> BoolArray:
        """Whether each of the next elements is outside for certain; never the last one.

        Args:
            rows: scores of labels. Shape: (n, n_labels), n at least 1.

        Returns:
            Shape: (n,).
        """
        outside = rows[:, [self.runs.outside]]
        going_on = rows[:, self.runs.continues] - outside + self._inner
        total = np.cumsum(going_on, axis=0)
        # What an entity would score, less the total up to where it ends.
        begun = rows[:, self.runs.begins] - outside - total
        best = np.maximum(np.maximum.accumulate(begun, axis=0), self._open)
        self._open = best[-1] + total[-1]
        ends = _accumulated_from_behind(total)
        later = np.full_like(begun, -np.inf)
        later[:-1] = _accumulated_from_behind(begun[1:])
        is_outside: BoolArray = ((best + ends < -self._slack) & (later > best + self._slack)).all(
            axis=1
        )
        return is_outside


def _accumulated_from_behind(values: DoubleArray) -> DoubleArray:
    """The greatest of each value and those behind it, along the first axis."""
    found: DoubleArray = np.maximum.accumulate(values[::-1], axis=0)[::-1]
    return found
