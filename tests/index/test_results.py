"""Hits as records for programs, and as a TREC run."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.index.excerpts import Hit, HitPassage
from longbert.index.results import hit_record, hit_records, hits_table, trec_lines

HITS = [
    Hit(1, "notes/May 3%.txt", float(np.float32(0.7)), (HitPassage(3, 9, 0.75, "[b]ö\n\tx"),)),
    Hit(2, "b", 0.5, (HitPassage(0, 300, 0.5, "word " * 60), HitPassage(400, 402, 0.25, "\x1b["))),
    Hit(3, "c", 0.5, ()),
]


def test_a_record_has_what_the_contract_names() -> None:
    assert hit_record("q", HITS[0]) == {
        "query_id": "q",
        "rank": 1,
        "document_id": "notes/May 3%.txt",
        "score": 0.7,
        "passages": [{"char_start": 3, "char_end": 9, "score": 0.75, "text": "[b]ö\n\tx"}],
    }


def test_records_are_those_of_all_queries_in_order() -> None:
    records = list(hit_records([("a", HITS), ("none", []), ("b", HITS[:1])]))
    assert [(one["query_id"], one["rank"]) for one in records] == [
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 1),
    ]


def test_a_table_has_a_row_for_each_passage() -> None:
    table = hits_table([("a", HITS), ("none", []), ("b", HITS[:1])])

    names = ["query_id", "rank", "document_id", "score"]
    assert [tuple(row.values()) for row in table.select(names).to_pylist()] == [
        ("a", 1, "notes/May 3%.txt", HITS[0].score),
        ("a", 2, "b", 0.5),
        ("a", 2, "b", 0.5),
        ("a", 3, "c", 0.5),
        ("b", 1, "notes/May 3%.txt", HITS[0].score),
    ]
    assert table["char_start"].to_pylist() == [3, 0, 400, None, 3]
    assert table["char_end"].to_pylist() == [9, 300, 402, None, 9]
    assert table["passage_score"].to_pylist() == [0.75, 0.5, 0.25, None, 0.75]
    assert table["text"].to_pylist()[0] == "[b]ö\n\tx"
    assert table.schema == hits_table([]).schema
    assert table.schema.field("score").type == pa.float32()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_scores_are_short_and_the_same_float32(score: float) -> None:
    shown = json.dumps(hit_record("q", Hit(1, "a", score, ()))["score"])
    assert np.float32(shown) == np.float32(score)
    assert len(shown) <= len(repr(score))


def test_trec_encodes_white_space_and_keeps_the_order() -> None:
    lines = list(trec_lines([("q 1", HITS)]))

    fields = [line.split(" ") for line in lines]
    assert [one[:4] for one in fields] == [
        ["q%201", "Q0", "notes/May%203%25.txt", "1"],
        ["q%201", "Q0", "b", "2"],
        ["q%201", "Q0", "c", "3"],
    ]
    assert {len(one) for one in fields} == {6}
    assert {one[5] for one in fields} == {"longbert"}
    scores = [np.float32(one[4]) for one in fields]
    assert scores == sorted(set(scores), reverse=True)
    assert [float(score) for score in scores] == pytest.approx([0.7, 0.5, 0.5])


@pytest.mark.parametrize("name", ["a\u00a0b", "a\u2028b", "a\tb", "a\x00b", "a\u3000b"])
def test_trec_has_six_fields_whatever_the_id(name: str) -> None:
    hit = Hit(1, name, 0.5, ())
    (line,) = trec_lines([(name, [hit])])
    assert len(line.split()) == 6


def test_a_long_tie_stays_in_order() -> None:
    hits = [Hit(rank, str(rank), 0.0, ()) for rank in range(1, 200)]
    scores = [np.float32(line.split()[4]) for line in trec_lines([("q", hits)])]
    assert scores == sorted(set(scores), reverse=True)
    assert len(scores) == 199
