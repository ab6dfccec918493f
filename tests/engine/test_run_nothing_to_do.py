"""A run that finds nothing to do loads no model, writes nothing, and says so truthfully."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from support.runs import (
    UNIT_BYTES,
    files_of,
    last_run,
    problems,
    run,
    run_on,
    some_texts,
    write_texts,
)

from longbert.config import RunConfig, run_config
from longbert.encoders.loaded_models import Models
from longbert.encoders.models import load_models
from longbert.engine import remembered
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo
from longbert.engine.forecast import forecast_run
from longbert.engine.remembered import models_key
from longbert.engine.run import do_units_here, run_in_process
from longbert.errors import FingerprintError, LockError, OutputError
from longbert.store.filesystem import LocalFileSystem

ALL = """
import sys
import longbert
_, docs, output, model = sys.argv
longbert.run(docs, output=output, embed=model, precision="float32", unit_bytes=1000)
print(*sorted({"torch", "transformers", "apache_beam", "faiss"} & sys.modules.keys()))
"""


class ReadOnlyFiles(LocalFileSystem):
    """As on a file system that is mounted for reading."""

    def create(self, path: str) -> AbstractContextManager[IO[bytes]]:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def write_if(self, path: str, data: bytes, *, expected: bytes | None) -> bool:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def remove(self, path: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def write_problem(self, folder: str) -> str:
        return os.strerror(errno.EROFS)


@pytest.fixture(scope="module")
def built(models: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents, a model and a finished output, to be copied."""
    folder = tmp_path_factory.mktemp("built")
    write_texts(folder / "docs", some_texts(3))
    shutil.copytree(models("bert", sentence_transformers={"max_seq_length": 32}), folder / "model")
    return folder


@pytest.fixture
def place(built: Path, tmp_path: Path) -> Path:
    place = tmp_path / "place"
    shutil.copytree(built, place)
    run(place / "docs", place / "out", embed=place / "model")
    return place


def again(place: Path, **settings: Any) -> dict[str, Any]:
    run(place / "docs", place / "out", embed=place / "model", **settings)
    return last_run(place / "out")


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Models:
        raise AssertionError("models are loaded")

    monkeypatch.setattr("longbert.encoders.models.load_models", refuse)


def test_no_model_is_loaded_and_its_libraries_are_not_imported(place: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", ALL, place / "docs", place / "out", place / "model"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "\n"
    entry = last_run(place / "out")
    assert (entry["units"], entry["unchanged"], entry["runner"]) == (0, 3, "DirectRunner")


def test_dropping_rows_and_building_the_index_load_none_either(
    place: Path, no_models: None
) -> None:
    (place / "docs" / "01.txt").unlink()
    entry = again(place, prune=True)
    assert (entry["removed"], entry["indexed"]) == (1, True)
    for path in (place / "out" / "index").iterdir():
        path.unlink()
    assert again(place)["indexed"]
    assert problems(place / "out") == []


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_models_are_loaded_where_one_of_their_files_has_changed(
    place: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "model" / file
    data = path.read_bytes()
    # The last weights are those of the pooler, which no head reads; white space means nothing.
    is_weights = file == "model.safetensors"
    path.write_bytes(data[:-2] + b"\x01\x01" if is_weights else data + b"\n")
    n_loaded = 0

    def counted(*given: Any, **options: Any) -> Models:
        nonlocal n_loaded
        n_loaded += 1
        return load_models(*given, **options)

    monkeypatch.setattr("longbert.encoders.models.load_models", counted)
    assert again(place)["units"] == 0
    assert n_loaded == 1
    assert again(place)["units"] == 0
    assert n_loaded == 1, "the new files are remembered"


def test_other_settings_are_refused_as_ever(place: Path) -> None:
    with pytest.raises(FingerprintError, match="passage: 64 -> 7"):
        again(place, passage=7)


def test_another_environment_is_refused_as_ever(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = run_config({"input": "docs", "embed": str(place / "model")})

    def key(config: RunConfig) -> str | None:
        return models_key(RunContext(config, LocalFileSystem()))

    before = key(config)
    assert before == key(replace(config, inputs=("others",), unit_bytes=1))
    monkeypatch.setattr(remembered, "machine_digest", lambda: "another")
    assert before != key(config)


def test_models_that_bring_code_are_loaded_each_time(place: Path) -> None:
    settings = {"input": "docs", "embed": str(place / "model"), "trust_remote_code": True}
    assert models_key(RunContext(run_config(settings), LocalFileSystem())) is None


@pytest.fixture
def context(place: Path) -> RunContext:
    paths = {"input": str(place / "docs"), "output": str(place / "out")}
    models = {"embed": str(place / "model"), "precision": "float32"}
    return RunContext(run_config({**paths, **models, "unit_bytes": UNIT_BYTES}), ReadOnlyFiles())


def test_a_finished_output_may_lie_where_nothing_can_be_written(
    place: Path, context: RunContext
) -> None:
    before = files_of(place / "out"), (place / "out" / "run.json").read_bytes()
    assert run_in_process(context, RunInfo("none")).found_all_done
    assert forecast_run(context).status == 0
    assert before == (files_of(place / "out"), (place / "out" / "run.json").read_bytes())


@pytest.mark.parametrize("what", ["new document", "lost index"])
def test_where_nothing_can_be_written_work_is_refused(
    place: Path, context: RunContext, what: str
) -> None:
    if what == "new document":
        write_texts(place / "docs", {"new.txt": "a new one"})
    else:
        next((place / "out" / "index").iterdir()).unlink()
    with pytest.raises(OutputError, match=r"cannot be written \(Read-only file system\)"):
        run_in_process(context, RunInfo("none"))
    forecast = forecast_run(context)
    assert (forecast.status, forecast.asks) == (1, False)
    assert "cannot be written (Read-only file system)" in forecast.refused


@pytest.mark.parametrize(
    "file", ["index/description-*", "index/passages-*", "passages/*", "lexical/*", "receipts/*"]
)
def test_what_is_missing_or_cut_short_is_not_nothing(place: Path, file: str) -> None:
    before = files_of(place / "out")
    path = max((place / "out").glob(file))
    path.write_bytes(path.read_bytes()[:-3])
    result = run_on(LocalFileSystem(), place / "docs", place / "out", embed=str(place / "model"))
    assert not result.found_all_done
    assert files_of(place / "out") == before


def test_a_manifest_of_another_run_that_came_first_is_left(
    place: Path, context: RunContext
) -> None:
    """As on a store that cannot keep two writers apart: the loser removes nothing."""
    write_texts(place / "docs", {"new.txt": "a new one"})
    manifest = place / "out" / "manifest.json"
    receipts = {path.name for path in (place / "out" / "receipts").iterdir()}

    def overtaken(*given: Any) -> None:
        do_units_here(*given)
        manifest.write_bytes(manifest.read_bytes() + b" ")

    with pytest.raises(LockError, match="another run has written output") as raised:
        run_in_process(replace(context, filesystem=LocalFileSystem()), RunInfo("none"), overtaken)

    assert raised.value.exit_status == 5
    assert receipts < {path.name for path in (place / "out" / "receipts").iterdir()}
    assert manifest.read_bytes().endswith(b" ")
