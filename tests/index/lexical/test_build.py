"""The lexical file of a part, from its tables."""

import numpy as np
import pyarrow as pa
import pytest

from longbert.index.lexical.analysis import analyse, pairs
from longbert.index.lexical.build import build_lexical
from longbert.index.lexical.part import LexicalPart, open_part

DOCUMENTS = {"b": ["red fish ", "blue fish"], "a": ["fish"], "c": ["", "red"]}


def tables(documents: dict[str, list[str]]) -> tuple[pa.Table, pa.Table]:
    rows = [
        {
            "document_id": document_id,
            "ordinal": ordinal,
            "char_start": sum(map(len, passages[:ordinal])),
            "text": text,
        }
        for document_id, passages in documents.items()
        for ordinal, text in enumerate(passages)
    ]
    return pa.table({"document_id": list(documents)}), pa.Table.from_pylist(rows)


def number(word: str) -> int:
    return int(analyse(word, language="none").terms[0])


def passages_with(part: LexicalPart, term: int) -> list[int]:
    return part.find(np.array([term], np.uint64), np.array([0])).passages.tolist()


def test_words_stand_in_the_passages_of_the_tables() -> None:
    part = open_part(build_lexical(*tables(DOCUMENTS), language="none"), path="x")

    places = {word: passages_with(part, number(word)) for word in ("fish", "red")}

    # Positions of passages in the part, document after document.
    assert places == {"fish": [0, 1, 2], "red": [0, 4]}
    assert part.layout.starts.tolist() == [0, 2, 3, 5]
    assert part.layout.words.tolist() == [2, 2, 1, 0, 1]
    assert part.languages == {"none": 3}


def test_pairs_cross_the_borders_of_passages_but_not_of_documents() -> None:
    part = open_part(build_lexical(*tables(DOCUMENTS), language="none"), path="x")

    def of(first: str, second: str) -> list[int]:
        words = (analyse(one, language="none").terms for one in (first, second))
        return passages_with(part, int(pairs(*words)[0]))

    assert of("fish", "blue") == [0]
    assert of("fish", "fish") == []
    assert of("fish", "red") == []


def test_the_order_of_passages_in_the_table_does_not_matter() -> None:
    documents, passages = tables(DOCUMENTS)
    whole = build_lexical(documents, passages, language="none")

    shuffled = passages.take(pa.array([4, 0, 2, 1, 3]))

    assert build_lexical(documents, shuffled, language="none") == whole


def test_words_that_are_known_already_are_not_looked_for_again() -> None:
    texts = {"".join(one): analyse("".join(one), language="none") for one in DOCUMENTS.values()}
    whole = build_lexical(*tables(DOCUMENTS), language="none")
    assert build_lexical(*tables(DOCUMENTS), language="none", analysed=texts) == whole

    part = open_part(
        build_lexical(
            *tables(DOCUMENTS), language="none", analysed={"fish": analyse("bird", language="none")}
        ),
        path="x",
    )
    assert passages_with(part, number("bird")) == [2]
    assert passages_with(part, number("fish")) == [0, 1]


@pytest.mark.parametrize(("language", "found"), [("none", 0), ("en", 1), ("auto", 1)])
def test_words_are_stemmed_in_the_language_asked_for(language: str, found: int) -> None:
    text = "The contracts were ending as the parties had agreed in the meetings."
    part = open_part(build_lexical(*tables({"a": [text]}), language=language), path="x")

    assert len(passages_with(part, number("contract"))) == found


def test_a_part_without_documents_is_a_file_all_the_same() -> None:
    empty = pa.table(
        {
            name: pa.array([], kind)
            for name, kind in zip(
                ("document_id", "ordinal", "char_start", "text"),
                (pa.string(), pa.int32(), pa.int64(), pa.string()),
                strict=True,
            )
        }
    )
    part = open_part(build_lexical(empty.select(["document_id"]), empty, language="en"), path="x")
    assert part.totals.documents == part.totals.passages == len(part.terms) == 0
