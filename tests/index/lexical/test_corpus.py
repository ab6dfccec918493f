"""A corpus of parts, against one part and against another implementation of BM25."""

import json

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.lexical import DOCUMENT_B, DOCUMENT_K1
from longbert.errors import OutputError
from longbert.index.lexical.analysis import query_terms
from longbert.index.lexical.corpus import LexicalCorpus
from longbert.index.lexical.part import DocumentPassages, build_part, open_part

TEXTS = [
    "the contract ends in May and the price is fixed",
    "price of gold rises",
    "the meeting agreed on the price of the contract",
    "weather in May",
    "gold gold gold",
]


def corpus(*parts: list[str]) -> LexicalCorpus:
    return LexicalCorpus(
        [
            open_part(
                build_part([DocumentPassages(text, [0, 8]) for text in part], language="none"),
                path="part",
            )
            for part in parts
        ]
    )


@pytest.mark.parametrize("query", ["price of gold", "the contract", "May gold weather"])
def test_documents_score_as_in_bm25s(query: str) -> None:
    # bm25s knows no pairs: a query of single words, added up.
    tokens = [[str(t.variants[0]) for t in query_terms(w, languages=[])] for w in query.split()]
    retriever = bm25s.BM25(method="lucene", k1=DOCUMENT_K1, b=DOCUMENT_B)
    corpus_tokens = [
        [str(query_terms(word, languages=[])[0].variants[0]) for word in text.split()]
        for text in TEXTS
    ]
    retriever.index(corpus_tokens, show_progress=False)
    opened = corpus(TEXTS)

    found = np.zeros(len(TEXTS))
    for word in query.split():
        match = opened.match(word)
        assert match is not None
        found += match.documents

    reference = retriever.get_scores([token for one in tokens for token in one])
    # Its scores leave out the constant factor k1 + 1.
    np.testing.assert_allclose(found, reference * (DOCUMENT_K1 + 1), rtol=1e-5)


def test_parts_change_no_score() -> None:
    whole, parts = corpus(TEXTS), corpus(TEXTS[:2], [], TEXTS[2:])

    one, other = whole.match("price of gold in May"), parts.match("price of gold in May")

    assert one is not None
    assert other is not None
    assert one.documents.tolist() == other.documents.tolist()
    assert one.runs.tolist() == other.runs.tolist()
    for document in range(len(TEXTS)):
        assert one.passages(document).tolist() == other.passages(document).tolist()
        assert 0 <= one.passages(document).min() <= one.passages(document).max() <= 1


def test_words_that_no_document_has_have_no_weight() -> None:
    opened = corpus(TEXTS)

    one, other = opened.match("price of gold"), opened.match("price of gold zebra")

    assert one is not None
    assert other is not None
    assert one.term_weights == other.term_weights
    assert one.highest == other.highest


@pytest.mark.parametrize("query", ["", "?!", "zebra", "zebra crossing"])
def test_a_query_without_a_known_word_finds_nothing(query: str) -> None:
    assert corpus(TEXTS).match(query) is None
    assert corpus([]).match(query) is None


def test_a_word_that_a_query_repeats_weighs_no_more_where_it_is_marked() -> None:
    once, often = (corpus(TEXTS).match(f"{the} price") for the in ("the", "the the the the"))

    assert once is not None
    assert often is not None
    assert once.term_weights == often.term_weights


WHOLE = build_part(
    [DocumentPassages(text, [0, 8, 20]) for text in [*TEXTS, "水水 水水 水水 水水 price price"]],
    language="none",
)


@given(
    place=st.floats(0, 1),
    damage=st.one_of(
        st.binary(min_size=1, max_size=40),
        st.builds(lambda byte, n: byte * n, st.binary(min_size=1, max_size=1), st.integers(1, 300)),
    ),
    query=st.sampled_from(["price of gold in May", "the contract of the contract", "水水 水"]),
)
def test_a_damaged_part_answers_or_is_refused(place: float, damage: bytes, query: str) -> None:
    start = int(place * (len(WHOLE) - len(damage)))
    data = WHOLE[:start] + damage + WHOLE[start + len(damage) :]
    told = ""
    try:
        match = LexicalCorpus([open_part(data, path="lexical/x")]).match(query)
        for document in range(len(TEXTS) + 1 if match else 0):
            assert match is not None
            match.passages(document)
    except OutputError as error:
        told = str(error)
    assert not told or ("lexical/x" in told and "run longbert again to make it anew" in told)


@pytest.mark.parametrize("array", ["starts", "passages", "counts", "words", "documents"])
def test_an_array_that_was_overwritten_is_told(array: str) -> None:
    size = int.from_bytes(WHOLE[:8], "little")
    start, stop = json.loads(WHOLE[8 : 8 + size])[array]["data_offsets"]
    data = bytearray(WHOLE)
    data[8 + size + start : 8 + size + stop - 1] = b"\xff" * (stop - start - 1)
    with pytest.raises(OutputError, match=r"^lexical/x is damaged \(.*\): remove it, and run"):
        LexicalCorpus([open_part(bytes(data), path="lexical/x")]).match("price of gold")
