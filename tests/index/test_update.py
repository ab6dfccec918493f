"""A living index: whatever is added and removed, it answers as one that was built afresh."""

import hashlib
from typing import Any

import numpy as np
import pytest
from fakes.local_files import Death, FailingFiles
from fakes.memory_files import MemoryFiles
from hypothesis import given, settings
from hypothesis import strategies as st
from support.vectors import clustered, indexed, one_segment, open_table, write_rows
from support.written_tables import Doc, Floats, index_settings, write_part

import longbert.index.update as update_module
from longbert.core.ranking import similarities
from longbert.errors import OutputError
from longbert.index.backend import load_faiss
from longbert.index.build import build_index
from longbert.index.kinds import INDEX_KINDS
from longbert.index.verify import index_problems
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.index_description import IndexDescription, IndexEntry

WIDTH = 16
APPROXIMATE = [name for name, kind in INDEX_KINDS.items() if not kind.is_exact]


def all_vectors(docs: list[Doc]) -> Floats:
    return np.concatenate([doc.passages for doc in docs if doc.passages is not None])


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.data())
def test_a_flat_index_answers_as_a_fresh_one_after_any_changes(data: st.DataObject) -> None:
    files = MemoryFiles()
    parts: dict[str, list[Doc]] = {}
    index: IndexDescription | None = None
    for step in range(data.draw(st.integers(1, 6))):
        for gone in data.draw(st.sets(st.sampled_from(sorted(parts)))) if parts else ():
            if len(parts) > 1:
                del parts[gone]
        for number in range(data.draw(st.integers(0 if parts else 1, 3))):
            name = f"{step}-{number}"
            n_rows = data.draw(st.sampled_from([10, 20, 80]))
            # A changed document keeps its id, and so do its passages.
            parts[name] = write_rows(files, name, n_rows, WIDTH, seed=data.draw(st.integers(0, 3)))
        names = list(parts)
        index = indexed(files, names, "flat", index)
        table = open_table(files, index, names)
        vectors = np.concatenate([all_vectors(docs) for docs in parts.values()])
        np.testing.assert_array_equal(table.vectors(np.arange(len(vectors))), vectors)
        fresh = open_table(files, indexed(files, names, "flat"), names)
        np.testing.assert_array_equal(table.ids, fresh.ids)
        mask = np.arange(len(vectors)) % 3 != 0
        for query in clustered(3, WIDTH, seed=9):
            for allowed in (None, mask):
                found, expected = (one.search(query, 15, allowed=allowed) for one in (table, fresh))
                # Equal scores may come in another order; which of them are found may not differ.
                np.testing.assert_array_equal(found.scores, expected.scores)
                exact = similarities(vectors[found.rows], query)
                np.testing.assert_allclose(found.scores, exact, atol=1e-6)
                assert allowed is None or allowed[found.rows].all()


@pytest.mark.parametrize("type", APPROXIMATE)
def test_an_approximate_index_finds_what_it_measured_also_after_changes(
    type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_module, "SMALL", 300)
    files = MemoryFiles()
    docs = {"a": write_rows(files, "a", 2_000, WIDTH), "b": write_rows(files, "b", 300, WIDTH)}
    first = indexed(files, ["a", "b"], type, recall=0.9)
    assert first.passages.type == type
    assert first.passages.tuning.recall_at_10 >= 0.9
    docs |= {"c": write_rows(files, "c", 500, WIDTH, seed=3)}
    docs |= {"d": write_rows(files, "d", 20, WIDTH, seed=4)}

    second = indexed(files, ["a", "c"], type, first, recall=0.9)
    third = indexed(files, ["a", "c", "d"], type, second, recall=0.9)

    (old,) = first.passages.segments
    assert [one.type for one in third.passages.segments] == [type, type, "flat"]
    assert third.passages.segments[0] == old
    table = open_table(files, third, ["a", "c", "d"])
    vectors = np.concatenate([all_vectors(docs[name]) for name in "acd"])
    np.testing.assert_array_equal(table.vectors(np.arange(len(vectors))), vectors)
    shares = []
    for row in range(0, len(vectors), 12):
        truth = np.argsort(-(vectors @ vectors[row]), kind="stable")[:10]
        shares.append(np.isin(truth, table.search(vectors[row], 10).rows).mean())
    assert np.mean(shares) >= 0.87
    assert not list(index_problems(OutputFolder(files, "out"), ["a", "c", "d"], entry(files)))


def entry(files: MemoryFiles) -> IndexEntry:
    """Of the description that was written last."""
    path = [one for one in files.data if "description" in one][-1]
    sha256 = hashlib.sha256(files.data[path]).hexdigest()
    return IndexEntry(file=path.removeprefix("out/"), sha256=sha256)


@pytest.mark.parametrize("type", APPROXIMATE)
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_masked_rows_are_never_found(type: str, share: float) -> None:
    files = MemoryFiles()
    vectors = all_vectors(write_rows(files, "a", 2_000, WIDTH))
    table = open_table(files, indexed(files, ["a"], type), ["a"])
    allowed = np.random.default_rng(0).random(len(vectors)) < share
    shares = []
    for row in range(0, 2_000, 100):
        found = table.search(vectors[row], 10, harder=100, allowed=allowed).rows
        assert allowed[found].all()
        truth = np.argsort(np.where(allowed, -(vectors @ vectors[row]), np.inf))[:10]
        shares.append(np.isin(truth, found).mean())
    assert np.mean(shares) >= 0.85


@pytest.mark.parametrize("type", INDEX_KINDS)
def test_equal_rows_give_equal_files_on_any_number_of_threads(type: str) -> None:
    faiss, built = load_faiss(), []
    before = faiss.omp_get_max_threads()
    try:
        for threads in (1, 2):
            files = MemoryFiles()
            faiss.omp_set_num_threads(threads)
            write_rows(files, "a", 1_500, 32)
            indexed(files, ["a"], type)
            built.append({path: data for path, data in files.data.items() if "/index/" in path})
    finally:
        faiss.omp_set_num_threads(before)
    assert built[0] == built[1]


def test_an_addition_writes_one_small_file_for_each_table(tmp_path: Any) -> None:
    files = MemoryFiles()
    write_rows(files, "a", 1_000, WIDTH)
    first = indexed(files, ["a"], "flat")
    write_rows(files, "b", 20, WIDTH)
    before = {*files.data}
    files.opened.clear()

    second = indexed(files, ["a", "b"], "flat", first)

    assert second.passages.segments[0] == one_segment(first)
    new = {path: len(files.data[path]) for path in {*files.data} - before}
    assert len(new) == 3
    assert max(new.values()) < 5_000
    assert not [path for path in files.opened if path.endswith("/a.parquet")]


def test_a_removal_writes_no_vectors() -> None:
    files = MemoryFiles()
    write_rows(files, "a", 1_000, WIDTH)
    write_rows(files, "b", 100, WIDTH)
    first = indexed(files, ["a", "b"], "flat")
    written = {*files.data}
    assert indexed(files, ["a"], "flat", first) == first
    assert {*files.data} == written
    assert open_table(files, first, ["a"]).n_rows == 1_000


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (["b"], "1,000 of 1,200 vectors belonged to former rows"),
        (["a", "b", "large"], "it has grown by more than a half"),
        (["a", "b", "far"], "later vectors lie far from the centres of the cells"),
    ],
)
def test_everything_is_built_again_for_a_reason(parts: list[str], reason: str) -> None:
    files = MemoryFiles()
    write_rows(files, "a", 1_000, WIDTH)
    write_rows(files, "b", 200, WIDTH, seed=1)
    write_rows(files, "large", 700, WIDTH, seed=2)
    write_rows(files, "far", 500, WIDTH, seed=3, shift=40)
    before = indexed(files, ["a", "b"], "ivf")
    output, chosen = OutputFolder(files, "out"), index_settings(type="ivf")

    built = build_index(output, parts, chosen, before)

    assert built.reason == reason
    assert built.report.passages is not None
    assert built.entry is not None
    fresh = build_index(output, parts, chosen).entry
    assert fresh is not None
    built_passages, fresh_passages = (
        output.index_description(one).passages for one in (built.entry, fresh)
    )
    assert built_passages == fresh_passages


def test_a_clash_with_a_passage_that_is_there_is_told() -> None:
    files = MemoryFiles()
    docs = write_rows(files, "a", 1_000, WIDTH)
    first = indexed(files, ["a"], "flat")
    write_part(files, "out", "b", docs[:1], width=WIDTH)
    with pytest.raises(OutputError, match="two documents 'a/0': ids must be unique"):
        indexed(files, ["a", "b"], "flat", first)
    # Once its part is gone, a document may come back.
    write_rows(files, "c", 1_000, WIDTH, seed=5)
    both = indexed(files, ["c", "a"], "flat")
    write_part(files, "out", "a2", docs[:50], width=WIDTH)
    assert indexed(files, ["c", "a2"], "flat", both)


@pytest.mark.parametrize("fault", ["full", "death"])
def test_an_interrupted_build_leaves_the_index_as_it_was(tmp_path: Any, fault: str) -> None:
    folder = str(tmp_path / "out")
    memory = MemoryFiles()
    write_rows(memory, "a", 1_000, WIDTH)
    write_rows(memory, "b", 20, WIDTH)
    local = LocalFileSystem()
    for path, data in memory.data.items():
        local.write(str(tmp_path / path), data)
    first = build_index(OutputFolder(local, folder), ["a"], index_settings()).entry
    assert first is not None
    description = OutputFolder(local, folder).index_description(first)
    for fails_at in range(3):
        output = OutputFolder(FailingFiles(fails_at, fault), folder)
        with pytest.raises((OutputError, Death)):
            build_index(output, ["a", "b"], index_settings(), description)
        assert not list(index_problems(OutputFolder(local, folder), ["a"], first))
    second = build_index(OutputFolder(local, folder), ["a", "b"], index_settings())
    assert second.entry is not None
    problems = index_problems(OutputFolder(local, folder), ["a", "b"], second.entry)
    assert not list(problems)
