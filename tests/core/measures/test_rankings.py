"""Means over queries: their intervals against scipy's."""

import numpy as np
import pytest
from scipy import stats

from longbert.core.measures.rankings import mean_estimates
from longbert.errors import ConfigError


@pytest.mark.parametrize("n", [2, 7, 40, 300])
def test_the_intervals_are_those_of_scipy(n: int) -> None:
    draw = np.random.default_rng(n)
    values = np.stack([draw.beta(4, 2, n), draw.normal(size=n)], axis=1)

    estimates = mean_estimates(values)

    for column, found in zip(values.T, estimates, strict=True):
        expected = stats.bootstrap(
            (column,),
            np.mean,
            n_resamples=20_000,
            method="percentile",
            rng=np.random.default_rng(5),
        ).confidence_interval
        spread = expected.high - expected.low
        assert found.value == pytest.approx(column.mean())
        assert found.low == pytest.approx(expected.low, abs=0.05 * spread)
        assert found.high == pytest.approx(expected.high, abs=0.05 * spread)


def test_equal_values_give_equal_intervals() -> None:
    values = np.random.default_rng(2).random((30, 3))
    assert mean_estimates(values) == mean_estimates(values)


def test_without_any_spread_there_is_no_interval() -> None:
    ones = np.ones((50, 1))
    perfect, mixed = mean_estimates(np.hstack([ones, np.arange(50.0)[:, None]]))
    assert (perfect.value, perfect.low, perfect.high) == (1.0, None, None)
    assert mixed.low is not None
    (single,) = mean_estimates(np.array([[0.25]]))
    assert (single.value, single.low, single.high) == (0.25, None, None)


def test_no_query_has_no_mean() -> None:
    with pytest.raises(ConfigError):
        mean_estimates(np.zeros((0, 2)))
