"""The comparison of overlaps: its numbers are what it says they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from overlap import (
    Compared,
    Cost,
    class_counts,
    counts_of_values,
    entity_counts,
    main,
    mean,
    table,
)

from longbert.core.measures.counts import micro_f1
from longbert.records import (
    Classification,
    Document,
    DocumentResult,
    Entity,
    LabelledDocument,
    LabelledSpan,
)

COSTS = [Cost(40, 8.0), Cost(30, 5.0)]


def result(*, entities: list[LabelledSpan] | None = None, label: str = "") -> DocumentResult:
    return DocumentResult(
        document=Document("d", "a text"),
        content_sha256="",
        n_chars=6,
        n_tokens=2,
        n_windows=1,
        n_chars_covered=6,
        n_chars_unknown=0,
        embedding=None,
        passages=(),
        entities=tuple(
            Entity("names", one.char_start, one.char_end, one.label, 0.5, "")
            for one in entities or ()
        ),
        classifications=tuple(
            Classification("tone", one, 0.5, one == label) for one in ("neg", "pos")
        ),
    )


def test_an_entity_counts_by_span_and_label() -> None:
    gold = (LabelledSpan(0, 1, "PER"), LabelledSpan(2, 6, "LOC"))
    document = LabelledDocument("d", "a text", "", spans=gold)
    found = [LabelledSpan(0, 1, "PER"), LabelledSpan(2, 6, "ORG"), LabelledSpan(3, 6, "LOC")]

    assert entity_counts(document, result(entities=found)) == [[2, 3, 1]]
    assert entity_counts(document, result()) == [[2, 0, 0]]


def test_a_class_is_right_or_not() -> None:
    document = LabelledDocument("d", "a text", "", labels=("pos",))

    assert class_counts(document, result(label="pos")) == [1, 1]
    assert class_counts(document, result(label="neg")) == [0, 1]


def test_differences_are_paired() -> None:
    values = np.random.default_rng(0).random(50)
    compared = Compared("gain", COSTS, counts_of_values([values, values - 0.25]), mean)  # type: ignore[list-item]

    (first, same), (second, difference) = compared.estimates()

    assert first.value == pytest.approx(values.mean())
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert second.value == pytest.approx(values.mean() - 0.25)
    # Queries differ from each other, and none of them in what the other overlap costs it.
    assert first.high is not None
    assert first.low is not None
    assert first.high - first.low > 0.1
    assert [difference.low, difference.high] == pytest.approx([-0.25, -0.25])


def test_f1_is_of_all_documents_together() -> None:
    # With the second overlap one entity of the second document is found that is none.
    counts = np.array([[[[4, 2, 2]], [[4, 2, 2]]], [[[1, 1, 1]], [[1, 2, 1]]]])
    compared = Compared("F1", COSTS, counts, micro_f1)

    (first, _), (second, difference) = compared.estimates()

    assert first.value == pytest.approx(6 / 8)
    assert second.value == pytest.approx(6 / 9)
    assert difference.value == pytest.approx(6 / 9 - 6 / 8)
    assert (compared.n_changed(0), compared.n_changed(1)) == (0, 1)


def test_table() -> None:
    compared = Compared("gain", COSTS, counts_of_values([[1, 0.5], [0.5, 0.5]]), mean)

    head, _, first, second = table(compared, [63, 0])

    assert head.startswith("| overlap | gain |")
    assert first == "| 63 tokens | 0.750 (0.500 to 1.000) |  |  | 40 (1.00) | 8 s (1.00) |"
    assert second == (
        "| none | 0.500 (0.500 to 0.500) | −0.250 (−0.500 to +0.000) | 1 of 2 "
        "| 30 (0.75) | 5 s (0.62) |"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("minilm")
def test_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("Ada", "Bob", "Eve", "Ann")
    texts = [f"{names[n % 4]} was {('glad', 'sad')[n % 2]} on day {n}. " * 70 for n in range(12)]
    documents = [
        {
            "id": f"d{n}",
            "text": text,
            "label": ("pos", "neg")[n % 2],
            "people": [[0, 3, "PER"]],
        }
        for n, text in enumerate(texts)
    ]
    queries = [
        {"id": "q1", "text": "on day 3", "relevant": ["d3"]},
        {"id": "q2", "text": "of another corpus", "relevant": ["elsewhere"]},
    ]
    data, asked = tmp_path / "data.jsonl", tmp_path / "queries.jsonl"
    for path, rows in ((data, documents), (asked, queries)):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    given = ["--work", str(tmp_path / "work"), "--overlaps", "63", "0"]
    given += ["--documents", str(data), "--queries", str(asked)]
    given += ["--entities", str(data), "--entity-field", "people", "--classes", str(data)]
    main(given)

    tables = capsys.readouterr().out.split("\n\n")
    measures = [one.splitlines()[0].split(" | ")[1] for one in tables if one]
    assert measures == [
        "F1 of entities",
        "accuracy of classes",
        "nDCG@10, `hybrid`",
        "nDCG@10, `best-mean`",
    ]
    rows = [[cell.strip() for cell in one.split("|")] for one in tables[-2].splitlines()[2:]]
    windows = [int(row[5].split()[0]) for row in rows]
    assert windows[0] > windows[1] > len(documents)
    # The query about what is not there is left out.
    assert rows[1][4].endswith(" of 1")
