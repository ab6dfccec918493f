"""From logits to scores, and from the logits of windows to those of a document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from longbert.arrays import AnyFloatArray, FloatArray, IntArray
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
    pool = LogitPool(pooling)
    pool.add(logits, n_owned)
    return pool.finish()


class LogitPool:
    """Pools as :func:`pool_logits` does, for windows that come a few at a time.

    Args:
        pooling: one of ``longbert.config.CLASSIFY_POOLINGS``.

    Raises:
        ConfigError: there is no such pooling.
    """

    def __init__(self, pooling: str) -> None:
        if pooling not in ("mean", "max", "first", "head+tail", "vote"):
            raise ConfigError(
                f"classify_pooling must be mean, max, first, head+tail or vote, got {pooling!r}"
            )
        self._pooling = pooling
        self._pooled: AnyFloatArray | None = None
        self._n_owned = 0.0

    def add(self, logits: FloatArray, n_owned: Sequence[int] | IntArray) -> None:
        """Take the next windows, at least one. Shape of the logits: (n_windows, n_labels)."""
        weights = np.asarray(n_owned, dtype=np.float64)[:, None]
        self._n_owned += weights.sum()
        held = [] if self._pooled is None else [self._pooled[None]]
        if self._pooling == "mean":
            # cumsum adds in order whatever the length; sum() would pair terms by blocks.
            self._pooled = np.cumsum(np.concatenate([*held, logits * weights]), axis=0)[-1]
        elif self._pooling == "max":
            self._pooled = np.concatenate([*held, logits]).max(axis=0)
        elif self._pooling == "vote":
            votes = np.zeros(logits.shape[1]) if self._pooled is None else self._pooled
            np.add.at(votes, logits.argmax(axis=1), weights[:, 0])
            self._pooled = votes
        elif self._pooled is None:
            self._pooled = logits[0]

    def finish(self) -> FloatArray:
        """The logits of the document. Shape: (n_labels,)."""
        assert self._pooled is not None
        pooled = self._pooled
        if self._pooling == "mean":
            pooled = pooled / self._n_owned
        elif self._pooling == "vote":
            pooled = np.log((pooled + 0.5) / (self._n_owned + 0.5 * len(pooled)))
        return np.asarray(pooled, dtype=np.float32)
