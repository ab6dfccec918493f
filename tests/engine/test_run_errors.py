"""Documents that fail: tried again on demand, limited, and alone in failing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.encoder import FakeTagger, FakeTokenizer, fake_models
from support.runs import (
    files_of,
    problems,
    rows,
    rows_by_document,
    run_on,
    some_texts,
    write_texts,
)

from longbert.config import run_config
from longbert.encoders.batch import TokenWindow
from longbert.engine.context import ModelLoader, RunContext
from longbert.engine.finish import RunInfo, RunResult
from longbert.engine.meter import FileMeter
from longbert.engine.run import run_in_process
from longbert.errors import TooManyErrorsError
from longbert.store.filesystem import LocalFileSystem
from longbert.store.shards import n_parts

BAD = "spoilt"
(BAD_ID,) = FakeTokenizer().tokenize(BAD).ids.tolist()

SETTINGS: dict[str, Any] = {"embed": "fake", "classify": ["tone"], "ner": ["names"]}


class Failing:
    """Fails, while it is on, at windows with the bad word, and counts windows."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        self.error = error
        self.is_on = True
        self.n_windows = 0

    def __call__(self, windows: Sequence[TokenWindow]) -> None:
        if self.is_on and any(BAD_ID in window.ids for window in windows):
            raise self.error()
        self.n_windows += len(windows)

    @property
    def models(self) -> ModelLoader:
        return partial(fake_models, watch=self)


def run(docs: Path, output: Path, load: ModelLoader, **settings: Any) -> RunResult:
    return run_on(LocalFileSystem(), docs, output, load=load, **{**SETTINGS, **settings})


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    texts = some_texts(6)
    for name in ("01.txt", "04.txt"):
        texts[name] = f"{BAD} {texts[name]}"
    return write_texts(tmp_path / "docs", texts | {"empty.txt": "", "blank.txt": " \n"})


def test_failed_documents_are_tried_again_and_no_others(docs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    failing = Failing(lambda: RuntimeError("out of order"))
    assert run(docs, output, failing.models).manifest.counts["errors"] == 4
    # Unasked, an error of a document stays.
    failing.is_on = False
    assert run(docs, output, failing.models).found_all_done
    failing.n_windows = 0

    result = run(docs, output, failing.models, retry_errors=True)

    # A text without a token is tried, too, and fails; what planning finds is found by every run.
    assert result.manifest.counts["errors"] == 2
    assert (result.entry.documents, result.entry.unchanged) == (8, 5)
    run(docs, tmp_path / "fresh", fake_models)
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")
    counted = Failing(RuntimeError)
    counted.is_on = False
    write_texts(
        tmp_path / "two", {name: (docs / name).read_text() for name in ("01.txt", "04.txt")}
    )
    run(tmp_path / "two", tmp_path / "of-two", counted.models)
    assert failing.n_windows == counted.n_windows
    assert problems(output) == []


def test_documents_that_fail_again_keep_their_error(docs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    failing = Failing(lambda: RuntimeError("out of order"))
    run(docs, output, failing.models)
    before = rows_by_document(output)
    run(docs, output, failing.models, retry_errors=True)
    assert rows_by_document(output) == before
    assert problems(output) == []


@pytest.mark.parametrize("limit", [1, "20%"])
def test_too_many_errors_stop_the_run_with_what_is_done_intact(
    docs: Path, tmp_path: Path, limit: int | str
) -> None:
    output, meters = tmp_path / "out", tmp_path / "meters"
    failing = Failing(lambda: RuntimeError("out of order"))

    def limited(limit: int | str, number: int) -> RunResult:
        given = {"input": [str(docs)], "output": str(output), "precision": "float32"}
        config = run_config({**given, **SETTINGS, "unit_bytes": 1000, "max_errors": limit})
        folder = meters / str(number)
        folder.mkdir(parents=True)
        context = RunContext(config, LocalFileSystem(), FileMeter(str(folder)), load=failing.models)
        return run_in_process(context, RunInfo("none"))

    with pytest.raises(TooManyErrorsError) as raised:
        limited(limit, 0)

    assert raised.value.exit_status == 1
    assert f"2 of the 8 documents to do are in errors, and max_errors is {limit}" in str(
        raised.value
    )
    assert f"{output}/errors" in str(raised.value)
    assert not (output / "manifest.json").exists()
    n_done = len(list((output / "receipts").iterdir()))
    assert 0 < n_done < 6
    # The same command stops again, at once: what is done counts.
    with pytest.raises(TooManyErrorsError):
        limited(limit, 1)
    assert len(list((output / "receipts").iterdir())) == n_done

    result = limited("50%", 2)
    assert result.entry.units_resumed == n_done
    run(docs, tmp_path / "whole", failing.models, unit_bytes=1000)
    assert files_of(output) == files_of(tmp_path / "whole")


def out_of_memory() -> BaseException:
    return MemoryError("no room")


def out_of_device_memory() -> BaseException:
    import torch

    return torch.OutOfMemoryError("no room")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    texts = [f"{n} {some_texts(1, n_words=20, seed=n)['00.txt']}" for n in range(999)]
    return [json.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate(texts)]


@pytest.fixture(scope="module")
def without(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_lines(tmp_path_factory.mktemp("without"), lines, fake_models)


def run_lines(folder: Path, lines: list[str], load: ModelLoader) -> Path:
    docs = write_texts(folder / "docs", {"rows.jsonl": "\n".join(lines)})
    result = run(docs, folder / "out", load, unit_bytes=10**9)
    assert n_parts(result.manifest.shards) == 1
    return folder / "out"


def check_others(folder: Path, lines: list[str], without: Path, load: ModelLoader) -> Any:
    bad = json.dumps({"id": "bad", "text": f"it is {BAD} for ever " * 9})
    output = run_lines(folder, [*lines[:500], bad, *lines[500:]], load)
    (error,) = rows(output, "errors")
    assert error["document_id"] == "bad"
    assert BAD not in error["message"]
    for table in ("documents", "passages", "entities", "classifications"):
        found, wanted = rows(output, table), rows(without, table)
        for row in [*found, *wanted]:
            row.pop("source", None)
        assert found == wanted, table
    return error["stage"], error["error"]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (out_of_memory, "MemoryError"),
        (out_of_device_memory, "OutOfMemoryError"),
        (lambda: RuntimeError("a kernel failed"), "RuntimeError"),
    ],
)
def test_the_forward_pass_fails_for_one_in_a_thousand(
    lines: list[str],
    without: Path,
    tmp_path: Path,
    error: Callable[[], BaseException],
    name: str,
) -> None:
    failing = Failing(error)
    assert check_others(tmp_path, lines, without, failing.models) == ("encode", name)


@pytest.mark.parametrize("error", [ValueError, MemoryError])
def test_a_head_fails_for_one_in_a_thousand(
    lines: list[str],
    without: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    finish = FakeTagger.finish

    def fails(self: FakeTagger, text: str, *given: Any) -> Any:
        if BAD in text:
            raise error(text)
        return finish(self, text, *given)

    monkeypatch.setattr(FakeTagger, "finish", fails)
    found = check_others(tmp_path, lines, without, fake_models)
    assert found == ("encode", error.__name__)
