"""Tuning takes the least effort that reaches a recall, and says what was measured."""

import numpy as np
import pytest

from longbert.errors import ConfigError
from longbert.index.tuning import NEAREST, exact_nearest, steps, tune

DRAW = np.random.default_rng(0)
VECTORS = DRAW.standard_normal((300, 8)).astype("f4")
QUERIES = np.arange(0, 300, 3)
TRUTH = exact_nearest(VECTORS, QUERIES)


def looking_at(share_of_effort):
    """A search that sees rows below a share of all, by effort and candidates."""

    def search(query, effort, candidates):
        seen = VECTORS[: int(300 * min(1, share_of_effort(effort, candidates)))]
        return np.argsort(-(seen @ query), kind="stable")[: NEAREST + 1]

    return search


def tuned(search, recall, efforts=(1, 2, 4, 8), candidates=(0,)):
    return tune(
        search,
        VECTORS,
        QUERIES,
        TRUTH,
        recall=recall,
        efforts=efforts,
        candidates=candidates,
        name="ivf",
    )


def test_the_nearest_are_those_of_a_brute_force_search() -> None:
    products = VECTORS.astype("f8") @ VECTORS.astype("f8").T
    for row, nearest in zip(QUERIES, TRUTH, strict=True):
        products[row, row] = -np.inf
        assert nearest.tolist() == np.argsort(-products[row])[:NEAREST].tolist()


def test_the_least_effort_that_does_is_chosen_and_its_recall_measured() -> None:
    found = tuned(looking_at(lambda effort, _: effort / 8), 0.4)

    assert [trial.effort for trial in found.trials] == [1, 2, 4]
    assert found.chosen == found.trials[-1]
    expected = np.mean((TRUTH < 150).mean(axis=1))
    assert found.chosen.recall == pytest.approx(expected)
    assert 0 < found.chosen.p50_ms <= found.chosen.p99_ms


def test_both_halves_of_the_queries_have_to_reach_it() -> None:
    whole = (TRUTH < 150).mean(axis=1)
    worse = min(half.mean() for half in np.array_split(whole, 2))
    assert worse < whole.mean()
    between = (worse + whole.mean()) / 2

    assert tuned(looking_at(lambda effort, _: effort / 8), between).chosen.effort == 8


def test_more_candidates_are_taken_where_effort_gains_nothing() -> None:
    search = looking_at(lambda _, candidates: candidates / 8)
    found = tuned(search, 0.99, candidates=(2, 4, 8))
    assert (found.chosen.effort, found.chosen.candidates) == (4, 8)


def test_a_recall_out_of_reach_is_told_with_what_was_reached() -> None:
    with pytest.raises(ConfigError, match=r"recall is 0.9, but .* type ivf reaches 0\.[0-7]\d+ at"):
        tuned(looking_at(lambda effort, _: effort / 16), 0.9)


def test_steps_grow_evenly_to_the_last() -> None:
    assert steps(1, 16) == (1, 2, 3, 4, 6, 8, 12, 16)
    assert steps(16, 40) == (16, 24, 32, 40)
    assert steps(1, 1) == (1,)
