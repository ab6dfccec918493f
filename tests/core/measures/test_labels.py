"""Measures of labels and numbers, against scikit-learn and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from longbert.core.measures.counts import LabelScores, estimate, macro_f1, micro_f1
from longbert.core.measures.labels import multi_label, regression, single_label
from longbert.errors import ConfigError

LABELS = ("a", "b", "c", "d")

choices = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
sets = st.lists(
    st.tuples(*(st.tuples(*[st.booleans()] * 4) for _ in range(2))), min_size=1, max_size=20
)
numbers = st.lists(
    st.tuples(*(st.floats(-1e3, 1e3).map(lambda x: round(x, 2)) for _ in range(2))),
    min_size=1,
    max_size=20,
)


def columns(pairs):
    gold, predicted = zip(*pairs, strict=True)
    return np.array(gold), np.array(predicted)


@given(choices)
def test_single_label_as_scikit_learn(pairs):
    gold, predicted = columns(pairs)
    found = single_label(gold, predicted, LABELS)
    assert found.n_documents == len(pairs)
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(gold, predicted))
    expected = metrics.f1_score(gold, predicted, average="macro", zero_division=0)
    assert found.macro_f1.value == pytest.approx(expected)
    assert (found.confusion == metrics.confusion_matrix(gold, predicted, labels=range(4))).all()
    by_label = metrics.precision_recall_fscore_support(
        gold, predicted, labels=range(4), zero_division=0
    )
    for one, *expected in zip(found.per_label, *by_label, strict=True):
        assert [one.precision, one.recall, one.f1, one.n_gold] == pytest.approx(expected)


@given(sets)
def test_multi_label_as_scikit_learn(pairs):
    gold, predicted = columns(pairs)
    found = multi_label(gold, predicted, LABELS)
    assert found.subset_accuracy.value == pytest.approx(metrics.accuracy_score(gold, predicted))
    micro = metrics.f1_score(gold, predicted, average="micro", zero_division=0)
    assert found.micro_f1.value == pytest.approx(micro)
    # Ours leaves out labels that do not occur on either side, as for single labels.
    occurs = (gold | predicted).any(axis=0)
    each = metrics.f1_score(gold, predicted, average=None, zero_division=0)
    assert found.macro_f1.value == pytest.approx(each[occurs].mean() if occurs.any() else 0)
    assert [one.f1 for one in found.per_label] == pytest.approx(each)


@given(numbers)
def test_regression_as_the_slow_version(pairs):
    gold, predicted = columns(pairs)
    found = regression(gold, predicted, n_resamples=0)
    differences = [p - g for g, p in pairs]
    assert found.mean_absolute_error.value == pytest.approx(sum(map(abs, differences)) / len(pairs))
    assert found.root_mean_squared_error.value == pytest.approx(
        (sum(d * d for d in differences) / len(pairs)) ** 0.5
    )
    if len(set(gold)) == 1 or len(set(predicted)) == 1:
        assert found.pearson is None
    else:
        assert found.pearson == pytest.approx(np.corrcoef(gold, predicted)[0, 1], abs=1e-9)


def test_a_constant_side_has_no_correlation_whatever_its_mean_rounds_to():
    assert regression(np.array([0.1, 0.1, 0.1]), np.array([1.0, 2.0, 3.0])).pearson is None
    assert regression(np.array([1.0]), np.array([2.0])).pearson is None


def test_scores_with_nothing_to_divide_by_are_zero():
    nothing = LabelScores("x", 0, 0, 0)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)
    assert LabelScores("x", 0, 2, 0).precision == 0
    no_label = np.zeros((1, 0, 3))
    assert micro_f1(no_label) == macro_f1(no_label) == [0]


def resampled(errors, n_resamples, seed):
    """The bootstrap one draw at a time."""
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(n_resamples):
        chosen = generator.integers(0, len(errors), len(errors))
        values.append(sum(errors[i] for i in chosen) / len(errors))
    return np.quantile(values, [0.025, 0.975])


@given(numbers, st.integers(0, 5))
def test_interval_of_the_mean_error_as_one_draw_at_a_time(pairs, seed):
    gold, predicted = columns(pairs)
    found = regression(gold, predicted, n_resamples=40, seed=seed).mean_absolute_error
    expected = resampled(np.abs(gold - predicted), 40, seed)
    assert [found.low, found.high] == pytest.approx(expected)
    assert found == regression(gold, predicted, n_resamples=40, seed=seed).mean_absolute_error


def test_interval_narrows_with_more_documents_and_holds_the_value():
    widths = []
    for n in (50, 5_000):
        generator = np.random.default_rng(n)
        gold = generator.integers(0, 2, n)
        predicted = np.where(generator.random(n) < 0.8, gold, 1 - gold)
        found = single_label(gold, predicted, ("neg", "pos")).accuracy
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    # The standard error of a share falls with the root of n: by ten here.
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.35)


def test_draws_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch):
    counts = np.random.default_rng(0).integers(0, 5, (7, 2, 3))
    whole = estimate(counts, (micro_f1, macro_f1), n_resamples=25)
    monkeypatch.setattr("longbert.core.measures.counts._CELLS_AT_A_TIME", 20)
    assert estimate(counts, (micro_f1, macro_f1), n_resamples=25) == whole


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: single_label(np.array([0]), np.array([0, 1]), LABELS), "one shape"),
        (lambda: single_label(np.array([4]), np.array([0]), LABELS), r"in \[0, 4\), got 4 to 4"),
        (lambda: single_label(*[np.empty(0, int)] * 2, LABELS), "at least 1 document"),
        (lambda: estimate(np.ones((1, 1)), (), n_resamples=-1), "n_resamples .* got -1"),
        (lambda: estimate(np.ones((1, 1)), (), level=1.0), r"level .* got 1.0"),
    ],
)
def test_what_cannot_be_measured(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
