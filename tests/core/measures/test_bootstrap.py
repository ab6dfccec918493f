"""Intervals by resampling, against scipy's."""

import numpy as np
import pytest
from scipy import stats

from longbert.core.measures import bootstrap
from longbert.core.measures.bootstrap import mean_estimate
from longbert.errors import ConfigError


@pytest.mark.parametrize("n", [2, 7, 40, 300])
def test_the_interval_is_that_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).beta(4, 2, n)

    found = mean_estimate(values)

    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    spread = expected.high - expected.low
    assert found.value == values.mean()
    assert found.low == pytest.approx(expected.low, abs=0.04 * spread)
    assert found.high == pytest.approx(expected.high, abs=0.04 * spread)


def test_it_holds_the_mean_of_the_population_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    estimates = [mean_estimate(draw.beta(4, 2, 50)) for _ in range(200)]
    held = sum(one.low <= 4 / 6 <= one.high for one in estimates)  # type: ignore[operator]
    assert 0.90 <= held / len(estimates) <= 0.99


def test_equal_values_give_equal_intervals_however_they_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(2).random(30)
    before = mean_estimate(values)
    assert mean_estimate(values) == before
    # A block holds whole resamples, so its size changes no draw.
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 1000)
    assert mean_estimate(values) == before


@pytest.mark.parametrize("values", [[0.25], [1.0, 1.0, 1.0], [0.0] * 50])
def test_without_any_spread_there_is_no_interval(values: list[float]) -> None:
    found = mean_estimate(np.array(values))
    assert (found.value, found.low, found.high) == (values[0], None, None)


def test_no_value_has_no_mean() -> None:
    with pytest.raises(ConfigError):
        mean_estimate(np.zeros(0))
