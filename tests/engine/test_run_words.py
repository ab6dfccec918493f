"""The lexical index has settings of its own: others rebuild it from the tables, and no more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.local_files import Death, FailingFiles
from support.runs import damage, files_of, last_run, problems, run, run_on, some_texts, write_texts

import longbert
import longbert.engine.context as context_module
from longbert.cli.progress import summary_lines
from longbert.index.lexical.languages import lexical_settings
from longbert.store.filesystem import LocalFileSystem
from longbert.store.fingerprints import LexicalSettings

Settings = dict[str, Any]


@pytest.fixture(scope="module")
def embedding(models: Callable[..., Path]) -> Settings:
    return {"embed": models("bert", sentence_transformers={"max_seq_length": 32}), "ner": []}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "docs", some_texts(3))


def tables_of(output: Path) -> dict[str, bytes]:
    """Files that hold rows or vectors, or say which documents there are."""
    folders = ("documents", "passages", "errors", "catalog", "index", "entities")
    return {name: data for name, data in files_of(output).items() if name.split("/")[0] in folders}


def another_stemmer(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(language: str) -> LexicalSettings:
        own = lexical_settings(language)
        libraries = {**own.libraries, "pystemmer": "99"}
        return LexicalSettings(language=language, analysis=own.analysis, libraries=libraries)

    monkeypatch.setattr(context_module, "lexical_settings", other)


def test_another_language_rebuilds_the_words_and_encodes_nothing(
    tmp_path: Path, docs: Path, embedding: Settings
) -> None:
    output = tmp_path / "out"
    run(docs, output, language="none", **embedding)
    before = tables_of(output)
    assert longbert.open(output).search("agreements", rank="lexical") == []

    result = run_on(LocalFileSystem(), docs, output, language="en", **embedding)

    entry = last_run(output)
    assert (entry["unchanged"], entry["units_reindexed"], entry["units_copied"]) == (3, 3, 0)
    assert entry["encoded"] == {}
    assert not entry["indexed"]
    assert tables_of(output) == before
    assert problems(output) == []
    assert "the words of 3 parts were indexed again" in summary_lines(result, {}, "out")[0]
    assert longbert.open(output).search("agreements", rank="lexical")
    run(docs, tmp_path / "fresh", language="en", **embedding)
    assert files_of(output)["manifest.json"] == files_of(tmp_path / "fresh")["manifest.json"]
    assert files_of(output).keys() == files_of(tmp_path / "fresh").keys()

    assert run_on(LocalFileSystem(), docs, output, language="en", **embedding).found_all_done


def test_another_stemmer_does_not_stop_a_run(
    tmp_path: Path, docs: Path, embedding: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    run(docs, output, **embedding)
    another_stemmer(monkeypatch)
    write_texts(docs, {"new.txt": "The tenant paid."})
    (docs / "00.txt").unlink()

    manifest = run(docs, output, prune=True, **embedding)

    assert manifest["lexical_settings"]["libraries"]["pystemmer"] == "99"
    entry = last_run(output)
    assert (entry["unchanged"], entry["units_reindexed"], entry["units"]) == (2, 2, 3)
    assert entry["encoded"]["documents"] == 1
    assert problems(output) == []


@pytest.mark.parametrize("folder", ["lexical", "catalog"])
def test_a_lost_file_is_made_anew_from_the_tables(
    tmp_path: Path, docs: Path, embedding: Settings, folder: str
) -> None:
    output = tmp_path / "out"
    run(docs, output, **embedding)
    before = files_of(output)
    sorted((output / folder).iterdir())[1].unlink()

    run(docs, output, **embedding)

    assert files_of(output) == before
    assert last_run(output)["units_reindexed"] == 1
    assert last_run(output)["encoded"] == {}


@pytest.mark.parametrize("fault", ["full", "death"])
def test_an_output_whose_words_are_rebuilt_is_whole_at_any_moment(
    tmp_path: Path, docs: Path, embedding: Settings, fault: str
) -> None:
    finished = tmp_path / "finished"
    run(docs, finished, language="none", **embedding)
    shutil.copytree(finished, tmp_path / "whole")
    whole = FailingFiles()
    run_on(whole, docs, tmp_path / "whole", language="en", **embedding)
    wanted = files_of(tmp_path / "whole")
    old = longbert.open(finished).search("the agreement", rank="lexical")
    new = longbert.open(tmp_path / "whole").search("the agreement", rank="lexical")
    # A catalog, a lexical file and a receipt for each, the manifest, and what is removed.
    assert whole.n_changes >= 3 * 3 + 1 + 3

    for n in range(whole.n_changes):
        output = tmp_path / f"out{n}"
        shutil.copytree(finished, output)
        with pytest.raises(Death if fault == "death" else longbert.OutputError):
            run_on(FailingFiles(n, fault), docs, output, language="en", **embedding)

        assert damage(output) == [], f"after a failure at change {n}"
        is_new = (output / "manifest.json").read_bytes() == wanted["manifest.json"]
        found = longbert.open(output).search("the agreement", rank="lexical")
        assert found == (new if is_new else old), f"after a failure at change {n}"
        run(docs, output, language="en", **embedding)
        assert files_of(output) == wanted, f"after a failure at change {n}"


def test_a_first_run_that_was_stopped_goes_on_in_another_language(
    tmp_path: Path, docs: Path, embedding: Settings
) -> None:
    output = tmp_path / "out"
    n_writes_of_a_unit = 5 + 2 + 1
    with pytest.raises(Death):
        run_on(
            FailingFiles(1 + 2 * n_writes_of_a_unit, "death"),
            docs, output, language="none", **embedding,
        )  # fmt: skip

    run(docs, output, language="en", **embedding)

    assert last_run(output)["documents_resumed"] == 2
    run(docs, tmp_path / "fresh", language="en", **embedding)
    assert files_of(output) == files_of(tmp_path / "fresh")
