"""Runs and judgments of TREC, as trec_eval reads them."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from longbert.errors import InputError
from longbert.index.results import trec_lines
from longbert.index.search import Hit
from longbert.readers.trec import parse_qrels, parse_run

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
SCORES = st.floats(width=32, allow_nan=False)


@settings(derandomize=True, deadline=None)
@given(
    results=st.dictionaries(
        IDS,
        st.lists(st.tuples(IDS, SCORES), min_size=1, max_size=8, unique_by=lambda one: one[0]),
        min_size=1,
    )
)
def test_a_written_run_is_read_back(results: dict[str, list[tuple[str, float]]]) -> None:
    hits = {
        query: [
            Hit(rank, document, score, ())
            for rank, (document, score) in enumerate(sorted(own, key=lambda one: -one[1]), 1)
            if np.isfinite(score)
        ]
        for query, own in results.items()
    }
    lines = "\n".join(trec_lines(hits.items()))
    expected = {query: [one.document_id for one in own] for query, own in hits.items() if own}
    if expected:
        assert parse_run(lines.encode(), name="x") == expected


@settings(derandomize=True, deadline=None)
@given(
    scores=st.dictionaries(
        st.sampled_from(["a", "b", "B", "é", "zz", "10", "9"]),
        st.sampled_from([1.0, 1.0 + 1e-9, 0.5, -2.0, 1e39]),
        min_size=1,
    ),
    relevant=st.sampled_from(["a", "b", "é", "9"]),
)
def test_documents_are_ordered_as_by_trec_eval(scores: dict[str, float], relevant: str) -> None:
    lines = "".join(f"q Q0 {one} 0 {score!r} tag\n" for one, score in scores.items())

    ranked = parse_run(lines.encode(), name="x")["q"]

    evaluator = pytrec_eval.RelevanceEvaluator({"q": {relevant: 1}}, {"recip_rank"})
    expected = evaluator.evaluate({"q": scores})["q"]["recip_rank"]
    assert expected == (1 / (ranked.index(relevant) + 1) if relevant in ranked else 0.0)


def test_ids_are_percent_decoded_and_fields_are_split_at_any_white_space() -> None:
    data = b"\xef\xbb\xbfq%201\tQ0  May%203%25.txt 1 2.5 tag\r\n\nq%201 Q0 b 2 3e0 tag"
    assert parse_run(data, name="x") == {"q 1": ["b", "May 3%.txt"]}
    assert parse_qrels(b"q%201 0 May%203%25.txt 2\nq 0 b -1\n", name="x") == {
        "q 1": {"May 3%.txt": 2},
        "q": {"b": 0},
    }


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"q Q0 d 1 0.5", "--run x line 2 has 5 fields, must have 6: query_id Q0 document_id"),
        (b"q Q0 d 1 high tag", "line 2: score must be a number, is 'high'"),
        (b"q Q0 d 1 nan tag", "line 2: score must be a number, is 'nan'"),
        (b"q Q0 a 2 0.5 tag", "line 2: document 'a' stands twice under query 'q'"),
        (b"q Q0 \xff 2 0.5 tag", "line 2 is not UTF-8"),
    ],
)
def test_a_line_that_is_none_of_a_run_is_told(line: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_run(b"q Q0 a 1 1.0 tag\n" + line, name="--run x")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"q 0 d", "line 2 has 3 fields, must have 4: query_id 0 document_id grade"),
        (b"q 0 d 1.5", "line 2: grade must be a whole number, is '1.5'"),
        (b"q 0 d 5000", "line 2: grade must be .* to 1000, got 5000"),
        (b"q 0 a 1", "line 2: document 'a' stands twice"),
    ],
)
def test_a_line_that_is_no_judgment_is_told(line: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_qrels(b"q 0 a 1\n" + line, name="x")


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_an_empty_file_is_told(data: bytes) -> None:
    with pytest.raises(InputError, match="x is empty: each of its lines must be query_id Q0"):
        parse_run(data, name="x")
