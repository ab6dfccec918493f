"""Options and configuration files that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import Call, refuse, run_arguments


class TestOptions:
    def test_unknown(self, call: Call) -> None:
        refuse(call, ["run", "--inputs", "docs"], "No such option '--inputs'.*--input")
        refuse(call, ["rnu"], "no such command 'rnu'; did you mean 'run'", "The commands are run, ")
        refuse(call, ["zzz"], r"no such command 'zzz'\. The commands are run, ")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--workers", "0"], "workers must be .*at least 1, got 0"),
            (["--workers", "2"], "the runner is none: use DirectRunner"),
            (["--workers", "many"], "'many' is not a valid integer"),
            (["--runner", "DaskRunner"], "runner DaskRunner is refused: it loses data silently"),
            (["--window", "0"], "window must be a whole number of at least 3, got 0"),
            (["--window", "2"], "window must be a whole number of at least 3, got 2"),
            (["--window", "3", "--overlap", "1"], r"overlap must be in \[0, 1\) .*got 1"),
            (["--window", "513"], r"must be in \[3, 512\] for embedding, got 513: leave it"),
            (
                ["--window", "32", "--overlap", "30"],
                r"must be in \[0, 30\) .*got 30: try 7",
            ),
            (["--overlap", "-1"], "overlap must be a whole number of at least 0, got -1"),
            (["--passage", "0"], "passage must be a whole number of at least 1, got 0"),
            (["--batch-tokens", "0"], "batch_tokens must be a whole number of at least 1, got 0"),
            (["--unit-bytes", "0"], "unit_bytes must be a whole number of at least 1, got 0"),
            (["--precision", "float8"], "'float8' is not one of 'auto'"),
            (["--id-field", "x", "--text-field", "x"], "must differ, both are 'x'"),
            (["--output", ""], "output must name a folder"),
        ],
    )
    def test_out_of_range(
        self, docs: Path, tmp_path: Path, call: Call, small: Path, options: list[str], message: str
    ) -> None:
        output = tmp_path / "out"
        refuse(call, [*run_arguments(docs, output, small), *options], message, output=output)

    def test_a_dry_run_refuses_a_runner_as_the_run_does(
        self, docs: Path, tmp_path: Path, call: Call, small: Path
    ) -> None:
        output = tmp_path / "out"
        options = ["--runner", "DaskRunner", "--dry-run"]
        refuse(
            call,
            [*run_arguments(docs, output, small), *options],
            "runner DaskRunner is refused: it loses data silently",
            output=output,
        )

    def test_a_window_over_the_limit_of_one_of_several_heads_names_it(
        self, docs: Path, tmp_path: Path, call: Call, small: Path, models: Callable[..., Path]
    ) -> None:
        ner = models("bert-cased", task="ner", max_position_embeddings=48)
        arguments = [*run_arguments(docs, tmp_path / "out", small), "--ner", str(ner)]
        message = rf"window must be in \[3, 48\] for {ner.name}, got 64"
        refuse(call, [*arguments, "--window", "64"], message, output=tmp_path / "out")

    def test_an_overlap_of_0_is_not_the_default(
        self, docs: Path, tmp_path: Path, call: Call, small: Path
    ) -> None:
        result = call(*run_arguments(docs, tmp_path / "out", small), "--overlap", "0")
        assert result.exit_code == 0
        assert "window 32, overlap 0" in result.stderr
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["rows"]["settings"]["passes"][0]["overlap"] == 0


class TestConfigurationFile:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("pasage = 3", "run.toml: unknown setting 'pasage'; did you mean 'passage'"),
            ("zzzzzz = 3", r"run.toml: unknown setting 'zzzzzz'\. The settings are: "),
            ("passage = ", r"run.toml is not valid TOML: Invalid value"),
            ("passage = 'many'", "run.toml: passage must be a whole number .*, got 'many'"),
            ("input = [3]", r"run.toml: input must be a string or a list of strings, got \(3,\)"),
            ("workers = '2'", "run.toml: workers must be a whole number of at least 1, got '2'"),
            ("output = ''", "^longbert: error: output must name a folder"),
        ],
    )
    def test_wrong(
        self, docs: Path, tmp_path: Path, call: Call, content: str, message: str
    ) -> None:
        file = tmp_path / "run.toml"
        file.write_text(content if content.startswith("input") else f"input = '{docs}'\n{content}")
        refuse(call, ["run", "--config", str(file)], message)

    def test_missing_or_no_text(self, tmp_path: Path, call: Call) -> None:
        refuse(
            call,
            ["run", "--config", str(tmp_path / "no.toml")],
            r"no.toml cannot be read \(No such file",
        )
        (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
        refuse(
            call,
            ["run", "--config", str(tmp_path / "run.toml")],
            r"run.toml is not UTF-8 \(byte 1\)",
        )

    def test_the_command_line_wins(
        self, docs: Path, tmp_path: Path, call: Call, small: Path
    ) -> None:
        file = tmp_path / "run.toml"
        file.write_text(
            f"input = ['{docs}']\noutput = '{tmp_path / 'wrong'}'\nrunner = 'none'\n"
            f"embed = '{small}'\nprecision = 'float32'\npassage = 5\n"
        )
        result = call("run", "--config", file, "--output", tmp_path / "out", "--passage", "7")
        assert result.exit_code == 0, result.stderr
        assert not (tmp_path / "wrong").exists()
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["rows"]["settings"]["passage"] == 7
