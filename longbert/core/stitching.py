"""One row of label scores for each token, where windows overlap and a token has several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longbert.arrays import DoubleArray, FloatArray
from longbert.core.windows import Window


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """Label scores that one window gives for neighbouring tokens.

    Attributes:
        start: the first token, counted in the document.
        scores: Shape: (n_tokens, n_labels).
    """

    start: int
    scores: FloatArray


def kept_tokens(window: Window, *, stitching: str) -> tuple[int, int]:
    """The tokens of a window whose scores a stitching asks for, half-open, in the document.

    Args:
        window: of a document.
        stitching: one of ``longbert.config.ENTITY_STITCHINGS``.
    """
    if stitching == "owner":
        return window.owned_start, window.owned_stop
    return window.start, window.stop


def stitch_scores(runs: Sequence[ScoredRun], *, stitching: str) -> FloatArray:
    """Label scores of a whole document from those of its windows.

    ``owner`` takes a token's scores from the window that owns it, the one with most context on
    the token's poorer side. ``average`` takes the mean over all windows that hold the token.
    ``taper`` weighs this mean: from 1 for the tokens at a window's edges, one more for each step
    inwards. Where one window alone holds a token, all three give that window's scores.

    Args:
        runs: those tokens of each window that :func:`kept_tokens` names, in the windows' order; at
            least one.
        stitching: one of ``longbert.config.ENTITY_STITCHINGS``.

    Returns:
        Shape: (n_tokens, n_labels).
    """
    stitcher = Stitcher(stitching, n_labels=runs[0].scores.shape[1])
    return np.concatenate([stitcher.add(runs), stitcher.finish()])


class Stitcher:
    """Stitches as :func:`stitch_scores` does, for windows that come a few at a time.

    Args:
        stitching: one of ``longbert.config.ENTITY_STITCHINGS``.
        n_labels: of the scores.
    """

    def __init__(self, stitching: str, *, n_labels: int) -> None:
        self._stitching = stitching
        self._first = 0
        self._totals = np.zeros((0, n_labels))
        self._weights = np.zeros((0, 1))

    def add(self, runs: Sequence[ScoredRun]) -> FloatArray:
        """Take the next windows, at least one; the scores of tokens that no later one can hold."""
        if self._stitching == "owner":
            return np.concatenate([run.scores for run in runs])
        n_held = max(run.start + len(run.scores) for run in runs) - self._first
        totals = np.zeros((n_held, self._totals.shape[1]))
        weights = np.zeros((n_held, 1))
        totals[: len(self._totals)] = self._totals
        weights[: len(self._weights)] = self._weights
        # Float64, and windows one after the other: the order of addition is part of the result.
        for run in runs:
            held = slice(run.start - self._first, run.start - self._first + len(run.scores))
            own = _weights(len(run.scores), self._stitching)[:, None]
            totals[held] += run.scores * own
            weights[held] += own
        # Windows begin one behind the other.
        n_done = runs[-1].start - self._first
        self._first += n_done
        self._totals, self._weights = totals[n_done:], weights[n_done:]
        return np.asarray(totals[:n_done] / weights[:n_done], dtype=np.float32)

    def finish(self) -> FloatArray:
        """The scores of the tokens that are left."""
        return np.asarray(self._totals / self._weights, dtype=np.float32)


def _weights(n_tokens: int, stitching: str) -> DoubleArray:
    if stitching == "average":
        return np.ones(n_tokens)
    from_left = np.arange(1.0, n_tokens + 1)
    weights: DoubleArray = np.minimum(from_left, from_left[::-1])
    return weights
