"""Fusion of standardised scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.fusion import combined, lowered, standardised

SCORES = st.lists(st.floats(-100, 100, width=32), max_size=12)


@given(SCORES, st.randoms(use_true_random=False))
def test_order_of_the_candidates_changes_no_bit(scores: list[float], random: object) -> None:
    values = np.array(scores, np.float32)
    order = list(range(len(scores)))
    random.shuffle(order)  # type: ignore[attr-defined]

    assert standardised(values)[order].tolist() == standardised(values[order]).tolist()


def test_standardised_scores_have_mean_0_and_deviation_1() -> None:
    found = standardised(np.array([1, 2, 3, 10], np.float32))

    np.testing.assert_allclose([found.mean(), found.std()], [0, 1], atol=1e-12)


def test_equal_scores_say_nothing() -> None:
    assert standardised(np.full(7, 0.1, np.float32)).tolist() == [0] * 7


def test_combined_weighs_each_kind() -> None:
    scores = {"runs": np.array([1, 3], np.float32), "dense": np.array([0.9, 0.1], np.float32)}

    found = combined(scores, {"runs": 3.0, "dense": 1.0})

    assert found.tolist() == [-0.5, 0.5]


def test_other_candidates_are_measured_by_those_before() -> None:
    first, further = np.array([1, 3], np.float32), np.array([2, 7], np.float32)

    assert standardised(further, first).tolist() == [0, 5]
    assert standardised(further, np.array([1, 1], np.float32)).tolist() == [0, 0]
    assert standardised(further, np.zeros(0, np.float32)).tolist() == [0, 0]
    found = combined({"runs": further}, {"runs": 3.0}, like={"runs": first})
    assert found.tolist() == [0, 5]


@given(SCORES, st.floats(-100, 100, width=32))
def test_lowered_scores_are_below_and_in_the_same_order(scores: list[float], bound: float) -> None:
    values = np.array(scores, np.float32)

    found = lowered(values, bound)

    assert (found < bound).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    if len(values) and values.max() < bound:
        assert found.tolist() == values.tolist()
