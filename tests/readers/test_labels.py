"""Labelled documents: every kind of label, every way a record can be wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.errors import InputError
from longbert.readers.labels import LabelledData, check_trainable, read_labelled
from longbert.records import LabelledDocument, LabelledSpan
from longbert.store.filesystem import LocalFileSystem

FILES = LocalFileSystem()
TEXT = "Ada met Bob in Rome."


def write(path, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def record(number, **fields):
    return {"id": f"d{number}", "text": TEXT, **fields}


@pytest.fixture
def labelled(tmp_path):
    """Read rows, each ``record(...)`` or a line as it stands."""

    def read(*rows, **options):
        return read_labelled(FILES, write(tmp_path / "gold.jsonl", *rows), **options)

    return read


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "parquet"])
def test_every_kind_of_file(tmp_path, suffix):
    rows = [record(1, label="a"), record(2, label="b")]
    path = tmp_path / f"gold.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    found = read_labelled(FILES, str(path))
    assert found == LabelledData(
        path=str(path),
        field="label",
        kind="label",
        documents=(
            LabelledDocument("d1", TEXT, f"{path}#1", labels=("a",)),
            LabelledDocument("d2", TEXT, f"{path}#2", labels=("b",)),
        ),
        labels=("a", "b"),
        n_dropped_spans=0,
    )


def test_entities_in_parquet_are_structures(tmp_path):
    spans = [{"start": 0, "end": 3, "label": "PER"}, {"start": 15, "end": 19, "label": "LOC"}]
    path = tmp_path / "gold.parquet"
    pq.write_table(pa.Table.from_pylist([record(1, entities=spans)]), path)
    (document,) = read_labelled(FILES, str(path)).documents
    assert document.spans == (LabelledSpan(0, 3, "PER"), LabelledSpan(15, 19, "LOC"))


def test_several_labels_are_a_set(labelled):
    found = labelled(record(1, labels=["b", "a", "b"]), record(2, labels=[]))
    assert found.kind == "labels"
    assert [document.labels for document in found.documents] == [("a", "b"), ()]
    assert found.labels == ("a", "b")


def test_numbers(labelled):
    found = labelled(record(1, label=3), record(2, label=0.5))
    assert (found.kind, found.labels) == ("number", ())
    assert [document.number for document in found.documents] == [3.0, 0.5]


def test_overlapping_spans_are_flattened_and_counted(labelled):
    found = labelled(
        record(1, entities=[[8, 11, "PER"], [0, 11, "ORG"], [0, 3, "PER"], [15, 19, "LOC"]]),
        record(2, entities=[]),
    )
    assert [document.spans for document in found.documents] == [
        (LabelledSpan(0, 11, "ORG"), LabelledSpan(15, 19, "LOC")),
        (),
    ]
    assert found.n_dropped_spans == 2
    assert found.labels == ("LOC", "ORG")


def test_names_of_fields(labelled):
    row = {"key": 7, "body": TEXT, "inner": [[0, 3, "PER"]], "entities": "not looked at"}
    found = labelled(row, id_field="key", text_field="body", label_field="inner")
    assert found.documents[0].document_id == "7"
    assert (found.field, found.kind) == ("inner", "entities")


@pytest.mark.parametrize(
    ("field", "kinds", "kind"),
    [
        ("entities", ("label", "labels", "number", "entities"), "entities"),
        ("outer_entities", ("labels", "entities"), "entities"),
        ("topics", ("labels", "entities"), "labels"),
        ("topics", ("entities",), "entities"),
        ("entities", ("label", "labels"), "labels"),
    ],
)
def test_a_field_that_is_always_empty(labelled, field, kinds, kind):
    found = labelled(record(1, **{field: []}), label_field=field, kinds=kinds)
    assert found.kind == kind


def test_a_row_without_id_is_named_as_a_run_names_it(labelled):
    found = labelled("", {"text": TEXT, "label": "a"})
    assert found.documents[0].document_id == "gold.jsonl#2"


def test_lone_surrogates_are_replaced_and_offsets_stay(labelled):
    found = labelled(r'{"id": "a", "text": "\ud800 Bob", "entities": [[2, 5, "PER\udfff"]]}')
    assert found.documents[0].text == "� Bob"
    assert found.documents[0].spans == (LabelledSpan(2, 5, "PER�"),)


def test_documents_without_text_where_they_are_welcome(labelled):
    found = labelled({"id": "e", "text": " ", "entities": []}, may_be_empty=True)
    assert found.documents[0].text == " "


def bad(*rows, message, options=None):
    return pytest.param(rows, options or {}, message, id=message[:40])


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        bad({"id": "a", "text": TEXT}, message="#1: there are none of label, labels, entities"),
        bad(record(1, label="a", entities=[]), message="#1: there are the fields label, entities"),
        bad(record(1, label="a"), record(2), message="#2: label field 'label' is missing"),
        bad(record(1, label="a"), record(2, lable="b"), message="did you mean 'lable'?"),
        bad(record(1, label=None), message="#1: label field 'label' is null"),
        bad({"id": "a", "label": "b"}, message="#1: there is no text field 'text'"),
        bad({"text": 3, "label": "b"}, message="#1: text field 'text' must be a string, got int"),
        bad({"id": [], "text": "a", "label": "b"}, message="#1: id field 'id' must be"),
        bad({"id": "x", "text": " \n", "label": "b"}, message="of document 'x' is empty"),
        bad(record(1, label="a"), record(1, label="a"), message="#2: id 'd1' is that of"),
        bad(record(1, label=True), message='must be a string such as "pos", or a list'),
        bad(record(1, label={}), message="got {}: write it so"),
        bad(record(1, label=" "), message="got one of 1, all white space"),
        bad(record(1, label="x" * 201), message="got one of 201: name the field"),
        bad(record(1, label="a"), record(2, label=["a"]), message="#2: field 'label' is [\"a\"]"),
        bad(record(1, labels=["a", 3]), message="'labels', label 2 must be a string, got 3"),
        bad(record(1, labels=[3]), message="got [3]"),
        bad('{"id": "a", "text": "b", "label": NaN}', message="finite number, got NaN"),
        bad(f'{{"text": "b", "label": 1{"0" * 400}}}', message="finite number, got 1000"),
        bad(
            record(1, entities=["PER"]),
            options={"kinds": ("entities",)},
            message='must be a list of spans such as [[0, 4, "PER"]], got ["PER"]',
        ),
        bad(
            record(1, label="x" * 99),
            options={"kinds": ("number",)},
            message="got a string of 99 characters",
        ),
        bad(
            record(1, label="a"), record(2, label=[]), message="#2: field 'label' must be a string"
        ),
        bad(record(1, label=[]), record(2, label=2), message="#1: field 'label' must be a number"),
        bad(record(1, entities=[[0, 3]]), message="entity 1 must be [start, end, label]"),
        bad(record(1, entities=[[0, 3, "A"], 5]), message="entity 2 must be [start, end, label]"),
        bad(record(1, entities=[[0, "3", "A"]]), message='whole numbers, got [0, "3", "A"]'),
        bad(record(1, entities=[[0, True, "A"]]), message="two whole numbers"),
        bad(record(1, entities=[[0, 3, 1]]), message="entity 1, label must be a string, got 1"),
        bad(record(1, entities=[[0, 3, "O"]]), message="stands for what is outside"),
        bad(record(1, entities=[[5, 2, "A"]]), message="reversed or empty: got 5 to 2, valid is"),
        bad(record(1, entities=[[5, 5, "A"]]), message="reversed or empty"),
        bad(
            record(1, entities=[[0, 21, "A"]]),
            message="outside the text: got 0 to 21, valid is 0 <= start < end <= 20",
        ),
        bad(record(1, entities=[[-1, 3, "A"]]), message="outside the text: got -1 to 3"),
        bad("[1]", message="#1: the line is a JSON array"),
        bad('{"id": ', message="#1: the line is not valid JSON"),
        bad("", message="holds no document"),
    ],
)
def test_what_is_wrong_is_said_with_place_and_remedy(labelled, rows, options, message):
    with pytest.raises(InputError) as caught:
        labelled(*rows, **options)
    assert message in str(caught.value)
    assert "gold.jsonl" in str(caught.value)
    assert TEXT not in str(caught.value)


def test_a_damaged_gzip_is_an_error_with_its_place(tmp_path):
    path = tmp_path / "gold.jsonl.gz"
    data = "".join(json.dumps(record(i, label="a")) + "\n" for i in range(2_000)).encode()
    path.write_bytes(gzip.compress(data)[:-200])
    with pytest.raises(InputError, match=r"gold.jsonl.gz#\d+: the gzip data is damaged"):
        read_labelled(FILES, str(path))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_file_that_the_disk_does_not_give(tmp_path, suffix):
    class Failing(LocalFileSystem):
        def open(self, path):
            raise PermissionError(13, "Permission denied", path)

    (tmp_path / f"a.{suffix}").write_text("{}")
    with pytest.raises(InputError, match=r"#1: the file cannot be read: Permission denied"):
        read_labelled(Failing(), str(tmp_path / f"a.{suffix}"))


def test_a_parquet_row_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.parquet"
    bad_text = pa.array([b"\xff"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": bad_text, "label": ["a"]}), path)
    with pytest.raises(InputError, match=r"a.parquet#1: the row holds a value"):
        read_labelled(FILES, str(path))


def test_files_that_cannot_hold_labels(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match=r"a.txt has no fields to hold labels"):
        read_labelled(FILES, str(tmp_path / "a.txt"))
    with pytest.raises(InputError, match="does not exist"):
        read_labelled(FILES, str(tmp_path / "b.jsonl"))
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"c.parquet#1: the file is not Parquet"):
        read_labelled(FILES, str(tmp_path / "c.parquet"))
    (tmp_path / "d.jsonl").write_bytes("text".encode("utf-16"))
    with pytest.raises(InputError, match=r"d.jsonl#1: the file begins as UTF-16"):
        read_labelled(FILES, str(tmp_path / "d.jsonl"))


@pytest.mark.parametrize(
    ("rows", "n_folds", "message"),
    [
        ([{"label": "a"}, {"label": "a"}], None, r"one class only \(a\) in all of 2 documents"),
        ([{"labels": ["a", "b"]}, {"labels": ["b", "a"]}], None, r"one class only \(a, b\)"),
        ([{"labels": []}, {"labels": []}], None, r"one class only \(no label\)"),
        ([{"label": 1.0}, {"label": 1}], None, r"one class only \(1.0\)"),
        ([{"labels": ["a", "b"]}, {"labels": ["c"]}], None, "3 classes in 2 documents"),
        ([{"entities": []}, {"entities": []}], None, "no entity in any document"),
        ([{"label": "a"}, {"label": "b"}], 3, "2 documents for 3 folds: take --folds 2"),
    ],
)
def test_what_nothing_can_be_learnt_from(labelled, rows, n_folds, message):
    data = labelled(*(record(number, **row) for number, row in enumerate(rows)))
    with pytest.raises(InputError, match=message):
        check_trainable(data, n_folds=n_folds)


@pytest.mark.parametrize("values", [["a", "b"], [["a"], []], [1, 2], [[[0, 3, "PER"]], []]])
def test_what_can_be_learnt_from(labelled, values):
    rows = [record(number, answer=value) for number, value in enumerate(values)]
    check_trainable(labelled(*rows, label_field="answer"), n_folds=2)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(1, 20), st.sampled_from("AB"))))
def test_spans_are_kept_as_they_were_written(tmp_path_factory, spans):
    given = [[start, stop, label] for start, stop, label in spans if start < stop]
    path = Path(tmp_path_factory.getbasetemp()) / "spans.jsonl"
    found = read_labelled(FILES, write(path, record(1, entities=given)))
    kept = found.documents[0].spans
    assert len(kept) + found.n_dropped_spans == len(given)
    assert {(s.char_start, s.char_end, s.label) for s in kept} <= {tuple(one) for one in given}
