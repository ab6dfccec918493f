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

from longbert.config import INDEX_TYPES
from longbert.errors import ConfigError, LongbertError, OutputError
from longbert.index.backend import check_distributions, load_faiss
from longbert.index.build import build_index
from longbert.index.kinds import AUTO, INDEX_KINDS, index_kind
from longbert.index.vectors import column_vectors, unit_vectors
from longbert.index.verify import index_problems
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexDescription, IndexEntry
from longbert.store.leftovers import index_files

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
    found = build_index(OutputFolder(files, "out"), PARTS, index_settings(metric)).entry
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
    for table, index, count in (
        ("documents", description.documents, 10),
        ("passages", description.passages, 30),
    ):
        (segment,) = index.segments
        content = files.data[f"out/{segment.file}"]
        assert segment.n_rows == count
        assert [part.name for part in segment.parts] == PARTS
        assert segment.sha256 == hashlib.sha256(content).hexdigest()
        assert segment.file == f"index/{table}-{segment.sha256[:12]}.faiss"
        assert segment.n_bytes == segment.memory_bytes == len(content)
        assert (index.type, index.tuning.recall_at_10) == ("flat", 1.0)
    assert (description.metric, description.dimensions) == ("cosine", WIDTH)
    assert index_files(OutputFolder(files, "out"), entry) == (
        entry.file,
        description.passages.segments[0].file,
        description.documents.segments[0].file,
    )


def test_faiss_finds_passages_by_their_id(files: MemoryFiles) -> None:
    faiss = load_faiss()
    data = files.data[f"out/{described(files).passages.segments[0].file}"]
    index = faiss.deserialize_index(np.frombuffer(data, np.uint8))
    wanted = docs("b", seed=1)[2].passages
    assert wanted is not None

    scores, ids = index.search(unit_vectors(wanted[1:2]), 1)

    assert ids.tolist() == [[passage_id("b2", 1)]]
    assert scores[0, 0] == pytest.approx(1)


def test_same_rows_give_the_same_files_however_they_are_batched(files: MemoryFiles) -> None:
    first = built(files)
    before = {path: data for path, data in files.data.items() if "/index/" in path}
    write_part(files, "out", "a", docs("a"), width=WIDTH, row_group_size=1)

    assert built(files) == first
    assert {path: data for path, data in files.data.items() if "/index/" in path} == before


def test_vectors_are_scaled_for_cosine_only(files: MemoryFiles) -> None:
    (by_cosine,) = described(files).passages.segments
    (by_dot,) = described(files, "dot").passages.segments

    assert by_cosine.longest_vector == pytest.approx(1, abs=1e-6)
    assert by_dot.longest_vector > 1.5
    assert by_cosine.file != by_dot.file
    assert by_cosine.parts == by_dot.parts


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
    assert build_index(OutputFolder(MemoryFiles(), "out"), [], index_settings()).entry is None


def test_parts_without_rows_are_passed_over(files: MemoryFiles) -> None:
    whole = built(files)
    write_part(files, "out", "none", [], width=WIDTH)
    parts = ["none", "a", "none", "b"]
    assert build_index(OutputFolder(files, "out"), parts, index_settings()).entry == whole


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
    with pytest.raises(ConfigError, match=r"index type must be one of auto, flat, .*, got 'flt'"):
        build_index(OutputFolder(MemoryFiles(), "out"), [], index_settings("dot", "flt"))
    assert all(index_kind(name) is kind for name, kind in INDEX_KINDS.items())
    assert (AUTO, *INDEX_KINDS) == INDEX_TYPES


def test_an_index_that_agrees_has_no_problems(files: MemoryFiles) -> None:
    assert list(index_problems(OutputFolder(files, "out"), PARTS, built(files))) == []


def test_an_index_of_other_rows_is_found_out(files: MemoryFiles) -> None:
    entry = built(files)
    write_part(files, "out", "b", docs("b", seed=2), width=WIDTH)
    problems = list(index_problems(OutputFolder(files, "out"), PARTS, entry))
    assert ["not built from the rows" in one for one in problems] == [True, True]
    write_part(files, "out", "c", docs("c"), width=WIDTH)
    problems = list(index_problems(OutputFolder(files, "out"), ["a", "c"], entry))
    assert problems[0].startswith("the index has 5 documents, but the tables have 10")
    assert problems[1].startswith("the index has 15 passages, but the tables have 30")


def test_a_damaged_index_is_found_out(files: MemoryFiles) -> None:
    entry = built(files)
    path = f"out/{described(files).documents.segments[0].file}"
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
