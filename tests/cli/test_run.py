"""The command run: where its settings come from, and what it says of them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.commands import run_arguments

from longbert import api
from longbert.config import Execution, RunConfig, job_config

Call = Callable[..., Result]


class Recorder:
    """Stands for the run: keeps what it was asked for."""

    def __init__(self) -> None:
        self.jobs: list[tuple[RunConfig, Execution]] = []

    def __call__(self, config: RunConfig, execution: Execution, **_: Any) -> None:
        self.jobs.append((config, execution))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(api, "run_job", recorder)
    return recorder


OPTIONS = (
    *("--input", "docs/", "--input", 'a "b"\\c.jsonl', "--output", "out", "--embed", "none"),
    *("--ner", "x", "--ner", "y", "--window", "128", "--overlap", "0", "--metric", "dot"),
    *("--window-scores", "--unit-bytes", "5", "--runner", "DataflowRunner"),
    *("--", "--project=p", "--region=r"),
)


@pytest.mark.parametrize("options", [("--input", "docs/"), OPTIONS])
def test_a_printed_configuration_is_the_same_run(
    call: Call, recorder: Recorder, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert call("run", *options).exit_code == 0
    split = options.index("--") if "--" in options else len(options)
    printed = call("run", *options[:split], "--print-config", *options[split:])
    assert (printed.exit_code, printed.stderr) == (0, "")
    (tmp_path / "run.toml").write_text(printed.stdout)
    assert call("run", "--config", tmp_path / "run.toml").exit_code == 0
    first, second = recorder.jobs
    assert first == second
    assert job_config(tomllib.loads(printed.stdout)) == first


def test_a_printed_configuration_has_what_the_command_line_changed(
    call: Call, recorder: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text("input = 'docs'\npassage = 5\nwindow = 40\n")
    printed = call("run", "--config", tmp_path / "run.toml", "--passage", "7", "--print-config")
    settings = tomllib.loads(printed.stdout)
    assert (settings["passage"], settings["window"], settings["input"]) == (7, 40, ["docs"])
    assert recorder.jobs == []


def test_nothing_is_printed_of_a_wrong_configuration(call: Call) -> None:
    printed = call("run", "--input", "docs", "--passage", "0", "--print-config")
    assert (printed.exit_code, printed.stdout) == (2, "")


def test_the_home_folder_where_the_shell_left_it(
    call: Call, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run.toml").write_text('output = "~/x"\nclassify = "~/c"\n')
    arguments = ("--input=~/docs/*.txt", "--embed=~/m", "--config=~/run.toml")
    assert call("run", *arguments).exit_code == 0
    ((config, _),) = recorder.jobs
    assert config.inputs == (f"{tmp_path}/docs/*.txt",)
    assert config.output == f"{tmp_path}/x"
    assert (config.models.embed, config.models.classify) == (f"{tmp_path}/m", (f"{tmp_path}/c",))


def test_options_of_beam_come_from_the_file_or_the_command_line(
    call: Call, recorder: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text("input = 'docs'\nbeam_options = ['--project=file']\n")
    call("run", "--config", tmp_path / "run.toml")
    call("run", "--config", tmp_path / "run.toml", "--", "--project=line")
    options = [execution.beam_options for _, execution in recorder.jobs]
    assert options == [("--project=file",), ("--project=line",)]


def test_more_workers_than_cores_are_capped_and_said(
    call: Call, docs: Path, tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = set(list(os.sched_getaffinity(0))[:1])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    arguments = run_arguments(docs, tmp_path / "out", small)
    arguments[arguments.index("none")] = "DirectRunner"
    result = call(*arguments, "--workers", "1000")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith(
        "longbert: workers is 1,000, but this machine has 1 core: starting 1\n"
    )
