"""Tables written while their rows are made, against those written in one piece."""

from __future__ import annotations

import errno
import gc
import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.local_files import Death, FailingFiles
from hypothesis import given
from hypothesis import strategies as st
from support.written_tables import to_parquet

from longbert.errors import OutputError
from longbert.store import parquet
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.parquet import TableWriter
from longbert.store.part_writer import write_part
from longbert.store.tables import schemas_of

WIDTH = 3


def passages(n_rows: int) -> pa.Table:
    """Rows of the table of passages, some of them with long texts."""
    schema = schemas_of(["passages"], width=WIDTH)["passages"]
    generator = np.random.default_rng(n_rows)
    vectors = generator.random(n_rows * WIDTH, dtype=np.float32)
    texts = ["word " * int(n) for n in generator.integers(0, 400, n_rows)]
    columns = [
        pa.array(np.arange(n_rows)),
        pa.array(["a"] * n_rows),
        pa.array(np.arange(n_rows, dtype=np.int32)),
        pa.array(np.arange(n_rows)),
        pa.array(np.arange(n_rows) + 1),
        pa.array(texts),
        pa.FixedSizeListArray.from_arrays(pa.array(vectors), WIDTH),
    ]
    return pa.Table.from_arrays(
        [column.cast(field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


class Sink(bytearray):
    """A file in memory that only grows, as an upload does."""

    closed = False

    def write(self, data: bytes) -> int:
        self.extend(data)
        return len(data)

    def tell(self) -> int:
        return len(self)

    def flush(self) -> None:
        pass


@given(n_rows=st.integers(0, 90), data=st.data())
def test_the_same_rows_give_the_same_bytes_however_they_come(
    n_rows: int, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROW_GROUP_ROWS", 20)
        table = passages(n_rows)
        sink = Sink()
        writer = TableWriter(sink, table.schema)
        while writer.n_rows < n_rows:
            writer.add(table.slice(writer.n_rows, data.draw(st.integers(0, 50))))
        writer.close()
        assert bytes(sink) == to_parquet(table)
    file = pq.ParquetFile(pa.BufferReader(bytes(sink)))
    sizes = [file.metadata.row_group(one).num_rows for one in range(file.num_row_groups)]
    assert sizes == [20] * (n_rows // 20) + [n_rows % 20] * (n_rows % 20 > 0 or not n_rows)
    assert file.read().equals(table)


def test_a_small_table_has_the_bytes_that_pyarrow_gives_it() -> None:
    table = passages(500)
    buffer = Sink()
    pq.write_table(table, buffer, compression="zstd")
    assert to_parquet(table) == bytes(buffer)


def test_files_appear_together_and_are_what_the_receipt_says(tmp_path: Path) -> None:
    output = OutputFolder(LocalFileSystem(), str(tmp_path))
    schemas = schemas_of(["documents", "passages", "errors"], width=WIDTH)
    with write_part(output, "000000-0123456789ab", schemas) as written:
        written.add({"passages": passages(30)})
        written.add({"passages": passages(12)})
        assert not list(tmp_path.rglob("*.parquet"))
    assert written.counts["passages"] == 42
    assert written.counts["documents"] == written.counts["chars"] == 0
    for name, entry in written.files.items():
        data = (tmp_path / name / "000000-0123456789ab.parquet").read_bytes()
        assert entry.n_bytes == len(data)
        assert entry.sha256 == hashlib.sha256(data).hexdigest()
        assert entry.n_rows == pq.read_table(pa.BufferReader(data)).num_rows
    assert not list(tmp_path.rglob("*.tmp"))


def test_rows_that_fail_leave_no_file(tmp_path: Path) -> None:
    output = OutputFolder(LocalFileSystem(), str(tmp_path))
    schemas = schemas_of(["documents", "passages"], width=WIDTH)

    def fail() -> None:
        with write_part(output, "part", schemas) as written:
            written.add({"passages": passages(30)})
            raise ValueError("no more rows")

    with pytest.raises(ValueError, match="no more rows"):
        fail()
    gc.collect()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("fault", ["full", "death"])
def test_a_fault_at_any_file(tmp_path: Path, n: int, fault: str) -> None:
    output = OutputFolder(FailingFiles(n, fault), str(tmp_path))
    schemas = schemas_of(["documents", "passages"], width=WIDTH)
    expected = Death if fault == "death" else OutputError
    with pytest.raises(expected), write_part(output, "part", schemas) as written:
        written.add({"passages": passages(30)})
    if fault == "full":
        assert not list(tmp_path.rglob("*.parquet*"))


def test_a_disk_that_fills_up_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    output = OutputFolder(LocalFileSystem(), str(tmp_path))
    with (
        pytest.raises(OutputError, match=r"passages/part.parquet cannot be written \(No space"),
        write_part(output, "part", schemas_of(["passages"], width=WIDTH)),
    ):
        pass
    assert not list(tmp_path.rglob("*.parquet*"))
