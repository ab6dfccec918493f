"""Ranking against slow, obvious twins."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbert.core.ranking import (
    ScoredPassage,
    document_scores,
    join_neighbours,
    rows_between,
    similarities,
    top_documents,
    top_passages,
)

SCORE = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0])
DOCUMENTS = st.lists(st.lists(SCORE, max_size=6), max_size=8)


def slow_score(scores: list[float], rank: str) -> float:
    counted = sorted(scores, reverse=True)[: 1 if rank == "best" else 3]
    return float(np.float32(sum(counted) / len(counted))) if counted else -np.inf


@settings(derandomize=True, deadline=None)
@given(DOCUMENTS, st.sampled_from(["best", "best-mean"]))
def test_document_scores_equal_the_obvious_loop(documents: list[list[float]], rank: str) -> None:
    flat = np.array([score for one in documents for score in one], np.float32)
    sizes = np.array([len(one) for one in documents], np.int64)

    found = document_scores(flat, sizes, rank=rank)

    assert found.dtype == np.float32
    assert found.tolist() == [slow_score(one, rank) for one in documents]


@settings(derandomize=True, deadline=None)
@given(DOCUMENTS, st.sampled_from(["best", "best-mean"]), st.integers(1, 3))
def test_several_queries_score_as_each_alone(
    documents: list[list[float]], rank: str, n_queries: int
) -> None:
    sizes = np.array([len(one) for one in documents], np.int64)
    draw = np.random.default_rng(len(documents))
    scores = draw.integers(-2, 3, (n_queries, int(sizes.sum()))).astype(np.float32)

    found = document_scores(scores, sizes, rank=rank)

    assert found.shape == (n_queries, len(documents))
    for of_query, row in zip(scores, found, strict=True):
        assert row.tolist() == document_scores(of_query, sizes, rank=rank).tolist()


@settings(derandomize=True, deadline=None)
@given(st.lists(st.one_of(SCORE, st.just(-np.inf)), max_size=12), st.integers(1, 15), st.data())
def test_top_documents_break_ties_by_id(scores: list[float], k: int, data: st.DataObject) -> None:
    documents = data.draw(st.permutations(range(len(scores))))
    names = data.draw(st.permutations([f"d{number}" for number in range(len(scores))]))
    slow = sorted(
        (place for place, score in enumerate(scores) if score > -np.inf),
        key=lambda place: (-scores[place], names[documents[place]]),
    )

    found = top_documents(
        np.array(scores, np.float32),
        np.array(documents, np.int64),
        k,
        lambda some: [names[one] for one in some.tolist()],
    )

    assert found.tolist() == slow[:k]


def test_ids_are_asked_for_only_where_scores_are_equal() -> None:
    asked: list[int] = []

    def ids(documents: npt.NDArray[np.int64]) -> list[str]:
        asked.extend(documents.tolist())
        return [str(-one) for one in documents.tolist()]

    scores = np.array([0.5, 0.9, 0.5, 0.1, 0.1, -np.inf, -np.inf], np.float32)

    found = top_documents(scores, np.arange(7), 3, ids)

    assert found.tolist() == [1, 2, 0]
    assert asked == [0, 2]


def test_top_passages_break_ties_by_ordinal() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.5], np.float32)

    assert top_passages(scores, np.array([7, 3, 2, 5]), 3).tolist() == [1, 2, 3]


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(st.integers(0, 12), SCORE, max_size=10))
def test_joined_neighbours_are_the_runs_of_ordinals(scores: dict[int, float]) -> None:
    passages = [
        ScoredPassage(ordinal, 10 * ordinal, 10 * ordinal + 10, score)
        for ordinal, score in scores.items()
    ]

    spans = join_neighbours(passages)

    runs = [list(range(span.first_ordinal, span.last_ordinal + 1)) for span in spans]
    assert sorted(one for run in runs for one in run) == sorted(scores)
    for span, run in zip(spans, runs, strict=True):
        assert run[0] - 1 not in scores
        assert run[-1] + 1 not in scores
        assert (span.char_start, span.char_end) == (10 * run[0], 10 * run[-1] + 10)
        assert span.score == max(scores[one] for one in run)
    keys = [(-span.score, span.first_ordinal) for span in spans]
    assert keys == sorted(keys)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=6))
def test_rows_between_lists_every_run(runs: list[tuple[int, int]]) -> None:
    firsts, sizes = np.array(runs, np.int64).reshape(-1, 2).T

    rows = rows_between(firsts, sizes)

    assert rows.tolist() == [row for first, n in runs for row in range(first, first + n)]


@pytest.mark.parametrize("width", [1, 3, 8, 17, 384])
def test_a_similarity_does_not_depend_on_the_other_vectors(width: int) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((50, width)).astype(np.float32)
    query = draw.standard_normal(width).astype(np.float32)

    together = similarities(vectors, query)

    alone = [similarities(vectors[row : row + 1], query)[0] for row in range(len(vectors))]
    assert together.tolist() == [float(score) for score in alone]
    np.testing.assert_allclose(together, vectors @ query, rtol=1e-5, atol=1e-5)


def test_similarities_are_those_of_one_sum_after_another() -> None:
    draw = np.random.default_rng(0)
    vectors, queries = (draw.standard_normal((n, 100)).astype(np.float32) for n in (400, 5))
    # Sums of terms that cancel each other are rounded the more, and so differ by their order.
    vectors = np.hstack([1e4 * vectors, -1e4 * vectors, vectors[::-1]])
    queries = np.hstack([queries, queries, queries])
    slow = np.array([np.multiply(vectors, one, dtype=np.float64).sum(axis=1) for one in queries])
    expected = slow.astype(np.float32)

    together = similarities(vectors, queries)

    product = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    assert (product != expected).any()
    assert together.tolist() == expected.tolist()
    assert similarities(vectors, queries[1]).tolist() == expected[1].tolist()
    assert similarities(vectors[:0], queries).shape == (5, 0)
