"""``--query-prompt`` and ``--document-prompt`` of the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from support.runs import some_texts, write_texts

Call = Callable[..., Result]
E5 = {"query": "query: ", "passage": "passage: "}


@pytest.fixture
def e5(models: Callable[..., Path]) -> Path:
    return models("bert", sentence_transformers={"prompts": E5, "max_seq_length": 32})


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "docs", some_texts(2))


def prompts(output: Path) -> tuple[str, str]:
    manifest = json.loads((output / "manifest.json").read_text())
    (backbone,) = manifest["rows"]["settings"]["passes"]
    return manifest["models"]["query_prompt"], backbone["prompt"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("query: ", "passage: ")),
        (("--query-prompt", "", "--document-prompt", ""), ("", "")),
        (("--query-prompt", "Q "), ("Q ", "passage: ")),
        (("--document-prompt", "D "), ("query: ", "D ")),
        (("--config", "run.toml"), ("", "from the file ")),
        (("--config", "run.toml", "--document-prompt", ""), ("", "")),
    ],
)
def test_run_takes_prompts_and_a_query_reads_what_was_recorded(
    call: Call,
    e5: Path,
    docs: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text('query_prompt = ""\ndocument_prompt = "from the file "\n')
    done = call("run", "--input", docs, "--embed", e5, "--runner", "none", *options)
    assert done.exit_code == 0, done.stderr
    assert prompts(tmp_path / "longbert-output") == expected

    asked = ("query", "the agreement", "--format", "jsonl")
    found = call(*asked)
    assert found.exit_code == 0, found.stderr
    assert call(*asked, "--query-prompt", expected[0]).stdout == found.stdout
    assert call(*asked, "--query-prompt", "another one: ").stdout != found.stdout


def test_windows_make_room_for_the_document_prompt(call: Call, e5: Path, docs: Path) -> None:
    views = {}
    for prompt in (None, "", "a long prompt of seven words indeed: "):
        options = () if prompt is None else ("--document-prompt", prompt)
        asked = ("windows", docs / "00.txt", "--embed", e5, "--format", "json", *options)
        done = call(*asked)
        assert done.exit_code == 0, done.stderr
        (views[prompt],) = json.loads(done.stdout)["passes"]
    sizes = {prompt: view["windows"][0]["window"]["stop"] for prompt, view in views.items()}
    assert sizes["a long prompt of seven words indeed: "] < sizes[None] < sizes[""] == 30
    assert len({view["n_tokens"] for view in views.values()}) == 1
    assert views[None]["passages"] == views[""]["passages"]


@pytest.mark.parametrize("option", ["--query-prompt", "--document-prompt"])
def test_a_prompt_that_fills_the_window_is_wrong_usage(
    call: Call, e5: Path, docs: Path, tmp_path: Path, option: str
) -> None:
    output = tmp_path / "out"
    arguments = ("--input", docs, "--output", output, "--embed", e5, "--runner", "none")
    done = call("run", *arguments, option, "word " * 40)
    assert done.exit_code == 2
    name = option[2:].replace("-", "_")
    assert f"{name} must have fewer than 30 tokens in a window of 32" in done.stderr
    assert not output.exists()
