"""``longbert compact``: the files of a fresh run, from the rows that are there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from fakes.local_files import Death, FailingFiles
from support.runs import files_of, problems, run, some_texts, write_texts

import longbert
import longbert.engine.context as context_module
from longbert.cli.main import main
from longbert.config import run_config
from longbert.engine import unit
from longbert.engine.compact import compact_output
from longbert.engine.context import RunContext
from longbert.engine.history import read_history
from longbert.files import output_folder
from longbert.index.lexical.languages import lexical_settings
from longbert.store.fingerprints import LexicalSettings

Settings = dict[str, Any]


@pytest.fixture(scope="module")
def settings(models: Callable[..., Path]) -> Settings:
    return {
        "embed": models("bert", sentence_transformers={"max_seq_length": 32}),
        "ner": [str(models("bert", task="ner", backbone_seed=0, seed=1))],
        # Two documents of sixty words and their overhead.
        "unit_bytes": 2000,
    }


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Path:
    """Inputs and an output that grew, changed and shrank, with errors of several kinds."""
    place = tmp_path_factory.mktemp("compact")
    docs = place / "docs"
    texts = some_texts(6)
    write_texts(docs, {"03.txt": texts["03.txt"], "05.txt": texts["05.txt"], "e.txt": " "})
    (docs / "rows.jsonl").write_text('{"id": "b", "text": "second"}\n{"text": 1}\n')
    run(docs, place / "out", **settings)
    write_texts(docs, {"01.txt": "to be changed", "02.txt": texts["02.txt"]})
    run(docs, place / "out", **settings)
    write_texts(docs, {"01.txt": texts["01.txt"], "00.txt": texts["00.txt"]})
    (docs / "05.txt").unlink()
    (docs / "rows.jsonl").write_text(
        '{"id": "a", "text": "first"}\n{"id": "b", "text": "second"}\n{"id": "a", "text": "more"}\n'
    )
    run(docs, place / "out", prune=True, **settings)
    run(docs, place / "fresh", **settings)
    return place


@pytest.fixture
def output(grown: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown / "out", tmp_path / "out"))


def compact(output: Path) -> Result:
    return CliRunner().invoke(main, ["compact", str(output)])


def test_all_words_of_a_compacted_output_are_those_of_one_stemmer(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(language: str) -> LexicalSettings:
        own = lexical_settings(language)
        return msgspec.structs.replace(own, libraries={**own.libraries, "pystemmer": "99"})

    monkeypatch.setattr(context_module, "lexical_settings", other)

    result = compact(output)

    assert result.exit_code == 0, result.stderr
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["lexical_settings"]["libraries"]["pystemmer"] == "99"
    assert problems(output) == []
    assert longbert.open(output).search("the agreement", rank="lexical")


def test_an_output_that_grew_becomes_a_fresh_one(
    grown: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files_of(output) != files_of(grown / "fresh")
    monkeypatch.setattr(unit, "encode_documents", None)

    result = compact(output)

    assert result.exit_code == 0, result.stderr
    (line,) = result.stderr.splitlines()
    assert "in the order of the inputs" in line
    assert " 1 were " not in line
    assert files_of(output) == files_of(grown / "fresh")
    assert problems(output) == []


def test_a_compacted_output_has_nothing_to_do(output: Path, grown: Path) -> None:
    compact(output)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    assert "nothing to do" in compact(output).stderr
    assert before == {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}


def test_a_run_after_it_finds_all_done(output: Path, grown: Path, settings: Settings) -> None:
    compact(output)
    before = files_of(output)
    run(grown / "docs", output, **settings)
    assert files_of(output) == before
    assert read_history(output_folder(str(output))).runs[-1].units == 0


def test_stopped_at_any_write_it_goes_on(output: Path, grown: Path, tmp_path: Path) -> None:
    recorded = read_history(output_folder(str(output))).runs[-1].settings
    wanted = files_of(grown / "fresh")
    n_writes = 0
    while True:
        copy = Path(shutil.copytree(output, tmp_path / f"copy{n_writes}"))
        files = FailingFiles(n_writes, "death")
        config = run_config({**recorded, "output": str(copy)})
        try:
            compact_output(RunContext(config, files))
        except Death:
            rows_before = problems(copy)
            assert not [one for one in rows_before if "left from another run" not in one]
            assert compact(copy).exit_code == 0
            assert files_of(copy) == wanted
            n_writes += 1
            continue
        break
    assert n_writes > 10


def test_inputs_with_new_documents(output: Path, grown: Path, tmp_path: Path) -> None:
    new = grown / "docs" / "new.txt"
    new.write_text("a new text")
    try:
        result = compact(output)
    finally:
        new.unlink()
    assert result.exit_code == 2
    assert "1 of 9 documents in the inputs are new or have changed since" in result.stderr
    assert "run longbert again, then compact" in result.stderr


def test_a_damaged_part(output: Path) -> None:
    min((output / "passages").iterdir()).unlink()
    before = files_of(output)
    result = compact(output)
    assert result.exit_code == 1
    assert "is damaged: run longbert again with the same inputs" in result.stderr
    assert files_of(output) == before


def test_no_output(tmp_path: Path) -> None:
    result = compact(tmp_path / "nothing")
    assert result.exit_code == 2
    assert "is not a folder" in result.stderr
