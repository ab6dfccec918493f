"""The command as such: help, versions, errors, streams, and what is imported for what."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result
from support.runs import command, command_line, run, some_texts, write_texts

from longbert import launch
from longbert.cli.main import COMMANDS, main
from longbert.cli.windows import windows
from longbert.store.folder import OutputFolder

Call = Callable[..., Result]

_WITHOUT_DEFAULT = ("queries", "like")
"""Options of which one has to be given."""


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
    loaded = main.get_command(click.Context(main), name)  # type: ignore[attr-defined]
    assert loaded is not None
    assert loaded.help
    for parameter in loaded.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            if not (parameter.is_flag or parameter.required or parameter.show_default):
                has_default = re.search(r"\[(default: .+|required.*)\]$", parameter.help)
                assert has_default or parameter.name in _WITHOUT_DEFAULT, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_option_once(call: Call, name: str) -> None:
    loaded = main.get_command(click.Context(main), name)  # type: ignore[attr-defined]
    _, _, sections = call(name, "--help").stdout.partition(":\n")
    listed = re.findall(r"^  (?:-h, )?(--?[a-z-]+)", sections, re.MULTILINE)
    assert sorted(listed) == sorted(
        {parameter.opts[0] for parameter in loaded.params if isinstance(parameter, click.Option)}
        | {"--help"}
    )


def test_help_of_a_run_has_sections_without_unknown_names(call: Call) -> None:
    from longbert.cli.run import SECTIONS, run

    assert {name for names in SECTIONS.values() for name in names} < {
        parameter.name for parameter in run.params
    }
    shown = re.findall(r"^([A-Z][a-z ]+):$", call("run", "--help").stdout, re.MULTILINE)
    assert shown == [*SECTIONS, "Options"]


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


def test_the_package_runs_as_a_module() -> None:
    ask = [sys.executable, "-m", "longbert", "query", "--nonsense"]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: python -m longbert query ")


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
    assert type(result.exception).__name__ == "ConfigError"


def test_an_interrupt_is_no_error(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OutputFolder, "manifest", stop)
    result = call("verify", tmp_path)
    assert (result.exit_code, result.output) == (130, "longbert: stopped\n")
    monkeypatch.setattr(launch, "run_job", stop)
    result = call("run", "--input", tmp_path)
    assert result.exit_code == 130
    assert result.output == (
        "longbert: stopped; what is finished is kept: run the same command again to go on\n"
    )


def test_a_signal_stops_a_command_with_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "queries")
    with subprocess.Popen(
        command_line("query", "--queries", tmp_path / "queries"), stderr=subprocess.PIPE, text=True
    ) as process:
        # Opening it waits for the command to open it, too.
        with open(tmp_path / "queries", "wb"):
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "longbert: stopped\n"


def test_errors_do_not_send_control_characters_to_the_terminal(call: Call, tmp_path: Path) -> None:
    result = call("run", "--config", tmp_path / "a\x1b[31m\x9b\u202e")
    assert r"a\x1b[31m\x9b\u202e cannot be read" in result.stderr
    assert not set(result.output) & set("\x1b\x9b\u202e")


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


def test_help_loads_nothing_heavy() -> None:
    code = (
        "from longbert.cli.main import COMMANDS, main\n"
        "for name in ([], *([name] for name in COMMANDS)):\n"
        "    main([*name, '--help'], standalone_mode=False)"
    )
    loaded = modules_after(code)
    assert "click" in loaded
    assert not loaded & (HEAVY - {"click"})


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    place = tmp_path_factory.mktemp("output")
    docs = write_texts(place / "docs", some_texts(4))
    run(docs, place / "out", embed=small)
    return place / "out"


def test_a_query_does_without_beam_and_transformers(output: Path) -> None:
    code = (
        "import sys; from longbert.cli.main import main\n"
        "main(['query', 'the agreement', '--index', sys.argv[1]], standalone_mode=False)"
    )
    loaded = modules_after(code, str(output))
    assert {"torch", "faiss"} <= loaded
    # SymPy comes with the compiler of torch, pandas with some conversions of Arrow.
    assert not loaded & {"apache_beam", "transformers", "pandas", "sympy"}


def test_a_run_of_packaged_models_does_without_transformers(tmp_path: Path) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(2))
    code = (
        "import sys; from longbert.cli.main import main\n"
        "main(['run', '--input', sys.argv[1], '--output', sys.argv[2]], standalone_mode=False)"
    )
    loaded = modules_after(code, str(docs), str(tmp_path / "out"))
    assert "apache_beam" in loaded
    assert not loaded & {"transformers", "sympy"}


def test_a_run_without_a_model_does_without_torch(tmp_path: Path) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(2))
    for runner in ("none", "DirectRunner"):
        output = tmp_path / runner
        code = (
            "import sys; from longbert.cli.main import main\n"
            "main(['run', '--input', sys.argv[1], '--output', sys.argv[2], '--runner', sys.argv[3],"
            " '--embed', 'none'], standalone_mode=False)\n"
            "main(['windows', sys.argv[1] + '/00.txt', '--embed', 'none'], standalone_mode=False)\n"
            "main(['query', 'the agreement', '--index', sys.argv[2]], standalone_mode=False)"
        )
        loaded = modules_after(code, str(docs), str(output), runner)
        assert ("apache_beam" in loaded) == (runner != "none")
        assert not loaded & {"torch", "transformers", "tokenizers", "faiss"}


def test_a_lexical_query_loads_no_library_that_it_does_not_need(output: Path) -> None:
    code = (
        "import sys; from longbert.cli.main import main\n"
        "main(['query', 'the agreement', '--rank', 'lexical', '--index', sys.argv[1]],"
        " standalone_mode=False)\n"
        "assert not {'numpy.ma', 'pyarrow.compute', 'importlib.metadata'} & set(sys.modules)"
    )
    heavy = {"torch", "transformers", "tokenizers", "apache_beam", "pandas", "faiss", "py3langid"}
    loaded = modules_after(code, str(output))
    assert not loaded & heavy
    assert {"numpy", "pyarrow", "rich"} <= loaded


def test_search_by_vectors_takes_nothing_but_faiss_beside_the_model(output: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from longbert.index.search import Index\n"
        "from longbert.store.filesystem import LocalFileSystem\n"
        "from longbert.store.folder import OutputFolder\n"
        "folder = OutputFolder(LocalFileSystem(), sys.argv[1])\n"
        "index = Index.open(folder, encode=lambda texts: np.ones((len(texts), width), 'f4'))\n"
        "width = index.description.dimensions\n"
        "assert index.search('the agreement', rank='hybrid')\n"
    )
    loaded = modules_after(code, str(output))
    assert not loaded & {"torch", "transformers", "tokenizers", "apache_beam", "pandas"}
    assert "faiss" in loaded


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


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (("--version",), ""),
        (("--version",), "1"),
        (("run", "--help"), ""),
        (("run", "--help"), "1"),
        (("run", "--input", "x", "--print-config"), ""),
        (("run", "--input", "x", "--print-config"), "1"),
        (("verify", "OUTPUT"), ""),
        (("query", "the agreement", "--format", "jsonl", "--index", "OUTPUT"), "1"),
    ],
)
def test_a_full_disk_under_standard_output(
    output: Path, arguments: tuple[str, ...], unbuffered: str
) -> None:
    line = command_line(*(output if one == "OUTPUT" else one for one in arguments))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            line,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    assert done.stderr == (
        "longbert: error: cannot write to standard output (No space left on device): free space, "
        "or send it somewhere else\n"
    )


def test_garbage_is_collected_seldom_during_a_command_alone(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text("a text")
    seen: list[int] = []
    monkeypatch.setattr(windows, "callback", lambda **_: seen.append(gc.get_threshold()[0]))
    before = gc.get_threshold()
    assert call("windows", str(tmp_path / "text.txt")).exit_code == 0
    assert seen[0] > before[0]
    assert gc.get_threshold() == before


def test_nothing_is_collected_as_a_command_ends() -> None:
    code = """
import atexit, gc, sys
from longbert.cli.main import main
# Called after all that is registered later.
atexit.register(lambda: print(gc.get_freeze_count() > 1000))
try:
    main(["query", "who?", "--index", "/does/not/exist"])
finally:
    print(gc.get_freeze_count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["0", "True"]
