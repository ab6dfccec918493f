"""Runs through Beam: the same output as without it, and errors that say what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.runs import (
    UNIT_BYTES,
    command,
    files_of,
    last_run,
    some_texts,
    without_times,
    write_texts,
)
from support.runs import run as run_without_beam
from support.texts import long_text

import longbert
from longbert.engine import run as engine_run
from longbert.engine.prepare import row_fingerprint
from longbert.errors import FingerprintError
from longbert.store.fingerprints import RowFingerprint

WAYS: dict[str, dict[str, Any]] = {
    "in process": {},
    "one worker": {"workers": 1},
    "two workers": {"workers": 2},
    "all steps in the graph": {"runner": "FnApiRunner"},
    "bundles repeated": {"beam_options": ["--direct_runner_bundle_repeat=2"]},
}


@pytest.fixture(scope="module")
def heads(models: Callable[..., Path]) -> dict[str, Any]:
    return {
        "embed": str(models("bert", sentence_transformers={"max_seq_length": 32})),
        "ner": str(models("bert", task="ner")),
        "classify": str(models("distilbert", task="classify", max_position_embeddings=64)),
    }


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for several units, a document that fails among them."""
    return write_texts(tmp_path_factory.mktemp("inputs"), some_texts(7) | {"empty.txt": ""})


@pytest.fixture(scope="module")
def plain(inputs: Path, heads: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run without Beam."""
    output = tmp_path_factory.mktemp("plain") / "out"
    manifest = run_without_beam(inputs, output, **heads)
    assert sum(shard["n_parts"] for shard in manifest["shards"]) >= 4
    assert manifest["counts"]["errors"] == 1
    return output


IMAGE = "--sdk_container_image=my-registry/longbert"
"""Dataflow is asked for nothing without one."""


def _run(inputs: Path, output: Path, runner: str = "DirectRunner", **settings: Any) -> Any:
    defaults = {"precision": "float32", "unit_bytes": UNIT_BYTES}
    return longbert.run(inputs, output=output, runner=runner, **(defaults | settings))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_run_writes_the_same_bytes(
    way: str, inputs: Path, heads: dict[str, Any], plain: Path, tmp_path: Path
) -> None:
    _run(inputs, tmp_path / "out", **heads, **WAYS[way])
    assert files_of(tmp_path / "out") == files_of(plain)
    entry = last_run(tmp_path / "out")
    assert entry["units"] >= 4
    assert without_times(entry) == without_times(last_run(plain))
    if way in ("in process", "one worker", "two workers", "bundles repeated"):
        assert {*entry["measured"]} == {*last_run(plain)["measured"]}


def test_workers_share_a_document_larger_than_the_rest(
    heads: dict[str, Any], tmp_path: Path
) -> None:
    texts = some_texts(3) | {"01-large.txt": long_text(2_000, seed=5)}
    inputs = write_texts(tmp_path / "inputs", texts)
    run_without_beam(inputs, tmp_path / "plain", **heads)
    _run(inputs, tmp_path / "shared", **heads, workers=2)
    assert files_of(tmp_path / "shared") == files_of(tmp_path / "plain")
    plain, shared = (last_run(tmp_path / name) for name in ("plain", "shared"))
    assert shared["measured"]["segments"] > 1
    assert "segments" not in plain["measured"]
    assert without_times(shared) == without_times(plain)


def test_a_run_goes_on_another_way(
    inputs: Path, heads: dict[str, Any], plain: Path, tmp_path: Path
) -> None:
    _run(inputs, tmp_path / "out", **heads)
    for receipt in sorted((tmp_path / "out" / "receipts").iterdir())[1:3]:
        receipt.unlink()
    (tmp_path / "out" / "manifest.json").unlink()
    run_without_beam(inputs, tmp_path / "out", **heads)
    assert files_of(tmp_path / "out") == files_of(plain)
    entry = last_run(tmp_path / "out")
    assert entry["units"] - entry["units_resumed"] == 2


@pytest.mark.parametrize(
    "runner", ["DaskRunner", "dask", "apache_beam.runners.dask.dask_runner.DaskRunner"]
)
def test_the_dask_runner_is_refused_under_all_its_names(
    runner: str, inputs: Path, heads: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(longbert.ConfigError, match="loses data silently"):
        _run(inputs, tmp_path / "out", runner, **heads)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("runner", "beam_options", "workers", "message"),
    [
        ("NoSuchRunner", [], None, "NoSuchRunner.*FnApiRunner"),
        ("no.such.Runner", [], None, "no.such.Runner: No module named 'no'"),
        ("DirectRunner", ["--nosuch=1"], None, "Beam does not know the option --nosuch:"),
        ("DirectRunner", ["--direct_num_workers=2"], None, "--direct_num_workers is not allowed"),
        ("DirectRunner", ["--runner=DaskRunner"], None, "--runner.*before --"),
        ("DataflowRunner", [IMAGE], 2, "workers are processes of DirectRunner.*--num_workers"),
        ("DataflowRunner", [IMAGE], None, "DataflowRunner needs the Beam option --project"),
        ("none", [], 2, "need Beam, but the runner is none"),
        ("DirectRunner", [], 0, "workers must be .* at least 1, got 0"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    runner: str,
    beam_options: Sequence[str],
    workers: int | None,
    message: str,
    inputs: Path,
    heads: dict[str, Any],
    tmp_path: Path,
) -> None:
    with pytest.raises(longbert.ConfigError, match=message):
        _run(
            inputs,
            tmp_path / "out",
            runner,
            workers=workers,
            beam_options=beam_options,
            **heads,
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["template_location", "staging_location", "temp_location"])
def test_a_folder_that_beam_would_wait_for_is_named_at_once(
    option: str, inputs: Path, tmp_path: Path
) -> None:
    paths = {name: str(tmp_path) for name in ("staging_location", "temp_location")}
    missing = tmp_path / "missing"
    paths[option] = str(missing / "job.json" if option == "template_location" else missing)
    options = [f"--{name}={path}" for name, path in paths.items()]
    with pytest.raises(longbert.ConfigError, match=rf"{option} needs the folder '{missing}'"):
        _run(
            inputs,
            tmp_path / "out",
            "DataflowRunner",
            beam_options=["--project=none", "--region=none", "--no_auth", IMAGE, *options],
        )


def test_the_extra_of_a_runner_is_named_as_ours(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where the libraries of Google Cloud are not installed.
    monkeypatch.setitem(sys.modules, "apache_beam.runners.dataflow.dataflow_runner", None)
    with pytest.raises(longbert.ConfigError, match=r"install longbert\[gcp\]"):
        _run(inputs, tmp_path / "out", "DataflowRunner", beam_options=[IMAGE])


@pytest.mark.parametrize("runner", ["DataflowRunner", "FnApiRunner"])
def test_errors_are_not_limited_where_they_cannot_be_counted(
    runner: str, inputs: Path, tmp_path: Path
) -> None:
    with pytest.raises(longbert.ConfigError, match=f"max_errors is .*the runner is {runner}"):
        _run(inputs, tmp_path / "out", runner, max_errors=3, beam_options=[IMAGE])


def test_the_local_runner_has_its_short_name_too(
    inputs: Path, heads: dict[str, Any], plain: Path, tmp_path: Path
) -> None:
    _run(inputs, tmp_path / "out", "direct", **heads)
    assert files_of(tmp_path / "out") == files_of(plain)


def _obstruct(output: Path, plain: Path) -> None:
    """Have a folder stand where one of the units puts a table: no one can write there, not root."""
    part = sorted((plain / "passages").iterdir())[2]
    os.makedirs(output / "passages" / part.name / "in the way")


def test_an_error_of_a_step_comes_back_as_itself(
    inputs: Path, heads: dict[str, Any], plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    _obstruct(output, plain)
    with pytest.raises(longbert.OutputError, match=r"passages/000002-\w+\.parquet cannot be wri"):
        _run(inputs, output, **heads)
    assert not (output / "manifest.json").exists()
    # What was done before is kept.
    (obstacle,) = output.glob("passages/*/in the way")
    obstacle.rmdir()
    obstacle.parent.rmdir()
    run_without_beam(inputs, output, **heads)
    assert files_of(output) == files_of(plain)


def test_an_error_that_only_beam_quotes_keeps_its_kind(
    inputs: Path, heads: dict[str, Any], plain: Path, tmp_path: Path
) -> None:
    # This runner is one of many for whose workers we have no channel of our own.
    output = tmp_path / "out"
    _obstruct(output, plain)
    with pytest.raises(longbert.OutputError, match=r"passages/000002-\w+\.parquet cannot be wri"):
        _run(inputs, output, "FnApiRunner", **heads)


@pytest.mark.parametrize("options", [["--workers", "2"], ["--runner", "NoSuchRunner"]])
def test_the_command_has_the_exit_status_of_the_error(
    options: list[str], inputs: Path, heads: dict[str, Any], plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    _obstruct(output, plain)
    result = command(
        *("run", "--input", inputs, "--output", output, "--precision", "float32"),
        *("--unit-bytes", str(UNIT_BYTES)),
        *(f"--{name}={value}" for name, value in heads.items()),
        *options,
    )
    is_usage = "NoSuchRunner" in options
    assert result.returncode == (2 if is_usage else 1), result.stderr
    assert ("runner NoSuchRunner" if is_usage else "cannot be written") in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_worker_that_would_write_other_rows_ends_the_job(
    inputs: Path, heads: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_another_machine(*arguments: Any) -> RowFingerprint:
        own = row_fingerprint(*arguments)
        environment = msgspec.structs.replace(own.environment, processor="another")
        return msgspec.structs.replace(own, environment=environment)

    monkeypatch.setattr(engine_run, "row_fingerprint", of_another_machine)
    with pytest.raises(FingerprintError, match="this machine would not write the planned rows"):
        _run(inputs, tmp_path / "out", **heads)
    assert not list((tmp_path / "out").glob("documents/*"))
