"""Inputs and outputs that cannot be used, and what a run that fails leaves of an output."""

from __future__ import annotations

import errno
import json
import os
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import pytest
from support.commands import Call, refuse, run_arguments
from support.runs import files_of, problems, some_texts, write_texts

from longbert.store.filesystem import LocalFileSystem


class TestInputs:
    def test_missing(self, tmp_path: Path, call: Call, small: Path) -> None:
        output = tmp_path / "out"
        refuse(
            call,
            run_arguments(tmp_path / "nowhere", output, small),
            r"^longbert: error: input .*/nowhere does not exist: name a file, a folder or a glob",
            output=output,
        )

    def test_a_folder_without_documents(self, tmp_path: Path, call: Call, small: Path) -> None:
        (tmp_path / "docs").mkdir()
        output = tmp_path / "out"
        arguments = run_arguments(tmp_path / "docs", output, small)
        refuse(call, arguments, "docs holds no file: longbert reads .txt .md", output=output)
        write_texts(tmp_path / "docs", {"a.png": "", "b.PNG": "", "c": ""})
        wanted = r"holds only files of other kinds \(2 .png, 1 without suffix\): longbert reads"
        refuse(call, arguments, wanted, output=output)

    def test_not_given(self, call: Call) -> None:
        refuse(call, ["run"], "^Usage: ", "Error: --input is missing: name the files or folders")

    def test_an_input_without_the_option(self, call: Call) -> None:
        refuse(call, ["run", "docs"], "unexpected argument 'docs': name inputs with --input")


class TestOutputs:
    def test_a_file(self, docs: Path, tmp_path: Path, call: Call, small: Path) -> None:
        (tmp_path / "out").write_text("mine")
        message = "output '.*/out' is a file: name a folder"
        refuse(call, run_arguments(docs, tmp_path / "out", small), message)
        assert (tmp_path / "out").read_text() == "mine"

    def test_below_a_file(self, docs: Path, tmp_path: Path, call: Call, small: Path) -> None:
        (tmp_path / "file").write_text("mine")
        message = r"output '.*/file/out': .*json cannot be written \(Not a directory\).*run again"
        refuse(call, run_arguments(docs, tmp_path / "file/out", small), message, status=1)
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_dry_run_is_refused_as_the_run_would_be(
        self, docs: Path, tmp_path: Path, call: Call, small: Path
    ) -> None:
        (tmp_path / "file").write_text("mine")
        result = call(*run_arguments(docs, tmp_path / "file/out", small), "--dry-run")
        assert result.exit_code == 1
        forecast = json.loads(result.stdout)
        assert forecast["encode"]["documents"] == 1
        assert re.match(r"output '.*' cannot be written \(Not a directory\): ", forecast["refused"])
        assert forecast["refused"] in result.stderr

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_not_writable(self, docs: Path, tmp_path: Path, call: Call, small: Path) -> None:
        (tmp_path / "locked").mkdir(mode=0o500)
        message = r"cannot be written \(Permission denied\)"
        refuse(call, run_arguments(docs, tmp_path / "locked/out", small), message, status=1)

    @pytest.mark.parametrize("file", ["fingerprint", "passages/", "receipts/", "index/", "run.j"])
    def test_a_full_disk(
        self,
        tmp_path: Path,
        call: Call,
        small: Path,
        monkeypatch: pytest.MonkeyPatch,
        file: str,
    ) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(2))
        create, write_if = LocalFileSystem.create, LocalFileSystem.write_if

        def refuse_full(path: str) -> None:
            if f"out/{file}" in path:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

        def full(self: LocalFileSystem, path: str) -> AbstractContextManager[IO[bytes]]:
            refuse_full(path)
            return create(self, path)

        def full_if(
            self: LocalFileSystem, path: str, data: bytes, *, expected: bytes | None
        ) -> bool:
            refuse_full(path)
            return write_if(self, path, data, expected=expected)

        with monkeypatch.context() as patch:
            patch.setattr(LocalFileSystem, "create", full)
            patch.setattr(LocalFileSystem, "write_if", full_if)
            message = r"cannot be written .*No space left on device.*(run again|free space)"
            refuse(call, run_arguments(docs, tmp_path / "out", small), message, status=1)
        result = call(*run_arguments(docs, tmp_path / "out", small))
        assert result.exit_code == 0
        assert problems(tmp_path / "out") == []

    def test_of_other_settings(self, docs: Path, tmp_path: Path, call: Call, small: Path) -> None:
        arguments = run_arguments(docs, tmp_path / "out", small)
        assert call(*arguments).exit_code == 0
        before = files_of(tmp_path / "out")
        refuse(
            call,
            [*arguments, "--passage", "9"],
            r"out' holds rows made with .* settings:\n  passage: 64 -> 9\nGo back .*--output",
            status=4,
        )
        assert files_of(tmp_path / "out") == before


def test_nothing_is_lost_when_a_later_run_fails(
    tmp_path: Path, docs: Path, call: Call, small: Path
) -> None:
    output = tmp_path / "out"
    assert call(*run_arguments(docs, output, small)).exit_code == 0
    before = files_of(output)
    for options in (["--input", str(tmp_path / "no")], ["--ner", "./no"], ["--window", "9999"]):
        assert call(*run_arguments(docs, output, small), *options).exit_code == 2
    assert files_of(output) == before
    assert call("verify", output).exit_code == 0
    assert call("query", "dragonfly", "--index", output).exit_code == 0
