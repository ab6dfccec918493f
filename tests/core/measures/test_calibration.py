"""Calibration and temperature, against slow versions, a grid and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from longbert.core.measures.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    calibration,
    fit_temperature,
    fit_temperature_multi_label,
)
from longbert.errors import ConfigError

scored = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


@given(scored, st.integers(1, 20))
def test_expected_error_as_the_slow_version(pairs, n_bins):
    scores, right = (np.array(side) for side in zip(*pairs, strict=True))
    found = calibration(scores, right, n_bins=n_bins)
    edges = [one.low for one in found.bins] + [1.0]
    assert edges == pytest.approx([k / n_bins for k in range(n_bins + 1)])
    expected = 0.0
    for low, high, one in zip(edges, edges[1:], found.bins, strict=False):
        inside = [
            (score, outcome)
            for score, outcome in pairs
            if low < score <= high or (low == 0 and score == 0)
        ]
        assert one.n == len(inside)
        if inside:
            mean = sum(score for score, _ in inside) / len(inside)
            share = sum(outcome for _, outcome in inside) / len(inside)
            assert one.mean_score == pytest.approx(mean)
            assert one.share_right == pytest.approx(share)
            expected += len(inside) / len(pairs) * abs(mean - share)
        else:
            assert one.mean_score is one.share_right is None
    assert found.expected_error == pytest.approx(expected, abs=1e-12)


def test_reliability_as_scikit_learn():
    generator = np.random.default_rng(0)
    scores = generator.random(500)
    right = generator.random(500) < scores**2
    share, mean = calibration_curve(right, scores, n_bins=10)
    found = [one for one in calibration(scores, right, n_bins=10).bins if one.n]
    assert [one.share_right for one in found] == pytest.approx(share)
    assert [one.mean_score for one in found] == pytest.approx(mean)


def test_scores_that_are_frequencies_have_a_small_error():
    generator = np.random.default_rng(1)
    scores = generator.random(100_000)
    assert calibration(scores, generator.random(100_000) < scores).expected_error < 0.01
    assert calibration(np.ones(10), np.zeros(10, bool)).expected_error == 1


def nll(logits, gold, temperature):
    scaled = logits / temperature
    top = scaled.max(axis=1)
    log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return (log_sum - scaled[np.arange(len(gold)), gold]).mean()


def nll_multi(logits, gold, temperature):
    return np.logaddexp(0, np.where(gold, -logits, logits) / temperature).mean()


GRID = np.geomspace(LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE, 401)


@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.2, 1.0, 5.0, 40.0]))
def test_temperature_is_the_best_of_a_grid(seed, n_labels, scale):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, scale, (12, n_labels)).astype(np.float32)
    gold = np.where(
        generator.random(12) < 0.6, logits.argmax(axis=1), generator.integers(0, n_labels, 12)
    )
    found = fit_temperature(logits, gold)
    assert LOWEST_TEMPERATURE <= found <= HIGHEST_TEMPERATURE
    best = min(nll(logits.astype(float), gold, t) for t in GRID)
    assert nll(logits.astype(float), gold, found) <= best + 1e-12
    several = generator.random(logits.shape) < 0.4
    found = fit_temperature_multi_label(logits, several)
    best = min(nll_multi(logits.astype(float), several, t) for t in GRID)
    assert nll_multi(logits.astype(float), several, found) <= best + 1e-12


def test_temperature_of_logits_that_were_scaled_is_found_again():
    generator = np.random.default_rng(2)
    true = generator.normal(0, 2, (20_000, 3))
    shares = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    gold = (generator.random((20_000, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    assert fit_temperature(true * 3, gold) == pytest.approx(3, rel=0.03)
    several = generator.random(true.shape) < 1 / (1 + np.exp(-true))
    assert fit_temperature_multi_label(true * 3, several) == pytest.approx(3, rel=0.03)


def test_degenerate_logits():
    gold = np.array([0, 1])
    assert fit_temperature(np.zeros((2, 2)), gold) == 1
    assert fit_temperature(np.array([[3.0], [4.0]]), np.array([0, 0])) == 1
    assert fit_temperature(np.array([[2.0, 0.0], [0.0, 2.0]]), gold) == LOWEST_TEMPERATURE
    assert fit_temperature(np.array([[0.0, 2.0], [2.0, 0.0]]), gold) == HIGHEST_TEMPERATURE
    assert fit_temperature(np.array([[1e300, 0.0], [0.0, 1e300]]), gold) == 1
    signs = np.array([[5.0, -5.0]])
    assert fit_temperature_multi_label(signs, signs > 0) == LOWEST_TEMPERATURE
    assert fit_temperature_multi_label(signs, signs < 0) == HIGHEST_TEMPERATURE
    assert fit_temperature_multi_label(signs * 0, signs > 0) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibration(np.array([0.5]), np.array([True]), n_bins=0), "n_bins .* got 0"),
        (lambda: calibration(np.array([1.5]), np.array([True])), r"in \[0, 1\], got 1.5"),
        (lambda: calibration(np.array([np.nan]), np.array([True])), "got nan"),
        (lambda: calibration(np.empty(0), np.empty(0, bool)), "at least 1"),
        (lambda: fit_temperature(np.zeros((2, 2)), np.array([0])), "fit the gold labels"),
        (lambda: fit_temperature(np.array([[np.nan]]), np.array([0])), "finite"),
        (
            lambda: fit_temperature_multi_label(np.zeros((2, 2)), np.zeros((2, 1), bool)),
            "fit the gold labels",
        ),
    ],
)
def test_what_cannot_be_calibrated(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
