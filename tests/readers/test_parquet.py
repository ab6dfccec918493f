"""Parquet: every way a row or a file can be wrong."""

from __future__ import annotations

import datetime
import io
import threading
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.reading import FILES, SETTINGS, documents, errors, items, listed, scanned, write_table

from longbert.readers.documents import read, scan
from longbert.readers.settings import ReadSettings
from longbert.records import Document
from longbert.store.filesystem import LocalFileSystem


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


def test_columns_or_fields_of_one_name_are_an_error(tmp_path: Path) -> None:
    text, pair = pa.array(["a"]), pa.array([1])
    inner = pa.StructArray.from_arrays([pair, pair], names=["k", "k"])
    tables = {
        "text": pa.table([text, text], names=["text", "text"]),
        "k": pa.table([text, inner], names=["text", "m"]),
        "id": pa.table([pair, text, pair], names=["id", "text", "id"]),
    }
    tables |= {"k ": tables["k"].set_column(1, "l", pa.ListArray.from_arrays([0, 1], inner))}
    for name, table in tables.items():
        pq.write_table(table, tmp_path / "t.parquet")
        (ref,) = scanned(tmp_path / "t.parquet")
        assert ref.error is not None
        assert ref.error.error == "duplicate_field"
        assert f"are called {name.strip()!r}, and only one" in ref.error.message


def test_single_precision_is_written_with_its_own_digits(tmp_path: Path) -> None:
    values = [0.1, 1.0, None, float("inf"), 1e-8, 16_777_216.0]
    columns = {"text": ["a"] * 6, "n": pa.array(values, pa.float32())}
    found = documents(scanned(write_table(tmp_path / "t.parquet", columns)))
    assert [document.metadata.get("n") for document in found] == [
        *("0.1", "1.0", None, "Infinity", "1e-08", "16777216.0")
    ]


def test_a_row_may_have_so_many_bytes_and_no_more(tmp_path: Path) -> None:
    texts = ["x" * n for n in (10, 200_000, 20, 1_000, 30)]
    settings = ReadSettings(max_record_bytes=2_000)
    for name, column in {
        "plain": texts,
        "shared": [*texts, *texts],
        "nested": texts,
    }.items():
        more = {"m": [[one] for one in texts]} if name == "nested" else {}
        options = {"use_dictionary": name == "shared"}
        path = write_table(tmp_path / f"{name}.parquet", {"text": column, **more}, **options)
        refs = scanned(path, settings)
        assert errors(refs)[:5] == [None, "too_large", None, (more and "too_large") or None, None]
        assert refs[1].error is not None
        assert "the row has 200," in refs[1].error.message or more
        assert "and max_record_bytes is 2,000: raise" in refs[1].error.message
        found = items(refs, settings=settings)
        assert [isinstance(item, Document) for item in found] == [e is None for e in errors(refs)]


def test_a_long_value_that_many_rows_share_takes_memory_once(tmp_path: Path) -> None:
    value = " " * 1_000_000
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), [value])
    path = write_table(tmp_path / "t.parquet", {"text": column}, store_schema=False)
    arrow_bytes = []
    tracemalloc.start()
    refs = []
    for ref in scan(FILES, listed(path), SETTINGS):
        arrow_bytes.append(pa.total_allocated_bytes())
        refs.append(ref)
    assert len(documents(refs[:3])) == 3
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert errors(refs) == [None] * 200
    assert peak_bytes < 40 * len(value)
    assert max(arrow_bytes) < 20 * len(value)


def test_an_empty_row_group_between_others(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for texts in (["a", "b"], [], ["c"]):
            writer.write_table(pa.table({"text": pa.array(texts, pa.string())}), row_group_size=9)
    assert [document.text for document in documents(scanned(path))] == ["a", "b", "c"]


def test_arrow_reads_in_the_thread_that_asks(tmp_path: Path) -> None:
    """A buffer of Python's that a thread of Arrow's drops ends the process when it comes late."""
    texts = {name: [f"{n}" * 50 for n in range(3_000)] for name in ("text", "a", "b", "c")}
    path = write_table(tmp_path / "t.parquet", texts, row_group_size=1_000)
    threads = set()

    class Watched(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            threads.add(threading.get_ident())
            return super().readinto(buffer)

        def read(self, size: int | None = -1) -> bytes:
            threads.add(threading.get_ident())
            return super().read(size)

    class WatchedFiles(LocalFileSystem):
        def open(self, path: str) -> BinaryIO:
            return cast(BinaryIO, Watched(path))

    refs = list(scan(WatchedFiles(), listed(path), SETTINGS))
    assert len(list(read(WatchedFiles(), refs, SETTINGS))) == 3_000
    assert threads == {threading.get_ident()}
