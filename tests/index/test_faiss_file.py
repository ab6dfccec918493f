"""Files of vectors open in plain FAISS and join the tables, and are mapped, not read."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pytest
from fakes.memory_files import MemoryFiles
from support.vectors import clustered, indexed, one_segment, open_table, write_rows

from longbert.errors import OutputError
from longbert.index import faiss_file
from longbert.index.backend import load_faiss
from longbert.index.faiss_file import flat_head, open_index_file
from longbert.index.kinds import INDEX_KINDS
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.held import HeldFile

WIDTH = 16


@pytest.mark.parametrize(("n", "width"), [(1, 1), (3, 7), (300, 384)])
def test_the_head_of_a_flat_file_is_that_of_faiss(n: int, width: int) -> None:
    faiss = load_faiss()
    index = faiss.IndexFlatIP(width)
    vectors = clustered(n, max(width, 2))[:, :width].copy()
    index.add(vectors)
    assert flat_head(n, width) + vectors.tobytes() == faiss.serialize_index(index).tobytes()


def local_folder(tmp_path: Path, files: MemoryFiles) -> OutputFolder:
    for path, data in files.data.items():
        LocalFileSystem().write(str(tmp_path / path), data)
    return OutputFolder(LocalFileSystem(), str(tmp_path / "out"))


@pytest.mark.parametrize("type", INDEX_KINDS)
def test_plain_faiss_and_duckdb_find_passages(type: str, tmp_path: Path) -> None:
    files = MemoryFiles()
    docs = write_rows(files, "a", 2_000, WIDTH)
    segment = one_segment(indexed(files, ["a"], type))
    output = local_folder(tmp_path, files)
    passages = docs[7].passages
    assert passages is not None

    index = load_faiss().read_index(output.join(segment.file))
    scores, ids = index.search(passages[3:4], 1)
    rows = duckdb.sql(
        f"select document_id, ordinal from '{output.join('passages')}/*.parquet' "
        f"where passage_id = {ids[0, 0]}"
    ).fetchall()

    assert rows == [("a/7", 3)]
    assert scores[0, 0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("type", INDEX_KINDS)
def test_local_files_are_mapped_and_others_read(type: str, tmp_path: Path) -> None:
    files = MemoryFiles()
    write_rows(files, "a", 2_000, WIDTH)
    description = indexed(files, ["a"], type)
    local = local_folder(tmp_path, files)
    query = clustered(1, WIDTH, seed=5)[0]

    mapped = open_table(local.filesystem, description, ["a"], local.path)
    name = os.path.basename(one_segment(description).file)
    assert name in Path("/proc/self/maps").read_text()
    read = open_table(files, description, ["a"])

    one, other = mapped.search(query, 20), read.search(query, 20)
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.scores, other.scores)


def test_a_file_of_another_size_or_kind_is_refused() -> None:
    files = MemoryFiles()
    write_rows(files, "a", 100, WIDTH)
    segment = one_segment(indexed(files, ["a"], "flat"))
    output = OutputFolder(files, "out")
    whole = files.data[f"out/{segment.file}"]
    for data, message in (
        (whole[: len(whole) // 2], r"is damaged: it has \d.* bytes, not the \d"),
        (b"?" * len(whole), "is damaged, or of another version: FAISS"),
    ):
        files.data[f"out/{segment.file}"] = data
        with pytest.raises(OutputError, match=rf"{segment.file} {message}.*: build the index"):
            open_index_file(HeldFile(output, segment.file), segment, metric="cosine")
    half = len(whole) // 2
    files.data[f"out/{segment.file}"] = whole[:half]
    with pytest.raises(OutputError, match=r"another version: FAISS \S+ cannot read it: build"):
        open_index_file(
            HeldFile(output, segment.file),
            msgspec.structs.replace(segment, n_bytes=half),
            metric="cosine",
        )
    files.data[f"out/{segment.file}"] = whole
    fewer = msgspec.structs.replace(segment, parts=())
    with pytest.raises(OutputError, match="has 100 vectors, but its description says 0"):
        open_index_file(HeldFile(output, segment.file), fewer, metric="cosine")
    del files.data[f"out/{segment.file}"]
    with pytest.raises(OutputError, match="is missing"):
        open_index_file(HeldFile(output, segment.file), segment, metric="cosine")


@pytest.mark.parametrize("type", INDEX_KINDS)
def test_vectors_that_are_zeros_in_part_are_refused(type: str) -> None:
    files = MemoryFiles()
    write_rows(files, "a", 2_000, WIDTH)
    description = indexed(files, ["a"], type)
    path = f"out/{one_segment(description).file}"
    whole = files.data[path]
    row = clustered(2_000, WIDTH)[5].tobytes()
    place = whole.rindex(row)
    for n_zeros, is_refused in ((len(row), False), (len(row) // 2, True)):
        damaged = bytes(n_zeros) + row[n_zeros:]
        files.data[path] = whole[:place] + damaged + whole[place + len(row) :]
        if not is_refused:
            # That is the vector of a text without direction.
            open_table(files, description, ["a"])
            continue
        with pytest.raises(OutputError, match="a vector has neither length 1 nor 0: build the"):
            open_table(files, description, ["a"])


def test_a_vector_that_was_damaged_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    files = MemoryFiles()
    write_rows(files, "a", 100, WIDTH)
    description = indexed(files, ["a"], "flat")
    path = f"out/{one_segment(description).file}"
    data = bytearray(files.data[path])
    nan = np.full(WIDTH, np.nan, np.float32).tobytes()
    start = data.index(clustered(100, WIDTH)[5].tobytes())
    data[start : start + len(nan)] = nan
    files.data[path] = bytes(data)
    with pytest.raises(OutputError, match=r"a vector holds NaN or infinity: build the index again"):
        open_table(files, description, ["a"])
    # Of a large file, not all rows are looked at when it is opened.
    monkeypatch.setattr(faiss_file, "CHECKED_BYTES", 2 * 4 * WIDTH)
    table = open_table(files, description, ["a"])
    with pytest.raises(OutputError, match=r"with NaN or infinity, so it is damaged: build"):
        table.scores(clustered(1, WIDTH)[0], np.arange(100))
