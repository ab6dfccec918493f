"""The command as such: help, versions, errors, streams, and what is imported for what."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.runs import command, command_line, run, some_texts, write_texts
from support.texts import long_text

from longbert.cli.main import COMMANDS, main
from longbert.store.folder import OutputFolder

Call = Callable[..., Result]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(call: Call, name: str) -> None:
    result = call(name, "--help")
    assert result.exit_code == 0
    assert re.search(rf"^ +longbert {name} \S", result.stdout, re.MULTILINE)
    assert re.search(r"^ *Examples?:$", result.stdout, re.MULTILINE)
    assert result.stdout.startswith(f"Usage: longbert {name} ")
    assert call(name, "-h").stdout == result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_is_explained(name: str) -> None:
    import click

    loaded = main.get_command(click.Context(main), name)  # type: ignore[attr-defined]
    assert loaded is not None
    assert loaded.help
    for parameter in loaded.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_help_names_all_commands(call: Call) -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name}  +[A-Z]", result.stdout, re.MULTILINE)


def test_version(call: Call) -> None:
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout == f"longbert, version {importlib.metadata.version('longbert')}\n"


def test_the_installed_command_answers_without_loading_models() -> None:
    done = command("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("longbert, version ")


class TestUnexpectedErrors:
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(self: OutputFolder) -> None:
            raise RuntimeError("first line\nsecond line")

        monkeypatch.setattr(OutputFolder, "manifest", fail)

    def test_no_traceback(self, call: Call, tmp_path: Path) -> None:
        result = call("verify", tmp_path)
        assert result.exit_code == 1
        assert result.stderr == (
            "longbert: error: RuntimeError: first line\n"
            "This should not happen: `longbert --debug ...` shows where it did\n"
        )

    def test_a_traceback_with_debug(self, call: Call, tmp_path: Path) -> None:
        result = call("--debug", "verify", tmp_path)
        assert result.exit_code == 1
        assert isinstance(result.exception, RuntimeError)


def test_errors_of_our_own_have_a_traceback_with_debug_only(call: Call, tmp_path: Path) -> None:
    result = call("verify", tmp_path / "no")
    assert result.stderr.startswith("longbert: error: ")
    assert "Traceback" not in result.stderr
    result = call("--debug", "verify", tmp_path / "no")
    assert type(result.exception).__name__ == "OutputError"


def test_an_interrupt_is_no_error(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: OutputFolder) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OutputFolder, "manifest", stop)
    result = call("verify", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == "longbert: stopped; what was finished is kept\n"


class TestWindows:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        write_texts(tmp_path, {"a.txt": long_text(150, seed=3)})
        return tmp_path / "a.txt"

    def arguments(self, file: Path, model: Path) -> list[Any]:
        return ["windows", file, "--embed", model, "--window", "32", "--overlap", "8"]

    def test_json(self, call: Call, file: Path, small: Path) -> None:
        result = call(*self.arguments(file, small), "--passage", "20", "--format", "json")
        assert (result.exit_code, result.stderr) == (0, "")
        shown = json.loads(result.stdout)
        text = file.read_text()
        assert (shown["document_id"], shown["n_chars"]) == ("a.txt", len(text))
        (one,) = shown["passes"]
        assert one["heads"] == ["embedding"]
        assert one["windows"][0]["window"]["start"] == 0
        assert {w["window"]["stop"] - w["window"]["start"] for w in one["windows"]} == {30}
        for left, right in itertools.pairwise(one["windows"]):
            assert left["window"]["owned_stop"] == right["window"]["owned_start"]
            assert left["window"]["stop"] - right["window"]["start"] >= 8
            assert left["owned_char_end"] <= right["owned_char_start"]
        assert one["windows"][-1]["window"]["owned_stop"] == one["n_tokens"]
        spans = one["passages"]
        assert len(spans) == -(-one["n_tokens"] // 20)
        assert [spans[0][0], spans[-1][1]] == [0, len(text)]
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))

    def test_table(self, call: Call, file: Path, small: Path) -> None:
        as_json = call(*self.arguments(file, small), "--format", "json").stdout
        (one,) = json.loads(as_json)["passes"]
        result = call(*self.arguments(file, small))
        assert (result.exit_code, result.stderr) == (0, "")
        lines = result.stdout.splitlines()
        n_windows, n_passages = len(one["windows"]), len(one["passages"])
        assert lines[0] == (
            f"a.txt: {len(file.read_text()):,} characters, {one['n_tokens']} tokens, "
            f"{n_windows} windows, {n_passages} passages for embedding"
        )
        pictures = lines[2 : 2 + n_windows]
        for number, (line, shown) in enumerate(zip(pictures, one["windows"], strict=True)):
            window = shown["window"]
            start, stop = window["owned_start"], window["owned_stop"]
            assert re.match(
                rf" +{number}  +{window['start']}-{window['stop']} +{start}-{stop} ", line
            )
            assert "█" in line
        assert "─" in lines[2]
        assert lines[2 + n_windows] == "passages (characters):"

    def test_it_agrees_with_a_run(
        self, call: Call, file: Path, small: Path, tmp_path: Path
    ) -> None:
        shown = json.loads(call(*self.arguments(file, small), "--format", "json").stdout)
        manifest = run(file, tmp_path / "out", embed=small, window=32, overlap=8)
        (one,) = shown["passes"]
        counts = manifest["counts"]
        assert counts["windows"] == len(one["windows"])
        assert counts["passages"] == len(one["passages"])
        assert counts["tokens"] == one["n_tokens"]

    def test_a_document_of_many(self, call: Call, small: Path, tmp_path: Path) -> None:
        lines = [json.dumps({"key": f"d{n}", "body": "word " * (n + 1)}) for n in range(3)]
        write_texts(tmp_path, {"a.jsonl": "\n".join([*lines, '{"key": "x"}'])})
        fields = ["--id-field", "key", "--text-field", "body", "--embed", small]
        first = call("windows", tmp_path / "a.jsonl", *fields)
        assert re.match(r"d0: 5 characters, \d tokens, 1 window, 1 passage for", first.stdout)
        assert first.stderr == "longbert: the first of 4 documents; --id names another\n"
        third = call("windows", tmp_path / "a.jsonl", "--id", "d2", *fields)
        assert third.stdout.startswith("d2: 15 characters, ")
        assert third.stderr == ""
        missing = call("windows", tmp_path / "a.jsonl", "--id", "d7", *fields)
        assert missing.exit_code == 2
        assert "has no document 'd7'; did you mean 'd" in missing.stderr
        broken = call("windows", tmp_path / "a.jsonl", "--id", "x", *fields)
        assert broken.exit_code == 2
        assert broken.stderr.count("a.jsonl#4") == 1
        assert "there is no text field 'body'" in broken.stderr

    def test_bad_files(self, call: Call, small: Path, tmp_path: Path) -> None:
        write_texts(tmp_path, {"white.txt": " \n", "b/1.txt": "a", "b/2.txt": "b"})
        white = call("windows", tmp_path / "white.txt", "--embed", small)
        assert white.exit_code == 1
        assert "the document has no token" in white.stderr
        several = call("windows", tmp_path / "b", "--embed", small)
        assert several.exit_code == 2
        assert "b holds 2 files: name one of them" in several.stderr
        none = call("windows", tmp_path / "none.txt", "--embed", small)
        assert none.exit_code == 2
        assert "does not exist" in none.stderr


def modules_after(code: str, *arguments: str) -> set[str]:
    """Top-level modules loaded in a fresh process that ran some code."""
    code += "\nimport sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(done.stdout.splitlines())


HEAVY = {"torch", "transformers", "apache_beam", "pyarrow", "faiss", "numpy", "rich", "click"}


def test_importing_longbert_loads_nothing_heavy() -> None:
    assert not modules_after("import longbert") & HEAVY


def test_importing_longbert_is_quick() -> None:
    code = (
        "import time; began = time.process_time(); import longbert; "
        "print(time.process_time() - began)"
    )
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    # Processor time, and the best of three, since other work may go on beside this.
    assert min(seconds) < 0.2, statistics.mean(seconds)


def test_help_loads_neither_torch_nor_beam() -> None:
    code = (
        "from longbert.cli.main import main\n"
        "for name in ([], ['run'], ['query'], ['windows'], ['verify']):\n"
        "    main([*name, '--help'], standalone_mode=False)"
    )
    assert not modules_after(code) & {"torch", "transformers", "apache_beam", "pyarrow", "faiss"}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    place = tmp_path_factory.mktemp("output")
    docs = write_texts(place / "docs", some_texts(4))
    run(docs, place / "out", embed=small)
    return place / "out"


def test_a_query_does_without_beam(output: Path) -> None:
    code = (
        "import sys; from longbert.cli.main import main\n"
        "main(['query', 'the agreement', '--index', sys.argv[1]], standalone_mode=False)"
    )
    loaded = modules_after(code, str(output))
    assert "apache_beam" not in loaded
    assert {"torch", "faiss"} <= loaded


def test_verify_does_without_torch_and_beam(output: Path) -> None:
    code = (
        "import sys; from longbert.cli.main import main\n"
        "main(['verify', sys.argv[1]], standalone_mode=False)"
    )
    assert not modules_after(code, str(output)) & {"torch", "transformers", "apache_beam"}


def test_a_reader_may_stop_reading(output: Path) -> None:
    with subprocess.Popen(
        command_line("query", "the agreement", "--index", output, "--format", "jsonl"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
