"""Invariant 6, crash safety: killed anywhere, a second run ends in the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.local_files import Death, FailingFiles
from support.manifests import part_names_of
from support.runs import (
    command_line,
    damage,
    files_of,
    last_run,
    run,
    run_on,
    some_texts,
    write_texts,
)
from support.texts import long_text

import longbert
from longbert.errors import OutputError

Settings = dict[str, Any]


class TestInvariant6CrashSafety:
    @pytest.fixture(autouse=True)
    def no_sync(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The machine does not lose power here, and syncing takes a third of the time."""
        monkeypatch.setattr(os, "fsync", lambda handle: None)

    def test_a_killed_command_goes_on_with_the_units_it_lacks(
        self, tmp_path: Path, embedding: Settings
    ) -> None:
        n_units = 16
        docs = write_texts(tmp_path / "docs", some_texts(n_units, n_words=400))
        output = tmp_path / "out"
        arguments = ["--precision", "float32", "--unit-bytes", "1000", "--runner", "none"]
        process = subprocess.Popen(
            command_line(
                *("run", "--input", docs, "--output", output, "--embed", embedding["embed"]),
                *arguments,
            ),
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 100
        while process.poll() is None and len(list(output.glob("receipts/*.json"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
        n_receipts = len(list(output.glob("receipts/*.json")))
        assert 2 <= n_receipts < n_units
        assert not (output / "manifest.json").exists()

        run(docs, output, **embedding)

        entry = last_run(output)
        assert entry["units"] == n_units
        assert entry["units"] - entry["units_resumed"] == n_units - n_receipts
        assert entry["documents_resumed"] == n_receipts
        assert entry["encoded"]["documents"] == n_units - n_receipts
        run(docs, tmp_path / "undisturbed", **embedding)
        assert files_of(output) == files_of(tmp_path / "undisturbed")

    @pytest.mark.parametrize("fault", ["full", "death"])
    def test_a_fresh_run_that_fails_at_any_write_ends_in_the_same_bytes(
        self, tmp_path: Path, embedding: Settings, fault: str
    ) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(3, n_words=30))
        whole = FailingFiles()
        run_on(whole, docs, tmp_path / "undisturbed", **embedding)
        wanted = files_of(tmp_path / "undisturbed")
        n_writes = 3 * 6 + 3 + 3
        assert whole.n_changes >= n_writes

        for n in range(whole.n_changes):
            output = tmp_path / f"out{n}"
            with pytest.raises(OutputError if fault == "full" else Death):
                run_on(FailingFiles(n, fault), docs, output, **embedding)
            n_receipts = len(list(output.glob("receipts/*.json")))
            run_on(FailingFiles(), docs, output, **embedding)
            assert files_of(output) == wanted, f"after a failure at change {n}"
            entry = last_run(output)
            if entry["unchanged"] == 0:
                assert entry["units_resumed"] == n_receipts

    @pytest.mark.parametrize("fault", ["full", "death"])
    def test_a_finished_output_survives_an_incremental_run_that_fails_at_any_write(
        self, tmp_path: Path, embedding: Settings, fault: str
    ) -> None:
        texts = some_texts(4, n_words=30)
        settings = {**embedding, "unit_bytes": 1700, "prune": True}
        docs = write_texts(tmp_path / "docs", texts)
        finished = tmp_path / "finished"
        run(docs, finished, **settings)
        assert len(part_names_of(finished)) == 2
        # One file changed, one removed, one new: a part copied, two documents encoded.
        (docs / "00.txt").write_text(long_text(30, seed=50))
        (docs / "02.txt").unlink()
        (docs / "new.txt").write_text(long_text(30, seed=51))
        shutil.copytree(finished, tmp_path / "whole")
        whole = FailingFiles()
        run_on(whole, docs, tmp_path / "whole", **settings)
        assert last_run(tmp_path / "whole")["units_copied"] == 2
        wanted = files_of(tmp_path / "whole")
        assert whole.n_changes > 3 * 6 + 3 + 2

        for n in range(whole.n_changes):
            output = tmp_path / f"out{n}"
            shutil.copytree(finished, output)
            with pytest.raises(OutputError if fault == "full" else Death):
                run_on(FailingFiles(n, fault), docs, output, **settings)
            assert damage(output) == [], f"after a failure at change {n}"
            hits = longbert.open(output).like("01.txt", k=10)
            is_new = (output / "manifest.json").read_bytes() == wanted["manifest.json"]
            assert ("new.txt" in {hit.document_id for hit in hits}) == is_new
            run_on(FailingFiles(), docs, output, **settings)
            assert files_of(output) == wanted, f"after a failure at change {n}"

    def test_half_written_files_of_a_killed_run_are_removed_with_other_inputs(
        self, tmp_path: Path, embedding: Settings
    ) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(2, n_words=30))
        output = tmp_path / "out"
        with pytest.raises(Death):
            run_on(FailingFiles(3, "death"), docs, output, **embedding)
        assert list(output.rglob("*.tmp"))
        (output / "notes.tmp").write_text("not ours")
        (docs / "00.txt").write_text(long_text(30, seed=9))

        run(docs, output, **embedding)

        assert [path.name for path in output.rglob("*.tmp")] == ["notes.tmp"]
