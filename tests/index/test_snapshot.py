"""A snapshot is one manifest's output, at a cost that does not grow with its documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO

import msgspec
import numpy as np
import pytest
from fakes.memory_files import MemoryFiles
from hypothesis import given, settings
from hypothesis import strategies as st
from support.written_tables import (
    Doc,
    text_of,
    write_manifest,
    write_output,
    write_part,
    write_shard_of,
)

import longbert.index.snapshot as snapshot_module
from longbert.errors import OutputError
from longbert.index.search import Index
from longbert.index.snapshot import IndexSnapshot, open_snapshot
from longbert.index.texts import read_texts
from longbert.store.folder import OutputFolder
from longbert.store.shards import part_names


def words_only(names: Sequence[str], n_passages: int = 2) -> list[Doc]:
    return [Doc(name, None, None, n_passages) for name in names]


def opened(files: MemoryFiles) -> IndexSnapshot:
    return open_snapshot(OutputFolder(files, "out"))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(1, 4), max_size=4), min_size=1, max_size=4), st.data())
def test_positions_agree_with_the_tables(sizes: list[list[int]], data: st.DataObject) -> None:
    files = MemoryFiles()
    rows: list[tuple[int, str, int]] = []
    names: list[str] = []
    for number, part in enumerate(sizes):
        docs = [Doc(f"d{number}{one}", None, None, size) for one, size in enumerate(part)]
        write_part(files, "out", f"part-{number}", docs, width=0)
        for doc in docs:
            rows += [(len(names), doc.document_id, one) for one in range(doc.n_passages)]
            names.append(doc.document_id)
    write_manifest(files, "out", [f"part-{number}" for number in range(len(sizes))], None)
    snapshot = opened(files)

    assert list(snapshot.document_ids) == names
    assert [snapshot.document_ids[one] for one in range(len(names))] == names
    assert snapshot.document_ids[-2:] == names[-2:]
    assert snapshot.n_documents == len(names)
    passages = data.draw(st.lists(st.sampled_from(range(len(rows))), max_size=6)) if rows else []
    found = snapshot.documents_of(np.array(passages, np.int64))
    assert found.tolist() == [rows[one][0] for one in passages]
    assert read_texts(snapshot, passages) == {
        one: text_of(rows[one][1], rows[one][2]) for one in passages
    }
    documents = data.draw(st.lists(st.sampled_from(range(len(names))), max_size=4)) if names else []
    of_some, n_each = snapshot.rows_of(np.array(documents, np.int64))
    own = [[row for row, one in enumerate(rows) if one[0] == document] for document in documents]
    assert of_some.tolist() == [row for some in own for row in some]
    assert n_each.tolist() == [len(some) for some in own]
    for document in documents:
        starts, ends = snapshot.spans(document)
        lengths = [len(text_of(one[1], one[2])) for one in rows if one[0] == document]
        assert (ends - starts).tolist() == lengths
        assert starts.tolist() == [0, *ends[:-1].tolist()]


def test_opening_reads_catalogs_and_lexical_files_only() -> None:
    files = write_output(words_only(["a", "b", "c"]), width=0, parts=3)
    files.opened.clear()

    opened(files)

    folders = [path.split("/")[1] for path in files.opened]
    assert sorted(folders) == [
        *["catalog"] * 3,
        *["lexical"] * 3,
        *("manifest", "manifest.json"),
    ]


def test_opening_touches_no_id_and_no_posting(monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_output(words_only(["a", "b"]), width=0)

    def refuse(*_: object) -> None:
        raise AssertionError("this grows with the corpus")

    monkeypatch.setattr("longbert.index.catalog.Catalog.document_ids", refuse)
    monkeypatch.setattr("longbert.core.lexical.Layout.document_words", property(refuse))

    assert opened(files).n_documents == 2


class ChangingFiles(MemoryFiles):
    """Files among which a run publishes another output as soon as a path is opened."""

    def __init__(self, when: str, change: Callable[[], None]) -> None:
        super().__init__()
        self._when = when
        self._change: Callable[[], None] | None = change

    def open(self, path: str) -> BinaryIO:
        if self._when in path and self._change is not None:
            change, self._change = self._change, None
            change()
        return super().open(path)


@pytest.mark.parametrize("when", ["out/catalog", "out/lexical/part-1"])
def test_a_run_that_ends_while_an_output_is_opened_is_followed(when: str) -> None:
    later = write_output(words_only(["c"]), width=0, parts=1)

    def publish() -> None:
        files.data.clear()
        files.data.update(
            {name.replace("part-0", "new-0"): one for name, one in later.data.items()}
        )
        write_manifest(files, "out", ["new-0"], None)

    files = ChangingFiles(when, publish)
    files.data.update(write_output(words_only(["a", "b"]), width=0).data)

    assert list(opened(files).document_ids) == ["c"]


def test_a_file_that_is_lost_without_a_newer_manifest_is_told() -> None:
    files = write_output(words_only(["a", "b"]), width=0)
    (path,) = (one for one in files.data if one.startswith("out/catalog/part-1"))
    del files.data[path]
    with pytest.raises(OutputError, match=rf"{path} is missing"):
        opened(files)


def test_an_unchanged_output_is_not_opened_again() -> None:
    files = write_output(words_only(["a", "b"]), width=0)
    before = opened(files)
    files.opened.clear()

    assert open_snapshot(before.output, before=before) is before

    assert files.opened == ["out/manifest.json"]


def test_parts_that_stay_are_not_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_output(words_only(["a", "b", "c"]), width=0, parts=3)
    before = opened(files)
    write_part(files, "out", "part-9", words_only(["d"]), width=0)
    write_manifest(files, "out", ["part-0", "part-2", "part-9"], None)
    seen: list[str] = []
    real = snapshot_module.open_catalog

    def watched(data: memoryview, *, path: str) -> object:
        seen.append(path)
        return real(data, path=path)

    monkeypatch.setattr(snapshot_module, "open_catalog", watched)

    after = open_snapshot(before.output, before=before)

    assert seen == ["out/catalog/part-9.safetensors"]
    assert list(after.document_ids) == ["a", "c", "d"]
    assert after.parts[0] is before.parts[0]


def test_a_part_whose_files_changed_is_opened_again() -> None:
    files = write_output(words_only(["a", "b"]), width=0)
    before = opened(files)
    entries = [part.entry for part in before.parts]
    changed = msgspec.structs.replace(entries[0], counts={"documents": 1})
    shard = write_shard_of(files, "out", [changed, entries[1]])
    manifest = msgspec.structs.replace(before.manifest, shards=(shard,))
    before.output.write_record("manifest.json", manifest)

    after = open_snapshot(before.output, before=before)

    assert after.parts[0] is not before.parts[0]
    assert after.parts[1] is before.parts[1]


def encode(texts: Sequence[str]) -> np.ndarray:
    raise AssertionError("words are not encoded")


def test_an_index_elsewhere_says_how_to_follow_a_run_that_removed_its_texts() -> None:
    files = write_output(words_only(["a", "b"]), width=0, parts=2)
    index = Index.open(OutputFolder(files, "out"), encode=encode)
    assert not index.reload()
    write_part(files, "out", "part-9", words_only(["c"]), width=0)
    write_manifest(files, "out", ["part-9"], None)
    for name in [name for name in files.data if "part-0" in name or "part-1" in name]:
        files.remove(name)

    with pytest.raises(OutputError, match=r"passages/part-0.* is missing.*index\.reload\(\)"):
        index.search("a 1")
    assert list(index.document_ids) == ["a", "b"]

    assert index.reload()
    assert not index.reload()
    assert [hit.document_id for hit in index.search("c 1")] == ["c"]
    assert [*part_names(OutputFolder(files, "out"), index.manifest.shards)] == ["part-9"]


def test_an_index_stays_as_it_was_if_it_cannot_be_reloaded() -> None:
    files = write_output(words_only(["a", "b"]), width=0)
    index = Index.open(OutputFolder(files, "out"), encode=encode)
    before = index.search("a 1")
    whole = files.data["out/manifest.json"]
    files.data["out/manifest.json"] = whole[:-9]

    with pytest.raises(OutputError, match=r"manifest\.json is damaged"):
        index.reload()

    assert index.search("a 1") == before
