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


def stitch_scores(runs: Sequence[ScoredRun], n_tokens: int, *, stitching: str) -> FloatArray:
    """Label scores of a whole document from those of its windows.

    ``owner`` takes a token's scores from the window that owns it, the one with most context on
    the token's poorer side. ``average`` takes the mean over all windows that hold the token.
    ``taper`` weighs this mean: from 1 for the tokens at a window's edges, one more for each step
    inwards. Where one window alone holds a token, all three give that window's scores.

    Args:
        runs: those tokens of each window that :func:`kept_tokens` names, in the windows' order.
        n_tokens: of the document.
        stitching: one of ``longbert.config.ENTITY_STITCHINGS``.

    Returns:
        Shape: (n_tokens, n_labels).
    """
    if stitching == "owner":
        return np.concatenate([run.scores for run in runs])
    # Float64, and windows one after the other: the order of addition is part of the result.
    totals = np.zeros((n_tokens, runs[0].scores.shape[1]))
    weights = np.zeros((n_tokens, 1))
    for run in runs:
        stop = run.start + len(run.scores)
        own = _weights(len(run.scores), stitching)[:, None]
        totals[run.start : stop] += run.scores * own
        weights[run.start : stop] += own
    return np.asarray(totals / weights, dtype=np.float32)


def _weights(n_tokens: int, stitching: str) -> DoubleArray:
    if stitching == "average":
        return np.ones(n_tokens)
    from_left = np.arange(1.0, n_tokens + 1)
    weights: DoubleArray = np.minimum(from_left, from_left[::-1])
    return weights
