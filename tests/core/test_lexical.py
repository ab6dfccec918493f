"""BM25 from postings against the obvious loops."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.lexical import (
    BLOCK_PASSAGES,
    DOCUMENT_B,
    DOCUMENT_K1,
    RUN_B,
    RUN_K1,
    SENTENCE_BLOCK_PASSAGES,
    Layout,
    Occurrences,
    Totals,
    TotalsStream,
    highest_score,
    inverse_frequency,
    score_documents,
    score_passages,
)

Document = list[list[int]]
PASSAGE = st.lists(st.integers(0, 3), max_size=5)
DOCUMENTS = st.lists(st.lists(PASSAGE, min_size=1, max_size=20), min_size=1, max_size=6)
N_TERMS = 4


def layout_of(documents: list[Document]) -> Layout:
    starts = np.cumsum([0, *map(len, documents)])
    words = np.array([len(one) for document in documents for one in document], np.uint16)
    return Layout(starts, words)


def occurrences_of(documents: list[Document], terms: list[int]) -> Occurrences:
    """Where terms stand; a negative number is another way to write the term before it."""
    lists = []
    place = -1
    for term in terms:
        place += term >= 0
        counts = np.array([one.count(abs(term)) for document in documents for one in document])
        passages = np.flatnonzero(counts)
        lists.append((np.full(len(passages), place), passages, counts[passages]))
    found = (np.concatenate(one).astype(np.int64) for one in zip(*lists, strict=True))
    return Occurrences.of(*found, layout_of(documents))


def runs_of(document: Document, block_passages: int = BLOCK_PASSAGES) -> list[Document]:
    blocks = [document[i : i + block_passages] for i in range(0, len(document), block_passages)]
    return [a + b for a, b in pairwise(blocks)] or blocks


def slow_bm25(
    texts: list[list[int]], idf: list[float], mean: float, *, k1: float, b: float
) -> list[float]:
    scores = []
    for text in texts:
        ratio = len(text) / mean
        score = 0.0
        for term in range(N_TERMS):
            count = text.count(term)
            if not count:
                continue
            score += idf[term] * count * (k1 + 1) / (count + k1 * (1 - b + b * ratio))
        scores.append(score)
    return scores


def flat(document: Document) -> list[int]:
    return [term for passage in document for term in passage]


def mean_length(texts: list[list[int]]) -> float:
    return max(sum(map(len, texts)), 1) / len(texts)


@given(DOCUMENTS)
def test_scores_equal_the_obvious_loops(documents: list[Document]) -> None:
    layout = layout_of(documents)
    totals = Totals.of(layout)
    occurrences = occurrences_of(documents, [*range(N_TERMS)])
    frequencies = [sum(term in flat(one) for one in documents) for term in range(N_TERMS)]
    idf = [math.log1p((len(documents) - n + 0.5) / (n + 0.5)) for n in frequencies]
    weights = inverse_frequency(np.array(frequencies), totals.documents)
    whole = [flat(one) for one in documents]
    runs = [[flat(run) for run in runs_of(one)] for one in documents]
    passages = [passage for one in documents for passage in one]
    mean_run = mean_length([run for one in runs for run in one])
    pairs = [[flat(run) for run in runs_of(one, SENTENCE_BLOCK_PASSAGES)] for one in documents]
    # The first sentence has the first two terms, the second one the others and a part of these.
    shares = np.array([[1, 0.5, 0, 0], [0, 0.5, 1, 1]])
    by_sentence = [
        [max(slow_bm25(one, share, 2 * mean_length(passages), k1=RUN_K1, b=RUN_B)) for one in pairs]
        for share in (shares * idf).tolist()
    ]

    found = score_documents(occurrences, shares * weights, layout, totals)

    assert occurrences.document_frequencies(N_TERMS).tolist() == frequencies
    assert occurrences.passage_frequencies(N_TERMS).tolist() == [
        sum(term in one for one in passages) for term in range(N_TERMS)
    ]
    np.testing.assert_allclose(
        found.documents,
        slow_bm25(whole, idf, mean_length(whole), k1=DOCUMENT_K1, b=DOCUMENT_B),
        rtol=1e-5,
        atol=1e-7,
    )
    np.testing.assert_allclose(
        found.runs,
        [max(slow_bm25(one, idf, mean_run, k1=RUN_K1, b=RUN_B)) for one in runs],
        rtol=1e-5,
        atol=1e-7,
    )
    np.testing.assert_allclose(found.sentences, np.sum(by_sentence, axis=0), rtol=1e-5, atol=1e-7)
    for number, document in enumerate(documents):
        scores = score_passages(occurrences, weights, layout, totals, document=number)
        slow = slow_bm25(document, idf, mean_length(passages), k1=RUN_K1, b=RUN_B)
        np.testing.assert_allclose(scores, slow, rtol=1e-5, atol=1e-7)
        assert scores.max() <= highest_score(weights) + 1e-5


@given(DOCUMENTS, st.data())
def test_parts_score_as_the_whole(documents: list[Document], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(documents)))
    parts = [documents[:cut], documents[cut:]]
    layouts = [layout_of(one) for one in parts]
    totals = Totals.of(layouts[0]) + Totals.of(layouts[1])
    weights = np.array([[1.0, 0.5, 0.0, 2.0], [0.0, 0.0, 0.25, 0.5]])

    whole = score_documents(
        occurrences_of(documents, [*range(N_TERMS)]),
        weights,
        layout_of(documents),
        totals,
    )
    found = [
        score_documents(occurrences_of(one, [*range(N_TERMS)]), weights, layout, totals)
        for one, layout in zip(parts, layouts, strict=True)
    ]

    assert Totals.of(layout_of(documents)) == totals
    assert [*found[0].documents, *found[1].documents] == whole.documents.tolist()
    assert [*found[0].runs, *found[1].runs] == whole.runs.tolist()
    assert [*found[0].sentences, *found[1].sentences] == whole.sentences.tolist()


@given(st.lists(PASSAGE, min_size=1, max_size=9))
def test_counts_of_the_ways_a_term_is_written_add_up(document: Document) -> None:
    merged = occurrences_of([document], [0, -1, 2, 9])

    both = [one.count(0) + one.count(1) for one in document]
    other = [one.count(2) for one in document]
    rows = [(term, row) for term, counts in enumerate([both, other]) for row in range(len(counts))]
    expected = [(term, row, [both, other][term][row]) for term, row in rows]
    found = zip(merged.terms, merged.passages, merged.counts, strict=True)
    assert list(found) == [one for one in expected if one[2]]


@pytest.mark.parametrize("total", [1, 10, 10**6])
def test_inverse_frequency_falls_and_stays_positive(total: int) -> None:
    weights = inverse_frequency(np.array([0, 1, total]), total)

    assert (np.diff(weights) < 0).all() or total == 1
    assert (weights > 0).all()


@given(st.lists(st.lists(st.integers(0, 300), max_size=20), max_size=5))
def test_totals_of_passages_that_come_in_pieces(pieces: list[list[int]]) -> None:
    stream = TotalsStream()
    for piece in pieces:
        stream.add(np.array(piece, np.uint64))
    words = [one for piece in pieces for one in piece]
    layout = Layout(np.array([0, len(words)]), np.array(words, np.uint64))
    assert stream.finish() == Totals.of(layout)
