"""Scores and pooled logits against plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from longbert.config import CLASSIFY_POOLINGS
from longbert.core.scores import pool_logits, sigmoid, softmax
from longbert.errors import ConfigError

LOGIT = st.floats(-60, 60, width=32)
LOGITS = npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2), elements=LOGIT)


@given(LOGITS)
def test_softmax(logits: np.ndarray) -> None:
    scores = softmax(logits)

    assert scores.dtype == np.float32
    for row, found in zip(logits.tolist(), scores.tolist(), strict=True):
        exponentials = [math.exp(logit) for logit in row]
        expected = [one / sum(exponentials) for one in exponentials]
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-12)


def test_softmax_does_not_overflow() -> None:
    assert softmax(np.array([[1e4, 0, 1e4]], np.float32)).tolist() == [[0.5, 0, 0.5]]


@given(LOGITS)
def test_sigmoid(logits: np.ndarray) -> None:
    scores = sigmoid(logits)

    assert scores.dtype == np.float32
    expected = [1 / (1 + math.exp(-logit)) for logit in logits.ravel().tolist()]
    assert scores.ravel().tolist() == pytest.approx(expected, rel=1e-5)


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.array([-1e4, 0, 1e4], np.float32)).tolist() == [0, 0.5, 1]


def slow_pool(logits: list[list[float]], n_owned: list[int], pooling: str) -> list[float]:
    labels = range(len(logits[0]))
    n_tokens = sum(n_owned)
    if pooling == "mean":
        # As if every token had the logits of the window that owns it.
        return [
            math.fsum(row[label] * n for row, n in zip(logits, n_owned, strict=True)) / n_tokens
            for label in labels
        ]
    if pooling == "max":
        return [max(row[label] for row in logits) for label in labels]
    if pooling in ("first", "head+tail"):
        return logits[0]
    votes = [0.5 for _ in labels]
    for row, n in zip(logits, n_owned, strict=True):
        votes[row.index(max(row))] += n
    return [math.log(vote / sum(votes)) for vote in votes]


@given(LOGITS, st.data(), st.sampled_from(sorted({*CLASSIFY_POOLINGS} - {"learned"})))
def test_pooling_of_windows(logits: np.ndarray, data: st.DataObject, pooling: str) -> None:
    counts = st.lists(st.integers(1, 510), min_size=len(logits), max_size=len(logits))
    n_owned = data.draw(counts)

    found = pool_logits(logits, n_owned, pooling=pooling)

    assert found.dtype == np.float32
    expected = slow_pool(logits.tolist(), n_owned, pooling)
    assert found.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(npst.arrays(np.float32, (1, 5), elements=LOGIT), st.integers(1, 510))
def test_one_window_gives_its_own_logits(logits: np.ndarray, n_owned: int) -> None:
    for pooling in ("mean", "max", "first"):
        assert pool_logits(logits, [n_owned], pooling=pooling).tolist() == logits[0].tolist()


def test_votes_stay_finite_and_in_the_order_of_their_tokens() -> None:
    logits = np.array([[3, 0, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    scores = softmax(pool_logits(logits, [10, 3, 4], pooling="vote"))
    assert scores.tolist() == pytest.approx([10.5 / 18.5, 7.5 / 18.5, 0.5 / 18.5])


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"must be mean, max, first, head\+tail or vote, got 'median'"
    ):
        pool_logits(np.zeros((2, 2), np.float32), [1, 1], pooling="median")
