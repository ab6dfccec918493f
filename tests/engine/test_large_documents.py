"""Documents larger than a unit, read and written piece by piece, against the same in one piece."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fakes.encoder import FakeTokenizer, fake_models
from fakes.local_files import WatchedFiles
from support.manifests import part_names_of
from support.runs import files_of, problems, rows, rows_by_document, run_on, some_texts, write_texts
from support.texts import long_text

from longbert.config import run_config
from longbert.core.units import Part, Unit
from longbert.encoders.batch import TokenWindow
from longbert.engine import unit
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo, RunResult
from longbert.engine.meter import FileMeter
from longbert.engine.run import run_in_process
from longbert.readers import pieces, piecewise
from longbert.store import parquet
from longbert.store.filesystem import LocalFileSystem
from longbert.store.shards import n_parts

HEADS: dict[str, Any] = {
    "embed": "fake",
    "classify": ["c", "d"],
    "ner": ["n", "m"],
    "window_scores": True,
    "window": 20,
    "passage": 7,
}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piecewise, "PIECE_BYTES", 300)
    monkeypatch.setattr(pieces, "PIECE_CHARS", 300)
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 50)


def run_fake(docs: Path, output: Path, *, unit_bytes: int, **changes: Any) -> RunResult:
    files = changes.pop("files", LocalFileSystem())
    load = partial(fake_models, watch=changes.pop("watch", None))
    settings = {**HEADS, **changes}
    return run_on(files, docs, output, load=load, unit_bytes=unit_bytes, **settings)


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".html"])
@pytest.mark.parametrize("language", ["auto", "de"])
def test_the_files_are_those_of_one_piece(tmp_path: Path, suffix: str, language: str) -> None:
    text = "Café\r\n" + long_text(2_000, seed=3)
    content = {
        ".txt": text,
        ".jsonl": json.dumps({"id": "a", "text": text, "n": 1}),
        ".html": f"<title>T</title><p>{text}",
    }[suffix]
    docs = write_texts(tmp_path / "docs", {f"a{suffix}": content})
    for name, unit_bytes in (("whole", 10**6), ("large", 1_000)):
        outcome = run_fake(docs, tmp_path / name, unit_bytes=unit_bytes, language=language)
        assert outcome.manifest.counts["documents"] == 1
        assert outcome.manifest.counts["passages"] > 200
        assert problems(tmp_path / name) == []
    whole, large = files_of(tmp_path / "whole"), files_of(tmp_path / "large")
    manifests = [json.loads(files.pop("manifest.json")) for files in (whole, large)]
    for manifest in manifests:
        del manifest["written_with"]["unit_bytes"], manifest["seal"]
    assert manifests[0] == manifests[1]
    assert large == whole


def test_a_large_document_among_small_ones(tmp_path: Path) -> None:
    texts = some_texts(12) | {"05.txt": long_text(3_000)}
    docs = write_texts(tmp_path / "docs", texts)
    run_fake(docs, tmp_path / "whole", unit_bytes=10**6)
    outcome = run_fake(docs, tmp_path / "large", unit_bytes=2_000)
    assert n_parts(outcome.manifest.shards) > 4
    assert rows_by_document(tmp_path / "large") == rows_by_document(tmp_path / "whole")


@pytest.mark.parametrize("can_be_cut", [True, False])
def test_documents_in_memory_for_their_tokenizer_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_be_cut: bool
) -> None:
    monkeypatch.setattr(FakeTokenizer, "can_be_cut", can_be_cut)
    texts = {"a.txt": long_text(500), "b.txt": "small"}
    docs = write_texts(tmp_path / "docs", texts)
    (tmp_path / "meter").mkdir()
    settings = {"input": [str(docs)], "output": str(tmp_path / "out"), "unit_bytes": 1_000}
    context = RunContext(
        run_config({**HEADS, **settings}),
        LocalFileSystem(),
        meter=FileMeter(str(tmp_path / "meter")),
        load=fake_models,
    )
    entry = run_in_process(context, RunInfo("none")).entry
    assert entry.measured.get("tokenized_whole", 0) == int(not can_be_cut)


def test_a_large_part_is_copied_and_indexed_again_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = write_texts(tmp_path / "docs", {"a.txt": long_text(3_000)})
    output = tmp_path / "out"
    run_fake(docs, output, unit_bytes=1_000)
    (name,) = part_names_of(output)
    before = files_of(output)
    config = run_config({"input": [str(docs)], "output": str(output), **HEADS})
    context = RunContext(config, LocalFileSystem(), load=fake_models)
    receipt = context.output.receipt(name)
    assert receipt is not None
    # None of its tables is read as a whole.
    monkeypatch.setattr(unit, "read_table", None)
    copied = Part("000007-0123456789ab", receipt.planned.documents, receipt.fingerprint)
    unit.copy_unit(context, Unit(copied, copy_from=(name,)))
    unit.index_part(context, msgspec.structs.replace(receipt, lexical="other"))
    after = files_of(output)
    assert {path: after[path] for path in before} == before
    n_copied = 0
    for path in after.keys() - before.keys():
        original = before[path.replace(copied.name, name)]
        n_copied += 1
        if path.startswith("receipts"):
            assert json.loads(after[path])["files"] == json.loads(original)["files"]
        else:
            assert after[path] == original
    assert n_copied == len([path for path in before if name in path])


def error_of(output: Path) -> tuple[str, str]:
    """Stage and kind of the one error of an output, which holds nothing else."""
    (error,) = rows(output, "errors")
    for table in ("documents", "passages", "entities", "classifications", "window_scores"):
        assert rows(output, table) == []
    assert problems(output) == []
    return error["stage"], error["error"]


def test_a_model_that_fails_on_the_last_window_leaves_no_row(tmp_path: Path) -> None:
    docs = write_texts(tmp_path / "docs", {"a.txt": long_text(2_000) + " ending"})

    def fail(windows: Sequence[TokenWindow]) -> None:
        if any(window.is_last for window in windows):
            raise MemoryError

    messages = []
    for unit_bytes in (1_000, 10**6):
        output = tmp_path / str(unit_bytes)
        run_fake(docs, output, unit_bytes=unit_bytes, watch=fail)
        assert error_of(output) == ("encode", "MemoryError")
        messages.append(rows(output, "errors"))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xfe" + long_text(2_000).encode("utf-16-le") + b"\x00\xd8", "encoding"),
        (b" \n" * 2_000, "no_tokens"),
        (("word " * 900 + "\u3164 " * 900).encode() + b"\xff", "encoding"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_as_of_one_piece(
    tmp_path: Path, data: bytes, kind: str
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_bytes(data)
    found = []
    for unit_bytes in (1_000, 10**6):
        output = tmp_path / str(unit_bytes)
        run_fake(tmp_path / "docs", output, unit_bytes=unit_bytes)
        assert error_of(output)[1] == kind
        found.append(rows(output, "errors"))
    assert found[0] == found[1]


def test_a_document_that_changes_while_it_is_read(tmp_path: Path) -> None:
    docs = write_texts(tmp_path / "docs", {"a.txt": long_text(2_000)})
    n_opened = 0

    def change(path: str) -> None:
        nonlocal n_opened
        if path.endswith("a.txt"):
            n_opened += 1
            # Once to plan, once to look at the encoding, and then to decode it.
            if n_opened == 3:
                (docs / "a.txt").write_text(long_text(2_000, seed=9))

    run_fake(docs, tmp_path / "out", unit_bytes=1_000, files=WatchedFiles(change))
    assert n_opened >= 3
    assert error_of(tmp_path / "out") == ("read", "changed")
