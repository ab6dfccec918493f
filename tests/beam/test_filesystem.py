"""Inputs and outputs on a file system of Beam's: the same as on the local disk."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fakes.beam_files import MemoryFileSystem
from support.runs import DEFAULT_TABLES, UNIT_BYTES, files_of, some_texts, write_texts
from support.runs import run as run_locally

import longbert
from longbert.beam.filesystem import BeamFileSystem
from longbert.engine.verify.output import verify_output
from longbert.store.filesystem import FileInfo
from longbert.store.folder import OutputFolder


@pytest.fixture
def objects() -> Iterator[dict[str, bytes]]:
    """The objects of the store, none at first."""
    MemoryFileSystem.store.clear()
    yield MemoryFileSystem.store.data
    MemoryFileSystem.store.clear()


@pytest.fixture
def some_objects(objects: dict[str, bytes]) -> dict[str, bytes]:
    objects.update(
        {
            "mem://box/a.txt": b"a",
            "mem://box/deep/er/b.txt": b"bb",
            "mem://box/c.md": b"ccc",
            "mem://boxes/d.txt": b"dddd",
            "mem://box/odd[1]*/e.txt": b"eeeee",
        }
    )
    return objects


def test_folders_are_what_has_files_below(some_objects: dict[str, bytes]) -> None:
    files = BeamFileSystem()
    assert files.is_folder("mem://box")
    assert files.is_folder("mem://box/")
    assert files.is_folder("mem://box/deep")
    assert files.is_folder("mem://box/odd[1]*")
    assert not files.is_folder("mem://bo")
    assert not files.is_folder("mem://box/a.txt")
    assert not files.is_folder("mem://box/*")


def test_files_are_all_below_a_folder(some_objects: dict[str, bytes]) -> None:
    files = BeamFileSystem()
    assert set(files.files("mem://box/deep/")) == {FileInfo("mem://box/deep/er/b.txt", 2)}
    assert set(files.files("mem://box/odd[1]*")) == {FileInfo("mem://box/odd[1]*/e.txt", 5)}
    assert {info.path for info in files.files("mem://box")} == some_objects.keys() - {
        "mem://boxes/d.txt"
    }


def test_patterns_match_as_on_the_local_disk(some_objects: dict[str, bytes]) -> None:
    files = BeamFileSystem()

    def match(pattern: str) -> set[str]:
        return {info.path for info in files.match(pattern)}

    assert match("mem://box/*.txt") == {"mem://box/a.txt"}
    assert match("mem://box/deep/**/*.txt") == {"mem://box/deep/er/b.txt"}
    assert list(files.match("mem://box/a.txt")) == [FileInfo("mem://box/a.txt", 1)]
    assert match("mem://box/none.txt") == set()


def test_open_reads_or_says_that_there_is_none(objects: dict[str, bytes]) -> None:
    objects["mem://box/a.jsonl.gz"] = b"\x1f\x8b packed"
    files = BeamFileSystem()
    with files.open("mem://box/a.jsonl.gz") as file:
        assert file.read() == b"\x1f\x8b packed", "unpacking is the readers' work"
    with pytest.raises(FileNotFoundError, match=r"mem://box/none\.txt"):
        files.open("mem://box/none.txt")


def test_write_replaces_and_remove_forgives(objects: dict[str, bytes]) -> None:
    files = BeamFileSystem()
    files.write("mem://box/new/a.gz", b"one")
    files.write("mem://box/new/a.gz", b"two")
    assert objects == {"mem://box/new/a.gz": b"two"}
    files.remove("mem://box/new/a.gz")
    files.remove("mem://box/new/a.gz")
    assert objects == {}


def test_a_file_is_written_if_it_is_what_it_was(tmp_path: Path, objects: dict[str, bytes]) -> None:
    files = BeamFileSystem()
    for path in ("mem://box/a.json", str(tmp_path / "new" / "a.json")):
        assert not files.write_if(path, b"one", expected=b"zero"), "there is none"
        assert files.write_if(path, b"one", expected=None)
        assert not files.write_if(path, b"two", expected=None), "there is one"
        assert not files.write_if(path, b"two", expected=b"another")
        assert files.write_if(path, b"two", expected=b"one")
        with files.open(path) as file:
            assert file.read() == b"two"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_file_that_fails_while_it_is_written_leaves_no_object(
    objects: dict[str, bytes], tmp_path: Path
) -> None:
    files = BeamFileSystem()

    def fail(path: str) -> None:
        with files.create(path) as file:
            file.write(b"one")
            raise ValueError("no more")

    for path in ("mem://box/a.parquet", str(tmp_path / "a.parquet")):
        with pytest.raises(ValueError, match="no more"):
            fail(path)
    assert objects == {}
    assert list(tmp_path.iterdir()) == []
    with files.create("mem://box/a.parquet") as file:
        file.write(b"one")
        file.write(b"two")
    assert objects == {"mem://box/a.parquet": b"onetwo"}


def test_half_a_file_does_not_stay(objects: dict[str, bytes]) -> None:
    files = BeamFileSystem()
    MemoryFileSystem.store.cut.add("mem://box/a.parquet")
    with (
        pytest.raises(OSError, match=r"mem://box/a\.parquet: the connection was lost"),
        files.create("mem://box/a.parquet") as file,
    ):
        file.write(b"one and two")
    with pytest.raises(OSError, match="the connection was lost"):
        files.write("mem://box/a.parquet", b"one and two")
    assert objects == {}


def test_errors_of_a_store_are_os_errors(objects: dict[str, bytes]) -> None:
    files = BeamFileSystem()
    MemoryFileSystem.store.refused.add("mem://box/a.txt")
    objects["mem://box/a.txt"] = b""
    with pytest.raises(OSError, match=r"mem://box/a.txt: 403 Forbidden"):
        files.open("mem://box/a.txt")
    with pytest.raises(OSError, match=r"mem://box/a.txt: 403 Forbidden"):
        files.write("mem://box/a.txt", b"")
    with pytest.raises(OSError, match="nosuch"):
        files.match("nosuch://box/*")


def test_paths_without_scheme_are_local(tmp_path: Path, objects: dict[str, bytes]) -> None:
    files = BeamFileSystem()
    path = str(tmp_path / "deep" / "a.txt")
    files.write(path, b"here")
    assert files.is_folder(str(tmp_path / "deep"))
    assert list(files.files(str(tmp_path))) == list(files.match(path)) == [FileInfo(path, 4)]
    with files.open(path) as file:
        assert file.read() == b"here"
    files.remove(path)
    assert list(files.files(str(tmp_path))) == []
    assert objects == {}


@pytest.fixture
def embed(models: Callable[..., Path]) -> str:
    return str(models("bert", sentence_transformers={"max_seq_length": 32}))


def _run(inputs: str, output: str, embed: str, runner: str) -> dict[str, object]:
    return longbert.run(
        inputs,
        output=output,
        runner=runner,
        embed=embed,
        precision="float32",
        unit_bytes=UNIT_BYTES,
    )


def _below(objects: dict[str, bytes], folder: str) -> dict[str, bytes]:
    return {
        path.removeprefix(f"{folder}/"): data
        for path, data in objects.items()
        if path.startswith(f"{folder}/") and not path.endswith("/run.json")
    }


@pytest.mark.parametrize("runner", ["none", "DirectRunner"])
def test_an_output_in_a_store_has_the_bytes_of_a_local_one(
    runner: str, tmp_path: Path, objects: dict[str, bytes], embed: str
) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(3))
    run_locally(inputs, tmp_path / "out", embed=embed)
    _run(str(inputs), "mem://out", embed, runner)
    assert _below(objects, "mem://out") == files_of(tmp_path / "out")
    assert "mem://out/run.json" in objects


def test_a_whole_run_in_a_store(tmp_path: Path, objects: dict[str, bytes], embed: str) -> None:
    texts = some_texts(3) | {"empty.txt": ""}
    inputs = write_texts(tmp_path / "in", texts)
    run_locally(inputs, tmp_path / "out", embed=embed)
    sources = {f"mem://in/{name}": text.encode() for name, text in texts.items()}

    # The output lies inside the folder of the inputs, but does not become one of them.
    outputs = []
    for runner in ("none", "DirectRunner"):
        objects.clear()
        objects.update(sources)
        manifest = _run("mem://in", "mem://in/out", embed, runner)
        assert _run("mem://in", "mem://in/out", embed, runner) == manifest
        outputs.append(_below(objects, "mem://in/out"))
    assert outputs[0] == outputs[1]
    assert list(verify_output(OutputFolder(BeamFileSystem(), "mem://in/out"))) == []

    # The column `source` tells where the inputs are, and so does a part's name; else it is as here.
    for table in DEFAULT_TABLES:
        parts = [data for name, data in sorted(outputs[0].items()) if name.startswith(f"{table}/")]
        rows = [row for data in parts for row in pq.read_table(io.BytesIO(data)).to_pylist()]
        for row in rows:
            if "source" in row:
                row["source"] = row["source"].replace("mem://in", str(inputs))
            if "message" in row:
                row["message"] = row["message"].replace("mem://in", str(inputs))
        assert rows == pq.read_table(tmp_path / "out" / table).to_pylist(), table

    (hit,) = longbert.open("mem://in/out").search("the annual budget", k=1)
    assert hit.document_id in texts


def test_a_store_that_refuses_ends_the_run_with_its_reason(
    tmp_path: Path, objects: dict[str, bytes], embed: str
) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(1))
    MemoryFileSystem.store.refused.add("mem://out/manifest.json")
    for runner in ("none", "DirectRunner"):
        with pytest.raises(longbert.OutputError, match=r"manifest.json.*403 Forbidden"):
            _run(str(inputs), "mem://out", embed, runner)
