"""Documents by their vectors: exact where the index is, and only those that are allowed."""

import numpy as np
import pytest
from fakes.memory_files import MemoryFiles
from hypothesis import given, settings
from hypothesis import strategies as st
from support.vectors import clustered, drawn_docs
from support.written_tables import Doc, brute_force, unit, write_output

import longbert.index.dense as dense_module
from longbert.core.ranking import document_scores, score_ceilings
from longbert.index.dense import DenseSearch
from longbert.index.opened import open_vectors
from longbert.index.snapshot import open_snapshot
from longbert.store.folder import OutputFolder

WIDTH = 8
RANKS = ("best", "best-mean", "document")


def dense_search(files: MemoryFiles) -> tuple[DenseSearch, list[str]]:
    snapshot = open_snapshot(OutputFolder(files, "out"))
    assert snapshot.vectors is not None
    search = DenseSearch(snapshot, open_vectors(snapshot, snapshot.vectors))
    return search, list(snapshot.document_ids)


@pytest.mark.parametrize("few", [0, 10_000])
@pytest.mark.parametrize("rank", RANKS)
def test_allowed_documents_are_ranked_as_if_there_were_no_others(
    rank: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense_module, "FEW", few)
    monkeypatch.setattr(dense_module, "CANDIDATES_AT_LEAST", 2)
    monkeypatch.setattr(dense_module, "CANDIDATES_PER_RESULT", 1)
    draw = np.random.default_rng(0)
    docs = drawn_docs("d", 600, WIDTH)
    search, ids = dense_search(write_output(docs, width=WIDTH))
    for share in (0.0, 0.05, 0.5, 1.0):
        allowed = draw.random(len(docs)) < share
        query = unit(draw.standard_normal(WIDTH).astype("f4"))
        found, scores = search.top(query, 7, rank, allowed=allowed)
        kept = [doc for doc, is_kept in zip(docs, allowed, strict=True) if is_kept]
        expected = brute_force(kept, query, 7, rank, "cosine") if kept else []
        assert [(ids[row], score) for row, score in zip(found, scores, strict=True)] == expected


@pytest.mark.parametrize("type", ["hnsw", "ivf", "ivf-pq"])
@pytest.mark.parametrize("rank", ["best", "best-mean"])
def test_what_an_approximate_index_finds_is_scored_exactly(type: str, rank: str) -> None:
    docs = drawn_docs("d", 2_000, WIDTH)
    search, ids = dense_search(write_output(docs, width=WIDTH, type=type))
    n_missed = 0
    for query in clustered(20, WIDTH, seed=8):
        expected = dict(brute_force(docs, query, len(docs), rank, "cosine"))
        found, scores = search.top(query, 10, rank)
        for row, score in zip(found, scores, strict=True):
            assert expected[ids[row]] == score
        assert scores.tolist() == sorted(scores, reverse=True)
        n_missed += len({*list(expected)[:10]} - {ids[row] for row in found})
    assert n_missed < 20


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_no_document_scores_above_its_ceiling(data: st.DataObject) -> None:
    sizes = np.array(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=6)))
    draw = np.random.default_rng(data.draw(st.integers(0, 1_000)))
    scores = draw.standard_normal(sizes.sum()).astype("f4")
    owners = np.repeat(np.arange(len(sizes)), sizes)
    bound = float(data.draw(st.floats(-2, 2, width=32)))
    known = scores > bound
    for rank in ("best", "best-mean"):
        ceilings = score_ceilings(scores[known], owners[known], sizes, bound, rank=rank)
        exact = document_scores(scores, sizes, rank=rank)
        assert (exact <= ceilings + 1e-6).all()
        everything = score_ceilings(scores, owners, sizes, bound, rank=rank)
        np.testing.assert_allclose(everything, exact, atol=1e-6)


def test_documents_that_cannot_be_among_the_best_are_not_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dense_module, "AT_ONCE", 1)
    centre = np.ones(WIDTH)
    docs = []
    for number in range(50):
        vectors = np.array([centre + np.eye(WIDTH)[n % WIDTH] * number for n in range(3)], "f4")
        docs.append(Doc(f"d{number:02}", vectors[0], vectors))
    search, _ = dense_search(write_output(docs, width=WIDTH))
    n_scored = 0
    plain = search.document_scores

    def counting(query, documents, rank):
        nonlocal n_scored
        n_scored += len(documents)
        return plain(query, documents, rank)

    monkeypatch.setattr(search, "document_scores", counting)
    found, _ = search.top(unit(centre.astype("f4")), 2, "best-mean")
    assert found.tolist() == [0, 1]
    assert n_scored < 10
