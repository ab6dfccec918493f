"""From logits to scores, and from the logits of windows to those of a document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from longbert.arrays import FloatArray, IntArray
from longbert.errors import ConfigError


def softmax(logits: FloatArray) -> FloatArray:
    """Softmax over the last axis, in the type of its input."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores: FloatArray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return scores


def sigmoid(logits: FloatArray) -> FloatArray:
    """Logistic function, without overflow on either side."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(logits.dtype)


def pool_logits(
    logits: FloatArray, n_owned: Sequence[int] | IntArray, *, pooling: str
) -> FloatArray:
    """Logits of a document from those of its windows.

    ``mean`` weighs a window by the tokens it owns, so that a token counts once however many
    windows saw it; ``max`` takes the largest logit of each label; ``first`` the first window
    alone; ``head+tail`` the only window there is, made of the document's two ends (Sun et al.
    2019, arXiv:1905.05583); ``vote`` the logarithm of the share of tokens whose window prefers
    the label, one half a token added to each so that it stays finite.

    Args:
        logits: in the order of the windows. Shape: (n_windows, n_labels).
        n_owned: tokens that each window owns. Shape: (n_windows,).
        pooling: one of ``longbert.config.CLASSIFY_POOLINGS``.

    Returns:
        Shape: (n_labels,). A single window's own logits for all but ``vote``.
    """
    weights = np.asarray(n_owned, dtype=np.float64)[:, None]
    if pooling == "mean":
        # cumsum adds in order whatever the length; sum() would pair terms by blocks.
        total = np.cumsum(logits * weights, axis=0)[-1]
        return np.asarray(total / weights.sum(), dtype=np.float32)
    if pooling == "max":
        return np.asarray(logits.max(axis=0), dtype=np.float32)
    if pooling in ("first", "head+tail"):
        return np.asarray(logits[0], dtype=np.float32)
    if pooling == "vote":
        votes = np.zeros(logits.shape[1])
        np.add.at(votes, logits.argmax(axis=1), weights[:, 0])
        shares = (votes + 0.5) / (weights.sum() + 0.5 * len(votes))
        return np.asarray(np.log(shares), dtype=np.float32)
    raise ConfigError(
        f"classify_pooling must be mean, max, first, head+tail or vote, got {pooling!r}"
    )
