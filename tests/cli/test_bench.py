"""The command bench: everything is measured, once as JSON and once as tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from support.runs import write_texts
from support.texts import long_text

Call = Callable[..., Result]


@pytest.mark.slow
def test_everything_is_measured(call: Call, small: Path, tmp_path: Path) -> None:
    docs = write_texts(
        tmp_path / "docs", {f"{number:02}.txt": long_text(60, seed=number) for number in range(12)}
    )
    arguments = ("bench", "--input", docs, "--embed", small, "--rounds", "1", "--documents", "11")
    result = call(*arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["corpus"]["documents"] == 11
    assert report["corpus"]["unique_tokens"] < report["corpus"]["processed_tokens"]
    (only,) = report["rounds"]
    assert report["seconds"] == only
    assert {"run", "job", "query", "forward pass", "bare products"} <= only.keys()
    assert all(seconds > 0 for seconds in only.values())
    assert {"tokenizing", "encoding", "assembling", "writing", "beam"} <= report["stages"].keys()
    assert report["ratios"]["query over its imports"] == only["query"] / only["imports of query"]
    assert set(report["versions"]) >= {"python", "longbert", "torch"}
    assert "too little text for the ratios" in result.stderr


def test_no_input_that_can_be_read_is_an_error(call: Call, tmp_path: Path) -> None:
    result = call("bench", "--input", write_texts(tmp_path / "docs", {"a.txt": " "}))
    assert result.exit_code == 2
    assert "no document that can be read" in result.stderr


def test_without_a_model_there_is_nothing_to_measure(call: Call) -> None:
    result = call("bench", "--embed", "none")
    assert result.exit_code == 2
    assert "bench measures models" in result.stderr
