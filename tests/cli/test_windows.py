"""The command windows: what it shows of a document, and what it refuses."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.runs import run, write_texts
from support.texts import long_text

Call = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_texts(tmp_path, {"a.txt": long_text(150, seed=3)})
    return tmp_path / "a.txt"


def arguments(file: Path, model: Path) -> list[Any]:
    return ["windows", file, "--embed", model, "--window", "32", "--overlap", "8"]


def test_json(call: Call, file: Path, small: Path) -> None:
    result = call(*arguments(file, small), "--passage", "20", "--format", "json")
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


def test_without_a_model_there_are_passages_of_words(call: Call, file: Path) -> None:
    none = ["windows", file, "--embed", "none", "--passage", "20"]
    shown = json.loads(call(*none, "--format", "json").stdout)
    (one,) = shown["passes"]
    assert (one["heads"], one["windows"], one["n_tokens"]) == ([], [], 150)
    text = file.read_text()
    assert [len(text[start:stop].split()) for start, stop in one["passages"]] == [20] * 7 + [10]
    first, *rest = call(*none).stdout.splitlines()
    assert first == f"a.txt: {len(text)} characters, 150 words, 8 passages; no model, so no windows"
    assert rest[0] == "passages (characters):"
    assert rest[1].split()[-1] == f"{one['passages'][-1][0]}-{len(text)}"


def test_no_weights_are_needed(call: Call, file: Path, small: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(small, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    whole, without = (call(*arguments(file, model)) for model in (small, bare))
    assert (without.exit_code, without.stderr) == (0, "")
    assert without.stdout == whole.stdout


def test_table(call: Call, file: Path, small: Path) -> None:
    as_json = call(*arguments(file, small), "--format", "json").stdout
    (one,) = json.loads(as_json)["passes"]
    result = call(*arguments(file, small))
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
        assert re.match(rf" +{number}  +{window['start']}-{window['stop']} +{start}-{stop} ", line)
        assert "█" in line
    assert "─" in lines[2]
    assert lines[2 + n_windows] == "passages (characters):"


def test_it_agrees_with_a_run(call: Call, file: Path, small: Path, tmp_path: Path) -> None:
    shown = json.loads(call(*arguments(file, small), "--format", "json").stdout)
    manifest = run(file, tmp_path / "out", embed=small, window=32, overlap=8)
    (one,) = shown["passes"]
    counts = manifest["counts"]
    assert counts["windows"] == len(one["windows"])
    assert counts["passages"] == len(one["passages"])
    assert counts["tokens"] == one["n_tokens"]


def test_a_document_of_many(call: Call, small: Path, tmp_path: Path) -> None:
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


def test_bad_files(call: Call, small: Path, tmp_path: Path) -> None:
    write_texts(tmp_path, {"white.txt": " \n", "b/1.txt": "a", "b/2.txt": "b"})
    white = call("windows", tmp_path / "white.txt", "--embed", small)
    assert white.exit_code == 1
    assert "the document has no tokens" in white.stderr
    several = call("windows", tmp_path / "b", "--embed", small)
    assert several.exit_code == 2
    assert "b holds 2 files: name one of them" in several.stderr
    none = call("windows", tmp_path / "none.txt", "--embed", small)
    assert none.exit_code == 2
    assert "does not exist" in none.stderr


def test_a_name_that_a_terminal_would_obey_is_escaped(
    call: Call, small: Path, tmp_path: Path
) -> None:
    write_texts(tmp_path, {"esc\x1b[31m.txt": "some words"})
    shown = call("windows", tmp_path / "esc\x1b[31m.txt", "--embed", small)
    assert shown.exit_code == 0
    assert shown.stdout.startswith(r"esc\x1b[31m.txt: 10 characters")
    assert "\x1b" not in shown.output
