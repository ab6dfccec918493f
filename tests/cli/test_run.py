"""The command run: where its settings come from, and what it says of them."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.commands import refuse, run_arguments
from support.runs import command, rows, write_texts

from longbert import launch
from longbert.beam.options import pipeline_options
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
    monkeypatch.setattr(launch, "run_job", recorder)
    return recorder


OPTIONS = (
    *("--input", "docs/", "--input", 'a "b"\\c.jsonl', "--output", "out", "--embed", "none"),
    *("--ner", "x", "--ner", "y", "--window", "128", "--overlap", "0", "--metric", "dot"),
    *("--window-scores", "--unit-bytes", "5", "--runner", "DataflowRunner"),
    *("--", "--project=p", "--temp_location=gs://b/t", "--sdk_container_image=i"),
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


def test_options_of_beam_may_have_their_values_behind_them(call: Call, recorder: Recorder) -> None:
    beam = ["--project", "my-project", "--region=europe-west4", "--no_auth", "--experiments", "a=1"]
    assert call("run", "--input", "docs", "--", *beam).exit_code == 0
    ((_, execution),) = recorder.jobs
    assert execution.beam_options == (
        *("--project=my-project", "--region=europe-west4", "--no_auth", "--experiments=a=1"),
    )


@pytest.mark.parametrize("stray", [["docs"], ["--project", "a", "b"], ["--project=a", "b"]])
def test_what_belongs_to_no_option_of_beam_is_refused(call: Call, stray: list[str]) -> None:
    refused = call("run", "--input", "docs", "--", *stray)
    assert refused.exit_code == 2
    assert f"unexpected argument {stray[-1]!r}" in refused.stderr


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


def test_options_of_beam_on_the_command_line_come_after_those_of_the_file(
    call: Call, recorder: Recorder, tmp_path: Path
) -> None:
    of_file = ("--project=file", "--region=file", "--experiments=a")
    own = ("--project=line", "--experiments=b", "--no_auth")
    (tmp_path / "run.toml").write_text(f"input = 'docs'\nbeam_options = {list(of_file)}\n")
    call("run", "--config", tmp_path / "run.toml")
    call("run", "--config", tmp_path / "run.toml", "--", *own)
    options = [execution.beam_options for _, execution in recorder.jobs]
    assert options == [of_file, of_file + own]
    values = pipeline_options("FlinkRunner", False, None, options[1]).get_all_options()
    assert (values["project"], values["region"], values["no_auth"]) == ("line", "file", True)
    assert values["experiments"] == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--", "--nosuch=1"], "Beam does not know the option --nosuch"),
        (["--runner", "NoSuchRunner"], "runner NoSuchRunner: .*FnApiRunner"),
        (["--runner", "DaskRunner"], "it loses data silently"),
        (["--runner", "DataflowRunner"], "needs the Beam option --project"),
        (["--runner", "FlinkRunner", "--workers", "2"], "workers are processes of DirectRunner"),
        (["--encoding", "nosuch"], "an encoding that Python knows"),
    ],
)
def test_no_configuration_is_printed_that_a_run_would_refuse(
    call: Call, options: list[str], message: str
) -> None:
    refuse(call, ["run", "--input", "docs", "--print-config", *options], message)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--dry_run", "nothing was written or run"),
        ("--dry_run=True", "nothing was written or run"),
        ("--template_location=job.json", "the job was written, not run"),
    ],
)
def test_what_became_of_a_job_that_was_not_run(
    call: Call, recorder: Recorder, option: str, said: str
) -> None:
    assert said in call("run", "--input", "docs", "--", option).stderr


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


@pytest.mark.slow
def test_workers_say_nothing_beside_our_own_lines(docs: Path, tmp_path: Path, small: Path) -> None:
    arguments = run_arguments(docs, tmp_path / "out", small)
    arguments[arguments.index("none")] = "DirectRunner"
    ran = command(*arguments, "--workers", "2")
    assert (ran.returncode, ran.stdout) == (0, "")
    lines = ran.stderr.splitlines()
    assert len(lines) > 3
    assert [line for line in lines if not line.startswith("longbert: ")] == []


class TestEncoding:
    @pytest.fixture
    def docs(self, tmp_path: Path) -> Path:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "a.txt").write_bytes("a café".encode("cp1252"))
        return tmp_path / "docs"

    def test_it_reads_what_was_refused(
        self, call: Call, docs: Path, tmp_path: Path, small: Path
    ) -> None:
        arguments = run_arguments(docs, tmp_path / "out", small)
        assert call(*arguments).exit_code == 3
        (row,) = rows(tmp_path / "out", "errors")
        assert "--encoding" in row["message"]
        for named in ("cp1252", "*.txt=cp1252"):
            assert call(*arguments, "--encoding", named).exit_code == 0
            (passage,) = rows(tmp_path / "out", "passages")
            assert passage["text"] == "a café"

    def test_an_unknown_one_is_wrong_usage(
        self, call: Call, docs: Path, tmp_path: Path, small: Path
    ) -> None:
        arguments = [*run_arguments(docs, tmp_path / "out", small), "--encoding", "cp125"]
        refuse(call, arguments, r"got 'cp125'; did you mean 'cp125", output=tmp_path / "out")

    def test_windows_takes_it_too(self, call: Call, docs: Path, small: Path) -> None:
        arguments = ("windows", docs / "a.txt", "--embed", small)
        assert call(*arguments, "--encoding", "cp1252").stdout.startswith("a.txt: 6 characters")


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--max-record-bytes", "lines.jsonl"),
        ("--max-text-bytes", "lines.jsonl"),
        ("--max-metadata-bytes", "lines.jsonl"),
        ("--max-text-bytes", "text.txt"),
    ],
)
def test_limits_of_what_is_read(
    call: Call, tmp_path: Path, small: Path, option: str, name: str
) -> None:
    content = json.dumps({"id": "a", "text": "word " * 30, "more": "word " * 30})
    docs = write_texts(tmp_path / "docs", {name: content})
    arguments = run_arguments(docs, tmp_path / "out", small)
    assert call(*arguments, option, "100").exit_code == 3
    (row,) = rows(tmp_path / "out", "errors")
    setting = option[2:].replace("-", "_")
    assert row["error"] == "too_large"
    assert f"raise {setting}" in row["message"]
