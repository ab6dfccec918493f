"""``longbert verify --sample``: documents are encoded again, and bits compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support.damage import replace_table, with_column
from support.runs import run, some_texts, write_texts

from longbert.cli.main import main
from longbert.encoders import models


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, models: Callable[..., Path]) -> Path:
    place = tmp_path_factory.mktemp("verify-sample")
    run(
        write_texts(place / "docs", some_texts(3)),
        place / "out",
        embed=models("bert", sentence_transformers={"max_seq_length": 32}),
        ner=[str(models("bert", task="ner", backbone_seed=0, seed=1))],
        classify=[str(models("bert", task="classify", backbone_seed=0, seed=2))],
        passage=20,
        window_scores=True,
    )
    return place / "out"


@pytest.fixture
def output(good: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(good, tmp_path / "out"))


def verify_sample(output: Path, n: int) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["verify", str(output), "--sample", str(n)])
    return result.exit_code, result.stdout, result.stderr


def a_last_bit(vectors: list[Any]) -> None:
    vectors[0][0] = float(np.nextafter(np.float32(vectors[0][0]), np.float32(2)))


def test_bits_are_the_same(good: Path) -> None:
    status, out, _ = verify_sample(good, 100)
    assert status == 0
    sampled, whole = out.splitlines()
    assert sampled.startswith("Encoded again: 3 documents of 3 parts (000000-")
    assert " is whole: 3 documents, " in whole


def test_what_was_compared_is_in_the_report(good: Path) -> None:
    arguments = ["verify", str(good), "--sample", "2", "--format", "json"]
    report = json.loads(CliRunner().invoke(main, arguments).stdout)
    assert report["is_whole"] is True
    sampled = report["sampled"]
    assert (sampled["n_documents"], sampled["n_parts_left_out"]) == (2, 0)
    assert {*sampled["parts"]} < {path.stem for path in good.glob("receipts/*")}
    assert len(sampled["parts"]) == 2


@pytest.mark.parametrize(
    ("table", "column", "change"),
    [
        ("documents", "embedding", a_last_bit),
        ("passages", "embedding", a_last_bit),
        ("classifications", "score", lambda scores: scores.__setitem__(0, 0.5)),
        ("window_scores", "score", lambda scores: scores.__setitem__(0, 0.5)),
    ],
)
def test_another_bit(
    output: Path, table: str, column: str, change: Callable[[list[Any]], None]
) -> None:
    replace_table(output, table, lambda rows: with_column(rows, column, change))
    _, out, _ = verify_sample(output, 3)
    assert f"document '00.txt', encoded again, has other rows in {table}\n" in out
    assert out.count("encoded again") == 1


def test_another_environment(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits that this machine would not make are no problem of the output."""
    monkeypatch.setattr(models, "device_kind", lambda device: "another processor")
    status, out, err = verify_sample(output, 1)
    assert status == 4
    assert out == ""
    assert f"bits cannot be compared with those in '{output}'" in err
    assert "environment.processor: " in err
    assert '-> "another processor"' in err


def test_a_sample_of_none(output: Path) -> None:
    status, _, err = verify_sample(output, 0)
    assert status == 2
    assert "0 is not in the range x>=1" in err
