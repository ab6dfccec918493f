"""Measures of rankings against their definitions, and what judgments must be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbert.core.measures.rankings import MEASURES, mean_estimates
from longbert.engine.evaluate_ranking import Ranking, evaluate_rankings, query_values
from longbert.errors import InputError

DOCUMENTS = ["a", "b", "a\0", "a\0b", "c d", "é", "", *map(str, range(150))]


def by_definition(found: Sequence[str], grades: Mapping[str, int]) -> list[float]:
    """The five measures of one query as papers write them."""

    def gain(ranked: Sequence[int]) -> float:
        return sum(grade / math.log2(place + 2) for place, grade in enumerate(ranked[:10]))

    relevant = {one for one, grade in grades.items() if grade > 0}
    places = [place for place, one in enumerate(found, 1) if one in relevant]
    return [
        gain([grades.get(one, 0) for one in found]) / gain(sorted(grades.values(), reverse=True)),
        next((1 / place for place in places if place <= 10), 0.0),
        sum(number / place for number, place in enumerate(places, 1)) / len(relevant),
        len(relevant & {*found[:10]}) / len(relevant),
        len(relevant & {*found[:100]}) / len(relevant),
    ]


@settings(derandomize=True, deadline=None)
@given(
    found=st.lists(st.sampled_from(DOCUMENTS), unique=True, max_size=len(DOCUMENTS)),
    grades=st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3)).filter(
        lambda grades: any(grades.values())
    ),
)
def test_measures_are_those_of_their_definitions(found: list[str], grades: dict[str, int]) -> None:
    values = query_values(Ranking("x", {"q\0": found}), {"q\0": grades}, ["q\0"])

    assert values.shape == (1, len(MEASURES))
    assert values[0] == pytest.approx(by_definition(found, grades))


GRADES = {
    "one": {"a": 1},
    "two": {"b": 2, "c": 1, "d": 0},
    "nothing": {"a": 0},
    "three": {"c": 1},
}
BETTER = Ranking("better", {"one": ["a", "b"], "two": ["b", "c"], "three": ["b", "c"]})
WORSE = Ranking("worse", {"one": ["b", "a"], "two": ["b", "c"], "three": ["c"], "other": ["a"]})


def test_means_are_over_the_queries_that_have_a_relevant_document() -> None:
    found = evaluate_rankings(BETTER, GRADES, document_ids=["a", "b", "c"])

    assert found.query_ids == ("one", "two", "three")
    assert found.n_relevant == 4
    assert found.without_relevant == ("nothing",)
    assert (found.without_judgments, found.without_ranking, found.not_in_output) == ((), (), ())
    assert found.estimates == mean_estimates(found.values)
    record = found.to_json()
    assert record["mrr@10"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert record["intervals"]["recall@10"] is None
    low, high = record["intervals"]["mrr@10"]
    assert 0.5 <= low < high <= 1
    assert record["per_query"][2]["id"] == "three"
    assert record["per_query"][2]["mrr@10"] == 0.5


def test_two_rankings_are_compared_query_by_query() -> None:
    found = evaluate_rankings(BETTER, GRADES, against=WORSE)

    assert found.against is not None
    assert found.against.differences == mean_estimates(found.values - found.against.values)
    half = 1 / math.log2(3)
    gains = [
        (query, pytest.approx(own), pytest.approx(other)) for query, own, other in found.gains()
    ]
    assert gains == [("one", 1.0, half), ("three", half, 1.0)]
    record = found.to_json()
    assert record["against"]["ranking"] == "worse"
    assert record["against"]["differences"]["mrr@10"] == pytest.approx(0.0)
    assert record["per_query"][0]["against"]["mrr@10"] == 0.5
    assert evaluate_rankings(BETTER, GRADES).gains() == []


def test_queries_of_one_side_only_are_told() -> None:
    found = evaluate_rankings(WORSE, {**GRADES, "four": {"a": 1}})
    assert found.without_judgments == ("other",)
    assert found.without_ranking == ("four",)
    assert found.values[-1].tolist() == [0.0] * len(MEASURES)


def test_judgments_of_unknown_documents_are_told_and_count_as_not_found() -> None:
    known = evaluate_rankings(BETTER, {"one": {"a": 1}}, document_ids=["a", "b"])
    found = evaluate_rankings(
        BETTER, {"one": {"a": 1, "nowhere": 1, "unjudged": 0}}, document_ids=["a", "b"]
    )

    assert known.to_json()["recall@10"] == 1.0
    assert found.to_json()["recall@10"] == 0.5
    assert found.not_in_output == ("nowhere",)


def test_judgments_of_another_corpus_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"none of the 3 relevant documents: .* like 'a', .* output like 'docs/x'"
    ):
        evaluate_rankings(BETTER, GRADES, document_ids=["docs/x"])


def test_a_run_of_other_queries_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"other.trec ranks none of the 3 queries .* like 'q1', .* like 'one'"
    ):
        evaluate_rankings(BETTER, GRADES, against=Ranking("other.trec", {"q1": ["a"]}))


def test_without_a_relevant_document_nothing_is_measured() -> None:
    with pytest.raises(InputError, match="none of 1 queries has a relevant document"):
        evaluate_rankings(BETTER, {"one": {"a": 0}})


def test_the_order_of_the_queries_changes_no_value() -> None:
    values = query_values(BETTER, GRADES, ["one", "two", "three"])
    turned = query_values(BETTER, GRADES, ["three", "two", "one"])
    np.testing.assert_array_equal(values, turned[::-1])
