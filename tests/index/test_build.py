"""The index as it is built: deterministic, checked, described."""

import hashlib
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.memory_files import MemoryFiles
from support.written_tables import Doc, index_settings, passage_id, write_output, write_part

from longbert.errors import ConfigError, LongbertError, OutputError
from longbert.index.backend import check_distributions, load_faiss
from longbert.index.build import build_index, index_files
from longbert.index.kinds import INDEX_TYPES, index_type
from longbert.index.vectors import column_vectors, unit_vectors
from longbert.index.verify import index_problems
from longbert.store.folder import OutputFolder
from longbert.store.manifest import IndexDescription, IndexEntry

WIDTH = 4
PARTS = ["a", "b"]


def docs(prefix: str, n: int = 5, seed: int = 0) -> list[Doc]:
    draw = np.random.default_rng(seed)
    return [
        Doc(
            f"{prefix}{number}",
            draw.standard_normal(WIDTH).astype("f4"),
            draw.standard_normal((3, WIDTH)).astype("f4"),
        )
        for number in range(n)
    ]


@pytest.fixture
def files() -> MemoryFiles:
    files = MemoryFiles()
    write_part(files, "out", "a", docs("a"), width=WIDTH)
    write_part(files, "out", "b", docs("b", seed=1), width=WIDTH)
    return files


def built(files: MemoryFiles, metric: str = "cosine") -> IndexEntry:
    found = build_index(OutputFolder(files, "out"), PARTS, index_settings(metric))
    assert found is not None
    return found


def described(files: MemoryFiles, metric: str = "cosine") -> IndexDescription:
    return OutputFolder(files, "out").index_description(built(files, metric))


def test_the_description_names_checked_files(files: MemoryFiles) -> None:
    entry = built(files)

    data = files.data[f"out/{entry.file}"]
    description = described(files)
    assert entry.sha256 == hashlib.sha256(data).hexdigest()
    assert entry.file == f"index/description-{entry.sha256[:12]}.json"
    for table, file, count in (
        ("documents", description.documents, 10),
        ("passages", description.passages, 30),
    ):
        content = files.data[f"out/{file.file}"]
        assert file.count == count
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert file.file == f"index/{table}-{file.sha256[:12]}.faiss"
        assert file.n_bytes == len(content)
    assert (description.type, description.metric, description.dimensions) == (
        "flat",
        "cosine",
        WIDTH,
    )
    assert description.recall_at_10 == 1.0
    assert description.memory_bytes >= 40 * WIDTH * 4
    assert index_files(OutputFolder(files, "out"), entry) == (
        entry.file,
        description.passages.file,
        description.documents.file,
    )


def test_faiss_finds_passages_by_their_id(files: MemoryFiles) -> None:
    faiss = load_faiss()
    data = files.data[f"out/{described(files).passages.file}"]
    index = faiss.deserialize_index(np.frombuffer(data, np.uint8))
    wanted = docs("b", seed=1)[2].passages
    assert wanted is not None

    _, ids = index.search(unit_vectors(wanted[1:2]), 1)

    assert ids.tolist() == [[passage_id("b2", 1)]]
    np.testing.assert_array_equal(index.reconstruct(passage_id("b2", 1)), unit_vectors(wanted)[1])


def test_same_rows_give_the_same_files_however_they_are_batched(files: MemoryFiles) -> None:
    first = built(files)
    before = {path: data for path, data in files.data.items() if "/index/" in path}
    write_part(files, "out", "a", docs("a"), width=WIDTH, row_group_size=1)

    assert built(files) == first
    assert {path: data for path, data in files.data.items() if "/index/" in path} == before


def test_vectors_are_scaled_for_cosine_only(files: MemoryFiles) -> None:
    by_cosine, by_dot = described(files), described(files, "dot")

    assert by_cosine.passages.longest_vector == pytest.approx(1, abs=1e-6)
    assert by_dot.passages.longest_vector > 1.5
    assert by_cosine.passages.file != by_dot.passages.file
    assert by_cosine.rows_sha256 == by_dot.rows_sha256


def test_vectors_of_length_one_are_kept_to_the_bit() -> None:
    once = unit_vectors(np.random.default_rng(0).standard_normal((500, 384)).astype("f4"))

    nearly = once * np.float32(1 + 4e-7)

    np.testing.assert_array_equal(unit_vectors(once), once)
    np.testing.assert_array_equal(unit_vectors(nearly), nearly)
    assert unit_vectors(np.zeros((1, 3), "f4")).tolist() == [[0, 0, 0]]


def test_without_embeddings_there_is_no_index() -> None:
    bare = [Doc(f"d{number}", None, None, n_passages=2) for number in range(4)]
    files = write_output(bare, width=0)

    assert json.loads(files.data["out/manifest.json"])["index"] is None
    assert not [path for path in files.data if "/index/" in path]
    assert build_index(OutputFolder(MemoryFiles(), "out"), [], index_settings()) is None


def test_parts_without_rows_are_passed_over(files: MemoryFiles) -> None:
    whole = built(files)
    write_part(files, "out", "none", [], width=WIDTH)
    parts = ["none", "a", "none", "b"]
    assert build_index(OutputFolder(files, "out"), parts, index_settings()) == whole


def test_a_clash_of_passage_ids_names_both_documents(files: MemoryFiles) -> None:
    ids = [*range(1, 6), passage_id("a3", 2), *range(7, 16)]
    write_part(files, "out", "b", docs("b"), width=WIDTH, passage_ids=ids)

    with pytest.raises(OutputError, match=r"'a3' and 'b1' have the same passage_id"):
        built(files)


def test_two_documents_of_one_id_are_refused(files: MemoryFiles) -> None:
    write_part(files, "out", "b", docs("a")[-1:], width=WIDTH)
    with pytest.raises(OutputError, match="two documents 'a4'"):
        built(files)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_vector_that_is_not_finite_names_its_document(files: MemoryFiles, value: float) -> None:
    wrong = docs("b")
    passages = wrong[3].passages
    assert passages is not None
    passages[1, 2] = value
    write_part(files, "out", "b", wrong, width=WIDTH)
    with pytest.raises(OutputError, match="vector of 'b3' that is not finite"):
        built(files)


def test_a_table_with_vectors_in_some_parts_only_is_refused(files: MemoryFiles) -> None:
    bare = [Doc("b0", None, None, n_passages=2)]
    with_vectors = files.data["out/documents/b.parquet"]
    write_part(files, "out", "b", bare, width=0)
    with pytest.raises(OutputError, match="documents has vectors in some rows only"):
        built(files)
    write_part(files, "out", "b", [Doc(f"b{n}", None, None, 1) for n in range(5)], width=0)
    files.data["out/documents/b.parquet"] = with_vectors
    with pytest.raises(OutputError, match="passages has vectors in some rows only"):
        built(files)


def test_a_missing_table_or_column_is_named(files: MemoryFiles) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"document_id": ["x"]}), buffer)
    files.data["out/documents/b.parquet"] = buffer.getvalue()
    with pytest.raises(OutputError, match=r"documents/b.parquet has no column embedding"):
        built(files)
    del files.data["out/documents/b.parquet"]
    with pytest.raises(OutputError, match=r"documents/b.parquet is missing or damaged"):
        built(files)


def test_columns_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match="must be fixed_size_list<float32>"):
        column_vectors(pa.array([[1.0]], pa.list_(pa.float32())))
    with pytest.raises(ValueError, match="null in 1 rows"):
        column_vectors(pa.array([[1.0], None], pa.list_(pa.float32(), 1)))
    sliced = pa.array([[1.0], [2.0], [3.0]], pa.list_(pa.float32(), 1))[1:]
    vectors = column_vectors(sliced)
    assert vectors is not None
    assert vectors.tolist() == [[2.0], [3.0]]


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="cosine, dot, got 'cosin'; did you mean 'cosine'"):
        build_index(OutputFolder(MemoryFiles(), "out"), [], index_settings("cosin"))
    with pytest.raises(ConfigError, match="index type must be one of flat, got 'flt'"):
        build_index(OutputFolder(MemoryFiles(), "out"), [], index_settings("dot", "flt"))
    assert all(index_type(name) is kind for name, kind in INDEX_TYPES.items())


def test_an_index_that_agrees_has_no_problems(files: MemoryFiles) -> None:
    assert list(index_problems(OutputFolder(files, "out"), PARTS, built(files))) == []


def test_an_index_of_other_rows_is_found_out(files: MemoryFiles) -> None:
    entry = built(files)
    write_part(files, "out", "b", docs("b", seed=2), width=WIDTH)
    (problem,) = index_problems(OutputFolder(files, "out"), PARTS, entry)
    assert "not built from the rows" in problem
    problems = list(index_problems(OutputFolder(files, "out"), ["a"], entry))
    assert problems[0].startswith("the index has 10 documents, but the tables have 5")
    assert problems[1].startswith("the index has 30 passages, but the tables have 15")


def test_a_damaged_index_is_found_out(files: MemoryFiles) -> None:
    entry = built(files)
    path = f"out/{described(files).documents.file}"
    files.data[path] += b"?"
    (problem,) = index_problems(OutputFolder(files, "out"), PARTS, entry)
    assert f"{path} is damaged" in problem


def test_exactly_one_build_of_faiss_may_be_installed() -> None:
    check_distributions(["faiss-cpu"])
    with pytest.raises(LongbertError, match="faiss-cpu and faiss-gpu are installed"):
        check_distributions(["faiss-gpu", "faiss-cpu"])


def test_missing_faiss_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    load_faiss.cache_clear()
    with pytest.raises(LongbertError, match=r"pip install 'longbert\[cpu\]'"):
        load_faiss()
    load_faiss.cache_clear()
