"""Answers remembered from one command to the next."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longbert.encoders import remembered as rem
from longbert.encoders.remembered import OFF, identities, remembered

Ask = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(OFF)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "longbert"


class Oracle:
    def __init__(self, answer: bool | str = True) -> None:
        self.answer = answer
        self.n_asked = 0

    def __call__(self) -> bool | str:
        self.n_asked += 1
        return self.answer


def test_an_answer_is_found_out_once(folder: Path) -> None:
    oracle = Oracle("abc")
    assert [remembered("what", {"a": (1, 2)}, oracle) for _ in range(3)] == ["abc"] * 3
    assert oracle.n_asked == 1
    assert remembered("what", {"a": (1, 3)}, Oracle("d")) == "d"
    assert remembered("else", {"a": (1, 2)}, Oracle("e")) == "e"
    assert len(list(folder.iterdir())) == 3


def test_no_key_is_not_remembered(folder: Path) -> None:
    oracle = Oracle()
    remembered("what", None, oracle)
    remembered("what", None, oracle)
    assert oracle.n_asked == 2
    assert not folder.exists()


def test_it_can_be_switched_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered("what", {}, Oracle(False))
    monkeypatch.setenv(OFF, "1")
    assert remembered("what", {}, Oracle(True)) is True
    monkeypatch.delenv(OFF)
    assert remembered("what", {}, Oracle(True)) is False


@pytest.mark.parametrize(
    "damaged",
    ["", "{", "[]", "null", '{"asked": 1}', '{"asked": {"question": "other"}, "answer": 0}'],
)
def test_a_damaged_answer_is_found_out_again(folder: Path, damaged: str) -> None:
    remembered("what", {}, Oracle("right"))
    (file,) = folder.iterdir()
    file.write_text(damaged)
    assert remembered("what", {}, Oracle("right")) == "right"
    assert json.loads(file.read_text())["answer"] == "right"


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file stands in the way")
    assert remembered("what", {}, Oracle("right")) == "right"


def test_an_error_is_not_remembered(folder: Path) -> None:
    def fail() -> bool:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        remembered("what", {}, fail)
    assert remembered("what", {}, Oracle()) is True


def test_identities_change_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The time of the last change cannot be set back.
    monkeypatch.setattr(rem, "SETTLED_NS", 0)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    long_ago = time.time() - 100
    os.utime(file, (long_ago, long_ago))
    first = identities([file])
    assert first == identities([file]) is not None
    os.utime(file, (long_ago, long_ago + 1))
    assert identities([file]) != first
    other = tmp_path / "other"
    other.write_bytes(b"two")
    os.utime(other, (long_ago, long_ago))
    os.replace(other, file)
    assert identities([file]) != first


def test_a_file_that_is_written_over_is_another_although_its_time_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rem, "SETTLED_NS", 0)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    before, about = identities([file]), file.stat()
    # The clock of files has ticks of some milliseconds.
    time.sleep(0.02)
    with open(file, "r+b") as stream:
        stream.write(b"two")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    now = file.stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (3, about.st_mtime_ns, about.st_ino)
    assert identities([file]) != before is not None


def test_files_changed_just_now_have_no_identity(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert identities([file]) is None
    assert identities([tmp_path / "nothing"]) is None
