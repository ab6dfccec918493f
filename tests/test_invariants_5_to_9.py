"""Invariants 5 to 9: independence of runs, crash safety, isolation, memory, accounting."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.runs import (
    Death,
    FailingFiles,
    WatchedFiles,
    command_line,
    files_of,
    last_run,
    problems,
    rows,
    rows_by_document,
    run,
    run_on,
    some_texts,
    write_texts,
)
from support.texts import HOSTILE_TEXTS, long_text

import longbert
from longbert.encoders.runtime.backbone import Backbone, WindowBatch
from longbert.encoders.tokenizers.fast import FastTokenizer, TokenizedText
from longbert.errors import OutputError
from longbert.records import Document

Settings = dict[str, Any]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower with more, above all beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def embedding(models: Callable[..., Path]) -> Settings:
    """An embedding model with windows of 32."""
    return {"embed": models("bert", sentence_transformers={"max_seq_length": 32})}


@pytest.fixture(scope="module")
def all_heads(embedding: Settings, models: Callable[..., Path]) -> Settings:
    """Every head: two share the backbone, one has its own."""
    ner = models("bert", task="ner", backbone_seed=0, seed=1)
    classify = models("bert-cased", task="classify", seed=2)
    return {**embedding, "ner": [str(ner)], "classify": [str(classify)], "window": 32}


class TestInvariant5RunIndependence:
    def test_two_runs_write_the_same_bytes(self, tmp_path: Path, all_heads: Settings) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(4) | {"empty.txt": " \n"})
        for name in ("one", "two"):
            run(docs, tmp_path / name, **all_heads)

        one = files_of(tmp_path / "one")
        assert one == files_of(tmp_path / "two")
        assert {name.partition("/")[0] for name in one} >= {"manifest.json", "index", "entities"}

    def test_the_order_of_files_on_disk_does_not_matter(
        self, tmp_path: Path, embedding: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = some_texts(6) | {f"b/{name}": text for name, text in some_texts(3).items()}
        names = list(texts)
        outputs = []
        for seed in range(2):
            random.Random(seed).shuffle(names)
            place = tmp_path / str(seed)
            write_texts(place / "docs", {name: texts[name] for name in names})
            monkeypatch.chdir(place)
            run(Path("docs"), Path("out"), **embedding)
            outputs.append(files_of(place / "out"))
        assert outputs[0] == outputs[1]
        ids = [row["document_id"] for row in rows(Path("out"), "documents")]
        assert ids == sorted(texts)

    def test_a_documents_rows_are_the_same_alone_and_among_many(
        self, tmp_path: Path, all_heads: Settings
    ) -> None:
        many = {f"{i}.txt": hostile.text[:500] for i, hostile in enumerate(HOSTILE_TEXTS)}
        many |= {f"z{i}.txt": long_text(10 + 7 * i, seed=i) for i in range(30)}
        many["m.txt"] = long_text(200, seed=99)
        many["s.txt"] = "Short."
        docs = write_texts(tmp_path / "docs", many)
        run(docs, tmp_path / "many", unit_bytes=1_000_000, **all_heads)
        among = rows_by_document(tmp_path / "many")
        assert Counter(table for table, _ in among["m.txt"])["passages"] > 3
        assert {table for table, _ in among["m.txt"]} > {"documents", "entities", "classifications"}
        # Of many windows, of one that is filled up with padding, and of odd characters.
        for name in ("m.txt", "s.txt", "0.txt"):
            run(docs / name, tmp_path / name, **all_heads)
            assert among[name] == rows_by_document(tmp_path / name)[name]

    def test_the_size_of_batches_does_not_matter(self, tmp_path: Path, all_heads: Settings) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(5))
        for n in (1, 100, 100_000):
            manifest = run(docs, tmp_path / str(n), batch_tokens=n, **all_heads)
            backbones = manifest["settings"]["models"]["backbones"]
            assert [one["batch_invariant"] for one in backbones] == [True, True]
        first, *others = (files_of(tmp_path / str(n)) for n in (1, 100, 100_000))
        assert all(other == first for other in others)


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
        assert entry["measured"]["documents"] == n_units
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
        settings = {**embedding, "unit_bytes": 1700}
        docs = write_texts(tmp_path / "docs", texts)
        finished = tmp_path / "finished"
        assert len(run(docs, finished, **settings)["parts"]) == 2
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
            assert problems(output) == [], f"after a failure at change {n}"
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


SPOILT = "spoilt"
"""A word at which the fakes of the next tests fail."""


class TestInvariant7Isolation:
    @pytest.fixture
    def good(self) -> dict[str, str]:
        return some_texts(4, n_words=80)

    def check(self, tmp_path: Path, good: dict[str, str], settings: Settings) -> dict[str, Any]:
        """Run with and without the bad documents of ``tmp_path / "bad"`` among good ones."""
        run(write_texts(tmp_path / "good", good), tmp_path / "without", **settings)
        write_texts(tmp_path / "bad", good)
        manifest = run(tmp_path / "bad", tmp_path / "with", unit_bytes=1_000_000, **settings)
        found, wanted = rows_by_document(tmp_path / "with"), rows_by_document(tmp_path / "without")
        for name in good:
            for (table, row), (other_table, other) in zip(found[name], wanted[name], strict=True):
                row.pop("source", None)
                other.pop("source", None)
                assert (table, row) == (other_table, other)
        assert problems(tmp_path / "with") == []
        assert manifest["counts"]["documents"] == len(good)
        errors = {row["document_id"]: row for row in rows(tmp_path / "with", "errors")}
        assert manifest["counts"]["errors"] == len(errors) == len(found) - len(good)
        return errors

    def test_documents_that_cannot_be_read(
        self, tmp_path: Path, good: dict[str, str], all_heads: Settings
    ) -> None:
        bad = write_texts(tmp_path / "bad", {"01b.txt": "", "02b.md": " \r\n\t ", "zz.html": ""})
        (bad / "00b.txt").write_bytes(os.urandom(64) + bytes(range(256)) * 4)
        (bad / "03b.txt").symlink_to("nowhere")

        errors = self.check(tmp_path, good, all_heads)

        assert {name: (row["stage"], row["error"]) for name, row in errors.items()} == {
            "00b.txt": ("read", "encoding"),
            "01b.txt": ("plan", "empty"),
            "02b.md": ("tokenize", "no_tokens"),
            "03b.txt": ("plan", "unreadable"),
            "zz.html": ("plan", "empty"),
        }

    def test_a_document_on_which_the_tokenizer_fails(
        self,
        tmp_path: Path,
        good: dict[str, str],
        all_heads: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tokenize = FastTokenizer.tokenize

        def fail(self: FastTokenizer, text: str) -> TokenizedText:
            if SPOILT in text:
                raise RuntimeError(text)
            return tokenize(self, text)

        monkeypatch.setattr(FastTokenizer, "tokenize", fail)
        write_texts(tmp_path / "bad", {"01b.txt": f"it is {SPOILT} for ever"})

        (error,) = self.check(tmp_path, good, all_heads).values()

        assert (error["stage"], error["error"]) == ("tokenize", "RuntimeError")
        assert SPOILT not in error["message"]

    @pytest.mark.parametrize("how", ["raises", "nan"])
    def test_a_document_on_which_the_model_fails(
        self,
        tmp_path: Path,
        good: dict[str, str],
        all_heads: Settings,
        monkeypatch: pytest.MonkeyPatch,
        how: str,
    ) -> None:
        hidden_states = Backbone.hidden_states
        long = long_text(80, seed=1).split()
        bad_text = " ".join([*long[:40], SPOILT, *long[40:]])
        spoilt_ids: set[int] = set()

        def fail(self: Backbone, batch: WindowBatch, **options: Any) -> tuple[torch.Tensor, ...]:
            tokens = self.tokenizer.tokenize(SPOILT).ids.tolist()
            rows_ = [str(tokens)[1:-1] in str(row.tolist()) for row in batch.input_ids]
            spoilt_ids.update(tokens)
            states = hidden_states(self, batch, **options)
            if any(rows_) and how == "raises":
                raise RuntimeError("out of order")
            mask = torch.tensor(rows_)[:, None, None]
            return tuple(torch.where(mask, torch.full_like(one, np.nan), one) for one in states)

        monkeypatch.setattr(Backbone, "hidden_states", fail)
        write_texts(tmp_path / "bad", {"01b.txt": bad_text})

        (error,) = self.check(tmp_path, good, all_heads).values()

        assert error["document_id"] == "01b.txt"
        wanted = "RuntimeError" if how == "raises" else "not_finite"
        assert (error["stage"], error["error"]) == ("encode", wanted)


class TestInvariant8BoundedMemory:
    def test_documents_are_read_and_released_unit_by_unit(
        self, tmp_path: Path, embedding: Settings
    ) -> None:
        n_units, in_a_unit = 20, 3
        docs = write_texts(tmp_path / "docs", some_texts(n_units * in_a_unit, n_words=30))
        sizes = [path.stat().st_size for path in docs.iterdir()]
        unit_bytes = in_a_unit * (max(sizes) + 512)
        assert unit_bytes < (in_a_unit + 1) * (min(sizes) + 512)
        alive = []

        def watch(path: str) -> None:
            # A unit's documents are read one after the other, then its receipt is written.
            if path.endswith(".json") or path.endswith(("0.txt", "5.txt")):
                alive.append(sum(type(one) is Document for one in gc.get_objects()))

        gc.collect()
        gc.freeze()  # Looking through all that was there before would take most of the time.
        try:
            outcome = run_on(
                WatchedFiles(watch), docs, tmp_path / "out", unit_bytes=unit_bytes, **embedding
            )
        finally:
            gc.unfreeze()

        assert len(outcome.manifest["parts"]) == n_units
        assert 0 < max(alive) <= in_a_unit
        assert alive[-1] == 0


class TestInvariant9Accounting:
    def test_the_numbers_add_up(self, tmp_path: Path, all_heads: Settings) -> None:
        texts = some_texts(5) | {"e.txt": "", "w.txt": "\n\n", "x/é.md": "Straße\r\n\x00 \ud7ff"}
        docs = write_texts(tmp_path / "docs", texts)
        output = tmp_path / "out"
        manifest = run(docs, output, **all_heads)

        counts = manifest["counts"]
        documents = rows(output, "documents")
        assert counts["documents"] + counts["errors"] == last_run(output)["documents"] == len(texts)
        for table in ("documents", "passages", "entities", "classifications", "errors"):
            assert counts[table] == len(rows(output, table))
            assert counts[table] > 0
        assert counts["chars"] == counts["chars_covered"]
        assert counts["chars"] == sum(len(texts[row["document_id"]]) for row in documents)
        assert counts["tokens"] == sum(row["n_tokens"] for row in documents)
        assert counts["windows"] == sum(row["n_windows"] for row in documents)
        assert counts["chars_unknown"] == sum(row["n_chars_unknown"] for row in documents)
        for name in counts:
            assert counts[name] == sum(part["counts"][name] for part in manifest["parts"])
        assert problems(output) == []

    def test_documents_in_are_documents_out_errors_and_unchanged(
        self, tmp_path: Path, embedding: Settings
    ) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(5) | {"e.txt": ""})
        output = tmp_path / "out"
        run(docs, output, **embedding)
        write_texts(docs, {"f.txt": "", "g.txt": "more text"})
        manifest = run(docs, output, **embedding)

        entry = last_run(output)
        assert (entry["documents"], entry["unchanged"], entry["removed"]) == (8, 6, 0)
        assert entry["measured"]["documents"] == 2
        assert entry["measured"]["errors"] == 1
        assert manifest["counts"]["documents"] + manifest["counts"]["errors"] == 8
