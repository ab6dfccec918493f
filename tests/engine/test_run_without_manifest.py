"""A manifest that was removed: what runs have published is neither doubled nor lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.encoder import fake_models
from support.runs import files_of, problems, rows_by_document, run_on, some_texts, write_texts

from longbert.engine.finish import RunResult
from longbert.errors import InputError
from longbert.store.filesystem import LocalFileSystem


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "docs", some_texts(12))


@pytest.fixture
def output(docs: Path, tmp_path: Path) -> Path:
    """Of two runs: the second has copied one part and added two."""
    output = tmp_path / "out"
    run(docs, output)
    (docs / "04.txt").unlink()
    write_texts(docs, {"00.txt": "another text", "new.txt": "a new one"})
    run(docs, output)
    return output


def run(docs: Path, output: Path, encoded: list[str] | None = None, **settings: Any) -> RunResult:
    def watch(windows: Sequence[Any]) -> None:
        if encoded is not None:
            encoded.extend("window" for _ in windows)

    return run_on(
        *(LocalFileSystem(), docs, output),
        load=lambda config, *, threads: fake_models(config, watch=watch),
        **{"embed": "fake", "ner": ["names"], "unit_bytes": 3000, **settings},
    )


def test_an_output_of_several_runs_is_published_again_as_it_was(docs: Path, output: Path) -> None:
    before = files_of(output)
    rows = rows_by_document(output)
    (output / "manifest.json").unlink()
    encoded: list[str] = []
    run(docs, output, encoded)
    assert encoded == []
    assert rows_by_document(output) == rows
    assert problems(output) == []
    # The index is built from the beginning, where it had grown.
    kept = {name for name in before if not name.startswith(("index/", "manifest.json"))}
    assert {name: files_of(output)[name] for name in kept} == {name: before[name] for name in kept}


def test_an_output_of_one_run_has_its_bytes_again(docs: Path, tmp_path: Path) -> None:
    output = tmp_path / "fresh"
    run(docs, output)
    before = files_of(output)
    (output / "manifest.json").unlink()
    run(docs, output)
    assert files_of(output) == before


def test_documents_that_are_gone_are_asked_about(docs: Path, output: Path) -> None:
    rows = rows_by_document(output)
    (output / "manifest.json").unlink()
    gone = [docs / f"{number:02}.txt" for number in range(6, 12)]
    for path in gone:
        path.unlink()
    with pytest.raises(InputError, match=r"6 of the 12 documents in output .* are gone"):
        run(docs, output)
    run(docs, output, keep_missing=True)
    assert rows_by_document(output) == rows


def test_parts_of_a_run_that_was_stopped_double_nothing(
    docs: Path, output: Path, tmp_path: Path
) -> None:
    """A part and its copy are both complete, and no manifest says which of them counts."""
    (docs / "07.txt").unlink()
    write_texts(docs, {"08.txt": "changed", "newer.txt": "a newer one"})
    names = ("receipts", "documents", "passages", "entities", "classifications", "errors")
    earlier = {path: path.read_bytes() for name in names for path in (output / name).iterdir()}
    others = {
        path: path.read_bytes()
        for name in ("lexical", "catalog")
        for path in (output / name).iterdir()
    }
    run(docs, output)
    wanted = rows_by_document(output)
    for path, data in (earlier | others).items():
        path.write_bytes(data)
    (output / "manifest.json").unlink()
    encoded: list[str] = []
    run(docs, output, encoded)
    assert encoded == []
    assert rows_by_document(output) == wanted
    assert problems(output) == []
