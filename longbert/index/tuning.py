"""How hard an approximate index has to look, measured against exact search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from longbert.arrays import FloatMatrix, FloatVector, IntArray
from longbert.errors import ConfigError
from longbert.index.backend import load_faiss, on_gpu

NEAREST = 10
"""Neighbours by which recall is measured."""

_ROWS_AT_ONCE = 16_384
_HALVES = 2
_LITTLE = 0.005
"""Gain in recall below which more candidates are worth more than more effort."""

Search = Callable[[FloatVector, int, int], IntArray]
"""Finds the nearest rows of a query, at least :data:`NEAREST` and itself, best first, by an effort
and a number of candidates."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of a search and what was measured.

    Attributes:
        recall: share of the true nearest found.
        p50_ms, p99_ms: of single queries.
    """

    effort: int
    candidates: int
    recall: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning came to: the setting that was chosen, and all that were tried, in order."""

    chosen: Trial
    trials: tuple[Trial, ...]


def exact_nearest(vectors: FloatMatrix, queries: IntArray) -> IntArray:
    """The true nearest rows of some rows, themselves left out.

    Args:
        vectors: shape (rows, width).
        queries: rows. Shape: (queries,).

    Returns:
        Shape: (queries, NEAREST).
    """
    faiss = load_faiss()
    wanted = np.ascontiguousarray(vectors[queries])
    best = faiss.ResultHeap(len(queries), NEAREST + 1, keep_max=True)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        block = faiss.IndexFlatIP(vectors.shape[1])
        block.add(np.ascontiguousarray(vectors[start : start + _ROWS_AT_ONCE]))
        scores, rows = on_gpu(block).search(wanted, min(NEAREST + 1, block.ntotal))
        best.add_result(scores, rows + start)
    best.finalize()
    return np.array(
        [_others(rows, own) for rows, own in zip(best.I, queries.tolist(), strict=True)]
    )


def tune(
    search: Search,
    vectors: FloatMatrix,
    queries: IntArray,
    truth: IntArray,
    *,
    recall: float,
    efforts: Sequence[int],
    candidates: Sequence[int],
    name: str,
) -> Tuned:
    """Raise the effort until a recall is reached, and the candidates where effort gains little.

    Each half of the queries has to reach it, so that it is not reached by luck alone.

    Args:
        search: of the index.
        vectors: shape (rows, width).
        queries: rows. Shape: (queries,).
        truth: their nearest rows. Shape: (queries, NEAREST).
        recall: to reach.
        efforts: to choose from, ascending.
        candidates: to choose from, ascending.
        name: of the type of index, for messages.

    Raises:
        ConfigError: no setting reaches it.
    """
    trials: list[Trial] = []
    left, deeper = list(efforts), list(candidates)
    while True:
        trial, worse_half = _measure(search, vectors, queries, truth, left[0], deeper[0])
        gained = trial.recall - trials[-1].recall if trials else 1.0
        trials.append(trial)
        if worse_half >= recall:
            return Tuned(trial, tuple(trials))
        if len(deeper) > 1 and (gained < _LITTLE or len(left) == 1):
            deeper.pop(0)
        elif len(left) > 1:
            left.pop(0)
        else:
            break
    raise ConfigError(
        f"recall is {recall}, but an index of type {name} reaches {trials[-1].recall:.4f} at most "
        "on these vectors: name a lower --recall, or another --type"
    )


def steps(least: int, most: int) -> tuple[int, ...]:
    """Numbers that grow by a third or a half each, from ``least`` to ``most``, both included."""
    doubled = [least << n for n in range(most.bit_length())]
    grown = {one for n in doubled for one in (n, n + n // 2) if least <= one < most}
    return (*sorted(grown), most)


def _measure(
    search: Search,
    vectors: FloatMatrix,
    queries: IntArray,
    truth: IntArray,
    effort: int,
    candidates: int,
) -> tuple[Trial, float]:
    """Measure one setting; also the recall of the worse half of the queries."""
    shares, seconds = [], []
    for row, nearest in zip(queries.tolist(), truth, strict=True):
        query = np.ascontiguousarray(vectors[row])
        began = time.perf_counter()
        found = search(query, effort, candidates)
        seconds.append(time.perf_counter() - began)
        shares.append(np.isin(nearest, _others(found, row)).mean())
    p50, p99 = (float(one) for one in np.percentile(seconds, (50, 99)) * 1000)
    worse = min(float(np.mean(half)) for half in np.array_split(shares, _HALVES))
    return Trial(effort, candidates, float(np.mean(shares)), p50, p99), worse


def _others(rows: IntArray, own: int) -> IntArray:
    """The nearest rows other than the query's own."""
    others: IntArray = rows[rows != own][:NEAREST]
    return others
