"""Local files: listed whatever they are, written whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from longbert.store.filesystem import FileInfo, LocalFileSystem, finished_name

FILES = LocalFileSystem()


def test_write_makes_folders_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    FILES.write(str(path), b"one")
    FILES.write(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_file_that_is_taken_for_one_left_behind_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    path = tmp_path / "file"
    if not is_new:
        path.write_bytes(b"before")
    sync = os.fsync
    taken = []

    def synced(handle: int) -> None:
        sync(handle)
        for beside in tmp_path.glob("*.tmp"):
            if not taken:
                taken.append(beside.name)
                beside.unlink()

    monkeypatch.setattr(os, "fsync", synced)
    assert FILES.write_if(str(path), b"after", expected=None if is_new else b"before")
    assert taken
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"earlier")

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        FILES.write(str(path), b"later")
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_is_a_file_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        FILES.write(str(tmp_path / "file" / "below"), b"data")


def test_what_speaks_against_writing_is_known_without_trying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert FILES.write_problem(str(tmp_path)) == ""
    assert FILES.write_problem(str(tmp_path / "not" / "yet")) == ""
    assert FILES.write_problem(str(tmp_path / "file" / "below")) == "Not a directory"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert FILES.write_problem(str(tmp_path / "not" / "yet")) == "Permission denied"
    assert os.listdir(tmp_path) == ["file"]


@pytest.fixture
def linked(tmp_path: Path) -> str:
    """A folder with links of every kind, and a pipe."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_bytes(b"12")
    (tmp_path / "docs" / "a.txt").write_bytes(b"1")
    (tmp_path / "docs" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "docs" / "up").symlink_to(tmp_path)
    (tmp_path / "docs" / "self").symlink_to(tmp_path / "docs")
    (tmp_path / "docs" / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "docs" / "pipe.txt")
    return str(tmp_path / "docs")


def test_files_follow_links_but_not_round_in_circles(linked: str) -> None:
    expected = {
        FileInfo(f"{linked}/a.txt", 1),
        FileInfo(f"{linked}/link/b.txt", 2),
        FileInfo(f"{linked}/up/other/b.txt", 2),
        FileInfo(f"{linked}/gone.txt", 0),
        FileInfo(f"{linked}/pipe.txt", 0, special="pipe"),
    }
    assert set(FILES.files(linked)) == expected
    for pattern in ("**", "**/*.txt", "**/**/*"):
        found = list(FILES.match(f"{linked}/{pattern}"))
        assert set(found) == expected
        assert len(found) == len(expected)
    assert {info.path for info in FILES.match(f"{linked}/*.txt")} == {
        f"{linked}/{name}.txt" for name in ("a", "gone", "pipe")
    }


def test_what_is_no_file_is_named_for_what_it_is(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s.txt"))
        os.mkfifo(tmp_path / "p.txt")
        (tmp_path / "d.txt").symlink_to("/dev/null")
        found = {info.path[-5]: info.special for info in FILES.files(str(tmp_path))}
    assert found == {"s": "socket", "p": "pipe", "d": "device"}
    assert [info.special for info in FILES.match(str(tmp_path / "p.txt"))] == ["pipe"]


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of which one subfolder cannot be listed, even by root."""
    for name in ("a/one.txt", "locked/in/two.txt", "locked/three.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "/**/*.txt", "/*/*.txt", "/**"])
def test_a_folder_that_cannot_be_listed_is_an_item(locked: Path, pattern: str) -> None:
    found = FILES.match(f"{locked}{pattern}") if pattern else FILES.files(str(locked))
    assert set(found) == {
        FileInfo(f"{locked}/a/one.txt", 1),
        FileInfo(f"{locked}/locked", 0, problem="Permission denied"),
    }


def test_a_folder_that_cannot_be_listed_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(FILES.files(str(tmp_path / "none")))


def test_match_takes_a_name_with_wildcards_for_the_file(tmp_path: Path) -> None:
    for name in ("a[1].txt", "a1.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [info.path for info in FILES.match(f"{tmp_path}/a[1].txt")] == [f"{tmp_path}/a[1].txt"]


def test_remove_is_content_with_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    FILES.remove(str(path))
    FILES.remove(str(path))
    assert not path.exists()


TREE = ("a.txt", "b/a.txt", "b/c/x.md", "b/c/.h.txt", ".hid/a.txt", "b/.hid/d/a.txt", "[z]/a.txt")


@pytest.mark.parametrize(
    "pattern",
    [
        *("*", "*.txt", "**", "**/*", "**/*.txt", "**/a*", "b/**", "b/**/*.md", "*/*.txt", "*/**"),
        *("**/c/*", "**/**/*.txt", "b/c/*.md", "b/[!x]/*.md", "?/*.txt", "b/?/*", ".hid/*"),
        "[[]z]/*",
        *(".*/*", "b/.*/**/*.txt", "**/.hid/*.txt", "b/c/.*", "x/*", "nowhere/**", "a.txt/**"),
        *("b//c/*", "./b/*", "b/../*.txt", "b/", "*/", "a.txt", "[z]/a.txt"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_absolute", [False, True])
def test_patterns_match_as_those_of_the_standard_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, is_absolute: bool
) -> None:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    if is_absolute:
        pattern = f"{tmp_path}/{pattern}"
    found = [info.path for info in FILES.match(pattern)]
    wanted = {path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)}
    if pattern.endswith("[z]/a.txt") and "[[]" not in pattern:
        wanted = {pattern}
    assert {os.path.normpath(path) for path in found} == {os.path.normpath(path) for path in wanted}
    assert len(set(found)) == len(found)


def test_writers_of_the_same_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.bin"
    contents = [bytes([number]) * 1_000_000 for number in range(4)]

    def write(content: bytes) -> None:
        for _ in range(5):
            LocalFileSystem().write(str(path), content)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, contents))
    assert path.read_bytes() in contents
    assert [one.name for one in path.parent.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(
    ("name", "finished"),
    [
        ("a.parquet.1f-7f3a.tmp", "a.parquet"),
        ("a.parquet.tmp", "a.parquet"),
        ("a.parquet", "a.parquet"),
        ("a.1f-7f3a.tmp.parquet", "a.1f-7f3a.tmp.parquet"),
        ("notes.tmp", "notes"),
    ],
)
def test_an_unfinished_file_tells_its_name(name: str, finished: str) -> None:
    assert finished_name(name) == finished


@pytest.mark.parametrize("expected", [None, b"0"])
def test_of_many_that_expect_the_same_one_writes(tmp_path: Path, expected: bytes | None) -> None:
    path = tmp_path / "new" / "a.json"
    if expected is not None:
        FILES.write(str(path), expected)
    written: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        if FILES.write_if(str(path), b"%d" % number, expected=expected):
            written.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = written
    assert path.read_bytes() == b"%d" % winner


def test_a_write_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    for write in (FILES.write, partial(FILES.write_if, expected=None)):
        with pytest.raises(KeyboardInterrupt):
            write(str(tmp_path / "a.json"), b"one")
        assert list(tmp_path.iterdir()) == []
