"""Parquet: every way a row or a file can be wrong."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.reading import (
    documents,
    errors,
    items,
    scanned,
    write_table,
)

from longbert.records import Document


def test_parquet_rows(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "t.parquet",
        {
            "id": [1, None, 3],
            "text": ["one", "two", None],
            "when": [datetime.date(2020, 1, 2), None, None],
            "exact": pa.array([1_500_000_000_000_000_001, None, 0], pa.timestamp("ns")),
            "price": [Decimal("1.50"), None, None],
            "raw": [b"\xff", None, None],
            "tags": [["a", "b"], None, []],
        },
    )
    refs = scanned(path)
    assert [ref.place for ref in refs] == [f"{path}#{n}" for n in (1, 2, 3)]
    assert [ref.source for ref in refs] == [str(path), f"{path}#2", str(path)]
    assert [ref.document_id for ref in refs] == ["1", "t.parquet#2", "3"]
    assert errors(refs) == [None, None, "no_text"]
    first, second, _ = items(refs)
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert first.metadata == {
        "when": "2020-01-02",
        "exact": "2017-07-14 02:40:00.000000001",
        "price": "1.50",
        "raw": "/w==",
        "tags": '["a","b"]',
    }
    assert second.metadata == {}


def test_a_row_is_the_same_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    first = scanned(write_table(tmp_path / "a.parquet", {"text": ["t"], "m": ["v"]}))
    second = scanned(write_table(tmp_path / "b.parquet", {"m": ["v"], "text": ["t"]}))
    other = scanned(write_table(tmp_path / "c.parquet", {"m": ["w"], "text": ["t"]}))
    assert first[0].digest == second[0].digest != other[0].digest


def test_parquet_without_the_text_column_names_what_there_is(tmp_path: Path) -> None:
    (ref,) = scanned(write_table(tmp_path / "t.parquet", {"id": ["a"], "body": ["b"]}))
    assert ref.error is not None
    assert ref.error.error == "no_text"
    assert "the columns are id, body: name the one" in ref.error.message


@pytest.mark.parametrize("damage", ["cut", "not parquet", "no bytes"])
def test_damaged_parquet_is_one_error(tmp_path: Path, damage: str) -> None:
    path = write_table(tmp_path / "t.parquet", {"text": ["a" * 100] * 100})
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-20], "not parquet": b"plain", "no bytes": b""}[damage])
    refs = scanned(path)
    assert errors(refs) == ["bad_parquet"]
    path.write_bytes(path.read_bytes() + b"x")
    assert scanned(path)[0].digest != refs[0].digest


def test_parquet_damaged_in_the_middle_keeps_the_rows_before(tmp_path: Path) -> None:
    texts = [f"{n**9}" for n in range(200)]
    path = write_table(tmp_path / "t.parquet", {"text": texts}, row_group_size=100)
    start = pq.read_metadata(path).row_group(1).column(0).dictionary_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 30] = b"\xff" * 30
    path.write_bytes(data)
    refs = scanned(path)
    assert errors(refs) == [None] * 100 + ["bad_parquet"]
    assert [document.text for document in documents(refs[:100])] == texts[:100]


def test_parquet_without_rows_is_empty(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.parquet", {"text": pa.array([], pa.string())})
    assert errors(scanned(path)) == ["empty"]


def test_a_cell_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    cells = pa.array([b"a", b"\xff", b"c"], pa.binary())
    text = pa.StringArray.from_buffers(3, cells.buffers()[1], cells.buffers()[2])
    refs = scanned(write_table(tmp_path / "t.parquet", {"text": text}))
    assert errors(refs) == [None, "bad_row", None]
    assert [isinstance(item, Document) for item in items(refs)] == [True, False, True]


def test_large_rows_are_read_in_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{n}" + "x" * 1_000 for n in range(500)]
    path = write_table(tmp_path / "t.parquet", {"text": texts}, use_dictionary=False)
    sizes = []
    genuine = pq.ParquetFile.iter_batches

    def spy(self: Any, **options: Any) -> Iterator[Any]:
        for batch in genuine(self, **options):
            sizes.append(batch.num_rows)
            yield batch

    monkeypatch.setattr("longbert.readers.parquet._BATCH_BYTES", 20_000)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    assert [document.text for document in documents(scanned(path))] == texts
    assert max(sizes) <= 20
