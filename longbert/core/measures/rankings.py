"""Means of measures over queries, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from longbert.arrays import DoubleArray
from longbert.core.measures.counts import Estimate, estimate

MEASURES = {
    "ndcg@10": "nDCG@10",
    "mrr@10": "RR@10",
    "map": "AP",
    "recall@10": "R@10",
    "recall@100": "R@100",
}
"""The measures by name, as ir-measures writes them."""

_RESAMPLES = 10_000


def mean_estimates(values: DoubleArray) -> tuple[Estimate, ...]:
    """The mean of every measure over all queries, with the bootstrap's interval over queries.

    Args:
        values: what each measure gives to each query, or how much two rankings differ there.
            Shape: (queries, measures), at least one query.

    Returns:
        Estimates without an interval where all queries have the same value: resampling them
        shows no spread, however few there are.

    Raises:
        ConfigError: there is no query.
    """
    columns: list[Callable[[DoubleArray], DoubleArray]] = [
        partial(_mean, column=number, n=len(values)) for number in range(values.shape[1])
    ]
    estimates = estimate(values, columns, n_resamples=_RESAMPLES)
    is_equal = (values == values[:1]).all(axis=0)
    return tuple(
        Estimate(one.value) if equal else one
        for one, equal in zip(estimates, is_equal.tolist(), strict=True)
    )


def _mean(sums: DoubleArray, *, column: int, n: int) -> DoubleArray:
    mean: DoubleArray = sums[:, column] / n
    return mean
