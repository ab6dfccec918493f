"""Local files: listed whatever they are, written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from longbert.store.filesystem import FileInfo, LocalFileSystem

FILES = LocalFileSystem()


def test_write_makes_folders_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    FILES.write(str(path), b"one")
    FILES.write(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file"]


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


def test_files_follow_links_but_not_round_in_circles(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_bytes(b"12")
    (tmp_path / "docs" / "a.txt").write_bytes(b"1")
    (tmp_path / "docs" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "docs" / "up").symlink_to(tmp_path)
    (tmp_path / "docs" / "self").symlink_to(tmp_path / "docs")
    (tmp_path / "docs" / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "docs" / "pipe.txt")
    docs = str(tmp_path / "docs")
    assert set(FILES.files(docs)) == {
        FileInfo(f"{docs}/a.txt", 1),
        FileInfo(f"{docs}/link/b.txt", 2),
        FileInfo(f"{docs}/up/other/b.txt", 2),
        FileInfo(f"{docs}/gone.txt", 0),
    }
    assert {info.path for info in FILES.match(f"{docs}/*.txt")} == {
        f"{docs}/a.txt",
        f"{docs}/gone.txt",
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
