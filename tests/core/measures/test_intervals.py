"""Intervals of scores: closed forms against scipy, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from longbert.core.measures.counts import macro_f1, micro_f1
from longbert.core.measures.intervals import proportion, score_estimates, student_quantile
from longbert.errors import ConfigError

counts_of_documents = st.lists(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4)).flatmap(
            lambda both: st.integers(0, min(both)).map(lambda right: (*both, right))
        ),
        min_size=2,
        max_size=2,
    ),
    min_size=1,
    max_size=12,
)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportion_as_scipy(case):
    n_right, n = case
    found = proportion(n_right, n)
    expected = stats.binomtest(n_right, n).proportion_ci(method="wilson")
    assert found.value == n_right / n
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=1e-12)


@pytest.mark.parametrize("n_degrees", [1, 2, 3, 4, 5, 6, 29, 30, 299, 1000, 12_345])
def test_quantiles_of_student_as_scipy(n_degrees):
    assert student_quantile(n_degrees) == pytest.approx(stats.t.ppf(0.975, n_degrees), rel=1e-10)


def slow_score(counts, of):
    """The interval of one score, a document left out at a time."""
    n_counted = sum(1 for document in counts if sum(g + p for g, p, _ in document))
    value = float(of(np.sum(counts, axis=0)[None] * 1.0)[0])
    if n_counted < 2:
        return value, None, None
    n = float(n_counted)
    if 0 < value < 1:
        without = [
            float(of(np.sum([c for j, c in enumerate(counts) if j != i], axis=0)[None] * 1.0)[0])
            for i in range(len(counts))
        ]
        variance = (len(counts) - 1) * np.var(without)
        n = float(sum(g + p - right for document in counts for g, p, right in document))
        if variance > 0:
            n = min(n, value * (1 - value) / variance)
        n *= (stats.norm.ppf(0.975) / stats.t.ppf(0.975, n_counted - 1)) ** 2
    # Wilson's interval holds the shares p from which the value is at most 1.96 deviations away.
    z = stats.norm.ppf(0.975)
    edges = np.roots([1 + z * z / n, -(2 * value + z * z / n), value * value])
    low, high = sorted(edges.real)
    return value, low, high


@given(counts_of_documents)
def test_scores_as_one_document_left_out_at_a_time(counts):
    found = score_estimates(np.array(counts), (micro_f1, macro_f1))
    for one, of in zip(found, (micro_f1, macro_f1), strict=True):
        value, low, high = slow_score(counts, of)
        assert one.value == pytest.approx(value)
        if low is None:
            assert (one.low, one.high) == (None, None)
        else:
            assert [one.low, one.high] == pytest.approx([low, high], abs=1e-6)
            assert 0 <= one.low <= one.value <= one.high <= 1


def test_all_right_in_few_documents_is_not_sure():
    counts = np.full((6, 1, 3), 50)
    (found,) = score_estimates(counts, (micro_f1,))
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.61, abs=0.001)
    assert proportion(6, 6) == found


def test_one_document_has_no_interval():
    (found,) = score_estimates(np.array([[[5, 4, 3]]]), (micro_f1,))
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize("n_documents", [6, 12, 30, 120])
@pytest.mark.parametrize("mean", [0.6, 0.9])
def test_the_truth_lies_within_19_of_20_times(n_documents, mean):
    """Documents differ in difficulty, as they do; a bootstrap of six holds it 8 times of 10."""
    generator = np.random.default_rng(n_documents)

    def drawn(n):
        difficulty = generator.beta(9 * mean, 9 * (1 - mean), n)
        gold = generator.poisson(6, n)
        right = generator.binomial(gold, difficulty)
        predicted = right + generator.binomial(gold, 1 - difficulty)
        return np.stack([gold, predicted, right], axis=1)[:, None]

    truth = float(micro_f1(drawn(400_000).sum(axis=0)[None] * 1.0)[0])
    n_held = 0
    for _ in range(400):
        (found,) = score_estimates(drawn(n_documents), (micro_f1,))
        n_held += found.low is not None and found.low <= truth <= found.high
    assert n_held >= 0.93 * 400


def test_nothing_cannot_be_measured():
    for call in (
        lambda: proportion(0, 0),
        lambda: score_estimates(np.empty((0, 2, 3), dtype=np.int64), (micro_f1,)),
    ):
        with pytest.raises(ConfigError, match="at least 1 document, got 0"):
            call()
