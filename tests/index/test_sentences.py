"""Search by the sentences of a query, against scoring everything."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.vectors import clustered, drawn_docs
from support.written_tables import Doc, Floats, write_output

import longbert.index.dense as dense_module
import longbert.index.memory as memory_module
import longbert.index.sentences as sentences_module
from longbert.core.ranking import document_scores, similarities
from longbert.index.search import Index
from longbert.index.sentences import LONG_CHARS, query_parts, with_whole
from longbert.store.folder import OutputFolder

WIDTH = 6
TEXT = "One thing. Another thing? A third."


def documents(seed: int, n: int, distinct: int) -> list[Doc]:
    draw = np.random.default_rng(seed)
    pool = draw.standard_normal((distinct, WIDTH)).astype(np.float32)
    return [
        Doc(f"d{number:02}", pool[0], pool[draw.integers(distinct, size=draw.integers(1, 5))])
        for number in range(n)
    ]


def slow(docs: list[Doc], parts: Floats, rank: str) -> list[tuple[str, float]]:
    scored = []
    for doc in docs:
        assert doc.passages is not None
        own = [
            document_scores(
                similarities(doc.passages, part), np.array([len(doc.passages)]), rank=rank
            )[0].astype(np.float64)
            for part in parts
        ]
        scored.append((doc.document_id, float(np.float32(sum(own) / len(own)))))
    return sorted(scored, key=lambda one: (-one[1], one[0]))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 30),
    k=st.integers(1, 12),
    distinct=st.sampled_from([1, 3, 40]),
    rank=st.sampled_from(["best", "best-mean"]),
)
def test_a_document_scores_the_mean_over_the_parts(
    seed: int, n: int, k: int, distinct: int, rank: str
) -> None:
    docs = documents(seed, n, distinct)
    parts = query_parts(TEXT)
    draw = np.random.default_rng(seed + 1).standard_normal((len(parts), WIDTH))
    vectors = dict(zip(parts, draw.astype(np.float32), strict=True))
    output = OutputFolder(write_output(docs, width=WIDTH, metric="dot"), "out")
    index = Index.open(output, encode=lambda texts: np.stack([vectors[text] for text in texts]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentences_module, "AT_LEAST", 1)
        hits = index.search(TEXT, k, rank)

    expected = slow(docs, np.stack([vectors[part] for part in parts]), rank)
    assert [(hit.document_id, hit.score) for hit in hits] == expected[:k]


def test_a_query_has_a_vector_for_each_sentence_and_for_the_whole() -> None:
    assert query_parts(TEXT) == ["One thing.", "Another thing?", "A third.", TEXT]
    assert query_parts(" one thing ") == [" one thing "]


def test_the_whole_of_a_long_query_is_the_mean_of_its_parts() -> None:
    text = "A sentence of so many words. " * (LONG_CHARS // 20)
    assert text not in query_parts(text)
    assert "".join(query_parts(text)).count("words") == text.count("words")
    parts = query_parts("One. Twooo.")[:2]
    vectors = np.array([[1, 0], [0, 1]], np.float32)

    found = with_whole(vectors, parts, "One. Twooo.")

    assert found[:2].tolist() == vectors.tolist()
    assert found[2].tolist() == pytest.approx([0.4, 0.6])
    assert with_whole(vectors[:1], ["One."], "One.").tolist() == [[1, 0]]


def test_a_long_query_finds_what_its_parts_are_near() -> None:
    docs = documents(3, 20, 40)
    text = "A sentence of so many words. " * (LONG_CHARS // 20)
    parts = query_parts(text)
    draw = np.random.default_rng(5).standard_normal((len(parts), WIDTH)).astype(np.float32)
    asked: list[str] = []

    def encode(texts: list[str]) -> Floats:
        asked.extend(texts)
        return draw[: len(texts)]

    index = Index.open(
        OutputFolder(write_output(docs, width=WIDTH, metric="dot"), "out"), encode=encode
    )
    hits = index.search(text, 5, "best")

    assert asked == parts
    whole = np.average(draw, axis=0, weights=[len(part) for part in parts]).astype(np.float32)
    expected = slow(docs, np.vstack([draw, whole]), "best")
    assert [(hit.document_id, hit.score) for hit in hits] == expected[:5]


@pytest.mark.parametrize(
    ("type", "rank"),
    [
        ("hnsw", "best"),
        ("ivf", "best"),
        ("ivf-rabitq", "best"),
        ("ivf", "best-mean"),
        ("ivf", "document"),
        ("ivf", "hybrid"),
    ],
)
def test_what_is_found_first_depends_on_no_number_in_an_index_that_is_not_exact(
    type: str, rank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "TRAINED_AT_LEAST", 50)
    monkeypatch.setattr(sentences_module, "STAGE", 4)
    monkeypatch.setattr(sentences_module, "AT_LEAST", 1)
    monkeypatch.setattr(dense_module, "CANDIDATES_AT_LEAST", 8)
    monkeypatch.setattr(dense_module, "CANDIDATES_PER_RESULT", 1)
    drawn = drawn_docs("d", 1_200, WIDTH)
    vectors = clustered(len(drawn), WIDTH, seed=3)
    docs = [replace(one, vector=vector) for one, vector in zip(drawn, vectors, strict=True)]
    index = Index.open(
        OutputFolder(write_output(docs, width=WIDTH, type=type), "out"),
        encode=lambda texts: clustered(len(texts), WIDTH, seed=9),
    )
    for query in ("one thing", TEXT):
        (most,) = index.rankings([query], 60, rank)
        hits = index.search(query, 60, rank)
        assert [hit.document_id for hit in hits] == most
        assert len({*most}) == 60
        assert all(one.score >= other.score for one, other in pairwise(hits))
        for k in (1, 3, 4, 5, 11, 37):
            assert index.rankings([query], k, rank) == [most[:k]]
