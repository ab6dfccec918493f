"""``longbert verify --inputs``: the sources are read again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.runs import run, some_texts, write_texts

from longbert.cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, models: Callable[..., Path]) -> Path:
    """Inputs and their output, side by side, named as seen from there."""
    place = tmp_path_factory.mktemp("verify-inputs")
    docs = write_texts(place / "docs", some_texts(3) | {"empty.txt": ""})
    (docs / "rows.jsonl").write_text('{"id": "a", "text": "a row with an id"}\n')
    with chdir(place):
        run(Path("docs"), Path("out"), embed=models("bert"))
    return place


@pytest.fixture
def docs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inputs in a copy of all, which is where the test is."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "copy"))
    return Path("docs")


def verify_inputs() -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["verify", "out", "--inputs"])
    return result.exit_code, result.stdout, result.stderr


def test_inputs_that_did_not_change(docs: Path) -> None:
    status, out, _ = verify_inputs()
    assert status == 0
    assert "Compared with the inputs: 4 documents\nout is whole: 4 documents, 1 error, " in out


def test_a_text_that_changed(docs: Path) -> None:
    (docs / "01.txt").write_text("another text")
    status, out, _ = verify_inputs()
    assert status == 1
    first, _, affected, _, command = out.splitlines()
    assert first == "document '01.txt' has another text in the inputs than in the output"
    assert affected.startswith("Affected parts: 000001-")
    assert command.startswith("  longbert run --input docs --output out ")


def test_documents_that_came_and_went(docs: Path) -> None:
    (docs / "01.txt").unlink()
    (docs / "new.txt").write_text("a new text")
    (docs / "rows.jsonl").write_text('{"id": "b", "text": "a row with an id"}\n')
    _, out, _ = verify_inputs()
    assert set(out.splitlines()[:4]) == {
        "document 'new.txt' is in the inputs, but not in the output",
        "document 'b' is in the inputs, but not in the output",
        "document '01.txt' is in the output, but no longer in the inputs",
        "document 'a' is in the output, but no longer in the inputs",
    }


def test_inputs_that_are_not_there(docs: Path) -> None:
    shutil.rmtree(docs)
    status, _, err = verify_inputs()
    assert status == 2
    assert "input docs does not exist" in err


def test_a_history_that_is_lost(docs: Path) -> None:
    Path("out/run.json").unlink()
    status, out, _ = verify_inputs()
    assert status == 1
    assert "neither inputs nor bits were compared: out/run.json is missing or damaged" in out


def test_documents_whose_rows_were_kept_are_no_problem(
    docs: Path, models: Callable[..., Path]
) -> None:
    (docs / "01.txt").unlink()
    run(docs, Path("out"), embed=models("bert"), keep_missing=True)
    status, out, _ = verify_inputs()
    assert status == 0
    assert out.startswith(
        "Compared with the inputs: 3 documents\n"
        "Not compared: 1 document whose inputs are gone and whose rows were kept\n"
        "out is whole: 4 documents, "
    )
    report = CliRunner().invoke(main, ["verify", "out", "--inputs", "--format", "json"]).stdout
    assert json.loads(report)["compared"] == {"n_documents": 3, "n_kept": 1}
