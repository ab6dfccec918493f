"""Analysis and the file of a part, against the obvious count of words."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from longbert.core.lexical import PAIR_WEIGHT
from longbert.errors import OutputError
from longbert.index.lexical.analysis import analyse, pairs, query_terms
from longbert.index.lexical.languages import ANALYSIS
from longbert.index.lexical.part import DocumentPassages, LexicalPart, build_part, open_part

WORD = st.sampled_from(["red", "blue", "green", "水火", "Ünïon", "it's"])
PASSAGE = st.lists(WORD, max_size=6)
DOCUMENTS = st.lists(st.lists(PASSAGE, min_size=1, max_size=5), max_size=4)


def built(documents: list[list[list[str]]]) -> bytes:
    return build_part(
        [
            DocumentPassages(
                "".join("".join(f"{word} " for word in one) for one in document),
                [
                    sum(len(word) + 1 for one in document[:number] for word in one)
                    for number in range(len(document))
                ],
            )
            for document in documents
        ],
        language="none",
    )


def number(word: str) -> int:
    return int(analyse(word, language="none").terms[0])


def counts(part: LexicalPart, term: int) -> dict[int, int]:
    found = part.find(np.array([term], np.uint64), np.array([0]))
    return dict(zip(found.passages.tolist(), found.counts.tolist(), strict=True))


@given(DOCUMENTS)
def test_postings_are_the_counts_of_words_and_pairs(documents: list[list[list[str]]]) -> None:
    # A passage without words holds no character, so the next one begins at the same place.
    documents = [[one for one in document if one] or [[]] for document in documents]
    part = open_part(built(documents), path="part")

    words: dict[int, Counter[int]] = {}
    base = 0
    for document in documents:
        stream = [(base + ordinal, word) for ordinal, one in enumerate(document) for word in one]
        for passage, word in stream:
            for one in [word, *(word if word == "水火" else "")]:
                words.setdefault(number(one), Counter())[passage] += 1
        for (passage, first), (_, second) in pairwise(stream):
            pair = pairs(
                analyse(first, language="none").terms[-1:],
                analyse(second, language="none").terms[:1],
            )
            words.setdefault(int(pair[0]), Counter())[passage] += 1
        base += len(document)

    assert part.terms.tolist() == sorted(words)
    for term, expected in words.items():
        assert counts(part, term) == dict(expected)
    assert part.totals.documents == len(documents)
    assert part.totals.words == sum(len(one) for document in documents for one in document)
    assert part.layout.words.tolist() == [len(one) for document in documents for one in document]


def test_the_same_documents_give_the_same_bytes() -> None:
    documents = [[["red", "blue"], ["green"]], [["it's"]]]

    assert built(documents) == built(documents)
    assert set(load(built(documents))) >= {"terms", "starts", "passages", "counts"}


def test_a_term_that_is_not_there_has_no_postings() -> None:
    part = open_part(built([[["red"]]]), path="part")

    for term in (number("blue"), 0, 2**64 - 1):
        assert counts(part, term) == {}


def test_several_terms_are_found_at_once_as_each_alone() -> None:
    part = open_part(built([[["red", "blue"], ["red"]], [["blue", "blue"]]]), path="part")
    words = ["red", "green", "blue", "red"]

    # The last two are two ways to write one term.
    found = part.find(np.array([*map(number, words)], np.uint64), np.array([0, 1, 2, 2]))

    assert found.terms.tolist() == [0, 0, 2, 2, 2]
    assert found.passages.tolist() == [0, 1, 0, 1, 2]
    assert found.documents.tolist() == [0, 0, 0, 0, 1]
    assert found.counts.tolist() == [1, 1, 2, 1, 2]


@pytest.mark.parametrize("damage", ["short", "header", "analysis"])
def test_a_damaged_file_is_refused(damage: str) -> None:
    data = built([[["red", "blue"]]])
    data = {
        "short": data[:-8],
        "header": b"\xff" * len(data),
        "analysis": data.replace(b'\\"analysis\\": %d' % ANALYSIS, b'\\"analysis\\": 9'),
    }[damage]

    with pytest.raises(OutputError, match="lexical/x"):
        open_part(data, path="lexical/x")


def test_a_word_of_a_query_is_looked_for_in_every_language() -> None:
    (term,) = query_terms("running", languages=["none", "en"])

    assert term.variants == tuple(sorted({number("running"), number("run")}))
    assert term.weights == (1,)


def test_repeated_words_of_a_query_weigh_more() -> None:
    weights = Counter(term.weights for term in query_terms("red red red", languages=["none"]))

    assert weights == {(3.0,): 1, (2 * PAIR_WEIGHT,): 1}


def test_terms_know_the_sentences_of_a_query_that_they_stand_in() -> None:
    terms = query_terms("- Red car. Red house!", languages=["none"])

    found = {term.variants: term.weights for term in terms if not term.is_pair}
    assert found == {(number("red"),): (1, 1), (number("car"),): (1, 0), (number("house"),): (0, 1)}
    # A pair that crosses a border stands where its first word does.
    across = pairs(*(np.array([number(one)], np.uint64) for one in ("car", "red")))
    assert [term.weights for term in terms if term.variants == (int(across[0]),)] == [
        (PAIR_WEIGHT, 0)
    ]


def test_pairs_are_ordered() -> None:
    one, other = np.array([5], np.uint64), np.array([7], np.uint64)

    assert pairs(one, other) != pairs(other, one)
