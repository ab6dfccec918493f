"""95% intervals of means over queries, by resampling the queries."""

from __future__ import annotations

import numpy as np

from longbert.arrays import DoubleArray
from longbert.core.measures.counts import Estimate, check_number

_RESAMPLES = 10_000
_SEED = 0
_DRAWN_AT_ONCE = 1_000_000
_QUANTILES = (0.025, 0.975)


def mean_estimate(values: DoubleArray) -> Estimate:
    """The mean of some values, with the percentile interval of the bootstrap.

    The interval is made of means of as many values, drawn with replacement (Efron & Tibshirani
    1993, chapter 13). The draw is seeded, so that equal values give an equal interval.

    Args:
        values: one for each query: a score, or how much two scores differ. Shape: (n,).

    Returns:
        An estimate without an interval where all values are equal: resampling them shows no
        spread, however few there are.

    Raises:
        ConfigError: there is no value.
    """
    check_number(len(values))
    mean = float(values.mean())
    if (values == values[0]).all():
        return Estimate(mean)
    low, high = np.quantile(_resampled_means(values), _QUANTILES)
    return Estimate(mean, float(low), float(high))


def _resampled_means(values: DoubleArray) -> DoubleArray:
    draw = np.random.default_rng(_SEED)
    n_at_once = max(1, _DRAWN_AT_ONCE // len(values))
    means = []
    for start in range(0, _RESAMPLES, n_at_once):
        n_here = min(n_at_once, _RESAMPLES - start)
        means.append(values[draw.integers(len(values), size=(n_here, len(values)))].mean(axis=1))
    whole: DoubleArray = np.concatenate(means)
    return whole
