"""Filters against the slow way: every document with each of its labels, in Python."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt, ne
from typing import Any as Anything

import numpy as np
import pyarrow as pa
import pytest
from fakes.memory_files import MemoryFiles
from hypothesis import given, settings
from hypothesis import strategies as st
from support.written_tables import to_parquet

from longbert.errors import ConfigError
from longbert.index.filters import masks
from longbert.index.filters.expression import And, Any, Comparison, Expression, Not, Or
from longbert.index.filters.grammar import parse_filter
from longbert.index.filters.masks import matching_documents
from longbert.store.folder import OutputFolder
from longbert.store.held import HeldFile
from longbert.store.tables import TABLES

OPERATORS = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass
class Doc:
    """A document with what filters look at."""

    document_id: str
    n_chars: int = 100
    metadata: dict[str, str] = field(default_factory=dict)
    labels: list[tuple[str, str, float, bool]] = field(default_factory=list)
    entities: list[tuple[str, str]] = field(default_factory=list)


def held(parts: list[list[Doc]]) -> list[dict[str, HeldFile]]:
    files = MemoryFiles()
    output = OutputFolder(files, "out")
    tables: list[dict[str, HeldFile]] = []
    for number, docs in enumerate(parts):
        rows: dict[str, list[dict[str, Anything]]] = {
            "documents": [
                {
                    "document_id": d.document_id,
                    "n_chars": d.n_chars,
                    "metadata": [*d.metadata.items()],
                }
                for d in docs
            ],
            "classifications": [
                {
                    "document_id": d.document_id,
                    "head": head,
                    "label": label,
                    "score": score,
                    "predicted": predicted,
                }
                for d in docs
                for head, label, score, predicted in d.labels
            ],
            "entities": [
                {"document_id": d.document_id, "label": label, "text": text}
                for d in docs
                for label, text in d.entities
            ],
        }
        for table, own in rows.items():
            schema = pa.schema([pa.field(f.name, f.type) for f in TABLES[table].schema(None)])
            data = to_parquet(pa.Table.from_pylist(own, schema))
            files.write(f"out/{table}/part-{number}.parquet", data)
        tables.append({one: HeldFile(output, f"{one}/part-{number}.parquet") for one in rows})
    return tables


def found(parts: list[list[Doc]], text: str) -> list[str]:
    mask = matching_documents(held(parts), text)
    docs = [doc.document_id for part in parts for doc in part]
    assert mask.shape == (len(docs),)
    return [name for name, fits in zip(docs, mask, strict=True) if fits]


def fits(value: str | float | None, comparison: Comparison) -> bool:
    if value is None:
        return False
    if comparison.operator == "in":
        return value in comparison.values
    if comparison.operator == "like":
        pattern = "".join(
            {"%": ".*", "_": "."}.get(one, re.escape(one)) for one in str(comparison.values[0])
        )
        return re.fullmatch(pattern, str(value), re.S) is not None
    return bool(OPERATORS[comparison.operator](value, comparison.values[0]))


def is_true(expression: Expression, doc: Doc, row: tuple[str, str, float, bool] | None) -> bool:
    match expression:
        case And(parts):
            return all(is_true(part, doc, row) for part in parts)
        case Or(parts):
            return any(is_true(part, doc, row) for part in parts)
        case Not(part):
            return not holds(part, doc)
        case Any(part):
            return holds(part, doc)
        case Comparison():
            name = expression.field.name
            if expression.field.of_metadata:
                value = doc.metadata.get(name)
                if value is not None and not expression.is_text:
                    return re.fullmatch(r"-?\d+(\.\d+)?", value) is not None and fits(
                        float(value), expression
                    )
                return fits(value, expression)
            if name == "entity":
                return any(fits(f"{label}:{text}", expression) for label, text in doc.entities)
            if name in ("document_id", "n_chars"):
                return fits(getattr(doc, name), expression)
            place = ("head", "label", "score").index(name)
            return fits(None if row is None else row[place], expression)


def holds(expression: Expression, doc: Doc) -> bool:
    predicted = [row for row in doc.labels if row[3]]
    return any(is_true(expression, doc, row) for row in (None, *predicted))


TEXTS = st.sampled_from(["a", "b", "ab", "A:b", "b:a\nb", "1", "2.5", ""])
NUMBERS = st.sampled_from([0.25, 0.5, 1, 2.5, -1])
DOCS = st.builds(
    Doc,
    document_id=st.just(""),
    n_chars=st.integers(0, 3),
    metadata=st.dictionaries(st.sampled_from(["label", "a b"]), TEXTS),
    labels=st.lists(
        st.tuples(TEXTS, TEXTS, st.sampled_from([0.25, 0.5]), st.booleans()), max_size=4
    ),
    entities=st.lists(st.tuples(st.sampled_from(["A", "b"]), TEXTS), max_size=3),
)
TEXT_FIELDS = st.sampled_from(["label", "head", "document_id", "metadata.label", '"a b"'])
NUMBER_FIELDS = st.sampled_from(["score", "n_chars", "metadata.label"])


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


COMPARISONS = st.one_of(
    st.builds("{} {} {}".format, TEXT_FIELDS, st.sampled_from([*OPERATORS]), TEXTS.map(quoted)),
    st.builds("{} {} {}".format, NUMBER_FIELDS, st.sampled_from([*OPERATORS]), NUMBERS),
    st.builds(
        lambda name, values: f"{name} in ({', '.join(map(quoted, values))})",
        TEXT_FIELDS,
        st.lists(TEXTS, min_size=1),
    ),
    st.builds(
        lambda name, values: f"{name} in ({', '.join(map(str, values))})",
        NUMBER_FIELDS,
        st.lists(NUMBERS, min_size=1),
    ),
    st.builds(
        "{} like {}".format,
        st.one_of(TEXT_FIELDS, st.just("entity")),
        st.sampled_from(["a%", "%b", "_", "%", "A:_", "%a%"]).map(quoted),
    ),
    st.builds("entity = {}".format, st.sampled_from(["'A:a'", "'b:b'", "'A:A:b'"])),
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not {}".format, inner),
        st.builds("any({})".format, inner),
    ),
    max_leaves=6,
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(parts=st.lists(st.lists(DOCS, max_size=4), min_size=1, max_size=3), text=FILTERS)
def test_filters_are_true_as_the_slow_way_says(parts: list[list[Doc]], text: str) -> None:
    for number, doc in enumerate(doc for part in parts for doc in part):
        doc.document_id = f"{'ab'[number % 2]}{number}"
    # Every key of the metadata is known.
    parts.append([Doc("last", metadata={"label": "x", "a b": "y"})])
    try:
        mask = matching_documents(held(parts), text)
    except ConfigError as error:
        if "one predicted label cannot have two values" not in str(error):
            raise
        return
    expression = parse_filter(text)
    assert mask.tolist() == [holds(expression, doc) for part in parts for doc in part]


def labelled(name: str, *labels: tuple[str, str, float]) -> Doc:
    return Doc(name, labels=[(*one, True) for one in labels])


SEVERAL = [
    [
        labelled("a", ("mood", "neg", 0.9), ("topic", "law", 0.6)),
        labelled("b", ("mood", "neg", 0.6), ("topic", "law", 0.9)),
        labelled("c", ("mood", "pos", 0.9), ("topic", "art", 0.9), ("topic", "law", 0.7)),
        Doc("d", labels=[("mood", "neg", 0.9, False)]),
    ]
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label = 'neg' and score > 0.8", "a"),
        ("(score > 0.8) and ((label = 'neg'))", "a"),
        ("score > 0.8", "abc"),
        ("head = 'mood' and score > 0.8", "ac"),
        ("any(label = 'neg') and score > 0.8", "ab"),
        ("any(label = 'art') and any(label = 'law')", "c"),
        ("not label = 'neg'", "cd"),
        ("label != 'neg'", "abc"),
        ("score > 0.8 and not label = 'neg'", "c"),
        ("score > 0", "abc"),
        ("not score > 0", "d"),
    ],
)
def test_label_score_and_head_speak_of_one_predicted_label(text: str, expected: str) -> None:
    assert found(SEVERAL, text) == list(expected)


def test_a_score_is_compared_as_it_is_printed() -> None:
    parts = [[labelled("a", ("mood", "neg", float(np.float32(0.9))))]]
    assert found(parts, "score = 0.9 and score >= 0.9 and score in (0.9)") == ["a"]
    assert found(parts, "score > 0.9") == []
    assert found(parts, "score < 1e300") == ["a"]


def test_numbers_in_metadata_are_compared_as_numbers() -> None:
    years = ["2019", "10000", "2020.5", "about 2021", "", "-3", "1e5", "1e400"]
    parts = [[Doc(year, metadata={"year": year}) for year in years] + [Doc("none")]]
    assert found(parts, "year > 2019") == ["10000", "2020.5", "1e5", "1e400"]
    assert found(parts, "year > '2019'") == ["2020.5", "about 2021"]
    assert found(parts, "not year > 2019") == ["2019", "about 2021", "", "-3", "none"]


def test_parts_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "PARTS_AT_ONCE", 2)
    parts = [[Doc(f"{number}", n_chars=number)] for number in range(5)]
    assert found(parts, "n_chars in (0, 3, 4)") == ["0", "3", "4"]
    assert matching_documents([], "n_chars > 1").tolist() == []


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        ("n_chars > 1 and lable = 'x'", "no field 'lable'; did you mean 'label'", 16),
        ("titel = 'x'", r"no field 'titel'; did you mean 'title'.*in the metadata: 'title'$", 0),
        ("metadata.label = 'x'", "no field 'label'", 0),
        ("score > 'x'", "score is a number", 8),
        ("label > 5", "label is a text", 8),
        ("n_chars in (1, 'x')", "texts or numbers, not both", 12),
        ("title like 5", "like takes a text", 11),
        ("entity = 'Acme'", "such as 'ORG:Acme'.*entity like '%:Acme'", 9),
        ("entity != 'ORG:Acme'", "cannot be compared with !=.*not entity =", 0),
        ("label = 'a' and label = 'b'", r"two values of label.*any\(label", 16),
        ("not (head = 'a' and (score > 1 and head = 'b'))", "two values of head", 35),
    ],
)
def test_what_no_document_could_fit_is_pointed_at(text: str, problem: str, place: int) -> None:
    parts = [[Doc("a", metadata={"title": "x"})], [Doc("b")]]
    with pytest.raises(ConfigError, match=re.compile(problem, re.M)) as caught:
        found(parts, text)
    assert str(caught.value).split("\n")[1:] == [f"  {text}", f"  {' ' * place}^"]


def test_equal_labels_twice_are_no_mistake() -> None:
    assert found(SEVERAL, "label = 'neg' and label = 'neg'") == ["a", "b"]
    assert found(SEVERAL, "label = 'art' or label = 'neg'") == ["a", "b", "c"]
