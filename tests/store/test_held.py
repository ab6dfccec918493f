"""Files that are held survive what happens to the folder."""

import errno
import hashlib
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from fakes.memory_files import MemoryFiles

from longbert.errors import OutputError
from longbert.store import folder
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.held import HeldFile


@pytest.fixture
def local(tmp_path: Path) -> OutputFolder:
    (tmp_path / "a").write_bytes(b"before")
    return OutputFolder(LocalFileSystem(), str(tmp_path))


def test_a_local_file_is_read_as_it_was(local: OutputFolder) -> None:
    held = HeldFile(local, "a")
    local.write("a", b"after")
    assert bytes(held.read()) == b"before"
    local.filesystem.remove(local.join("a"))
    assert bytes(held.read()) == b"before"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_holding_takes_no_open_file(local: OutputFolder) -> None:
    before = len(os.listdir("/proc/self/fd"))
    held = [HeldFile(local, "a") for _ in range(50)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert bytes(held[-1].read()) == b"before"


def test_a_missing_local_file_is_told_to_whoever_reads_it(local: OutputFolder) -> None:
    held = HeldFile(local, "b")
    local.write("b", b"written too late")
    for _ in range(2):
        with pytest.raises(OutputError, match=r"/b is missing or unreadable .*run longbert again"):
            held.read()


def test_a_file_elsewhere_is_read_when_wanted_and_its_loss_explained() -> None:
    files = MemoryFiles()
    files.write("out/a", b"data")
    held = HeldFile(OutputFolder(files, "out"), "a")
    assert files.opened == []
    assert bytes(held.read()) == b"data"
    files.remove("out/a")
    with pytest.raises(OutputError, match=r"out/a is missing .*index\.reload\(\)"):
        held.read()


def test_a_file_is_checked_against_its_digest(local: OutputFolder) -> None:
    held = HeldFile(local, "a")
    sha256 = hashlib.sha256(b"before").hexdigest()
    assert bytes(held.read_checked(sha256)) == b"before"
    with pytest.raises(OutputError, match=r"/a is damaged: its SHA-256 is \w{12}\.\.\., but"):
        held.read_checked("0" * 64)


def test_a_large_file_elsewhere_is_mapped_from_a_copy_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(folder, "IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = MemoryFiles()
    output = OutputFolder(files, "out")
    for n_bytes in (0, 99, 100, 101, 5_000_000):
        files.data["out/a"] = bytes(n % 251 for n in range(n_bytes))
        mapped = output.open_mapped("a")
        assert bytes(mapped) == files.data["out/a"]
        assert list(tmp_path.iterdir()) == []


def test_more_files_than_can_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        # As pyarrow has it from mmap, without a number.
        raise OSError(f"Memory mapping file failed: {os.strerror(errno.ENOMEM)}")

    (tmp_path / "a").write_bytes(b"a")
    monkeypatch.setattr(pa, "memory_map", refuse)
    held = HeldFile(OutputFolder(LocalFileSystem(), str(tmp_path)), "a")
    with pytest.raises(OutputError, match=r"a cannot be mapped.*vm\.max_map_count.*--unit-bytes"):
        held.read()
