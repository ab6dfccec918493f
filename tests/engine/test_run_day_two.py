"""Running again: after additions, changes, removals, with other settings, over finished output."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.local_files import Death, FailingFiles
from support.manifests import part_names_of
from support.runs import (
    files_of,
    last_run,
    problems,
    rows,
    rows_by_document,
    run,
    run_on,
    some_texts,
    write_texts,
)
from support.texts import long_text

import longbert
from longbert.errors import FingerprintError, InputError, OutputError

Settings = dict[str, Any]


@pytest.fixture(scope="module")
def settings(models: Callable[..., Path]) -> Settings:
    ner = models("bert", task="ner", backbone_seed=0, seed=1)
    return {
        "embed": models("bert", sentence_transformers={"max_seq_length": 32}),
        "ner": [str(ner)],
        # Two documents of sixty words and their overhead.
        "unit_bytes": 2000,
    }


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "docs", some_texts(6) | {"e.txt": "\n"})


def state(output: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file of an output but ``run.json``."""
    return {
        name: (data, (output / name).stat().st_mtime_ns) for name, data in files_of(output).items()
    }


def test_only_new_and_changed_documents_are_encoded(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    before = part_names_of(output)
    assert len(before) == 4
    (docs / "02.txt").write_text(long_text(60, seed=77))
    (docs / "04.txt").unlink()
    write_texts(docs, {"0.txt": long_text(60, seed=78)})

    run(docs, output, prune=True, **settings)

    entry = last_run(output)
    # Changed and removed are gone from what was there; new and changed are encoded.
    assert (entry["documents"], entry["unchanged"], entry["removed"]) == (7, 5, 2)
    assert entry["encoded"]["documents"] == 2
    n_tokens = {row["document_id"]: row["n_tokens"] for row in rows(output, "documents")}
    assert entry["encoded"]["tokens"] == n_tokens["02.txt"] + n_tokens["0.txt"]
    assert entry["units_copied"] == 2
    assert problems(output) == []
    assert len({*before} & {*part_names_of(output)}) == 2

    run(docs, tmp_path / "fresh", **settings)
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")
    assert list(n_tokens) == ["00.txt", "01.txt", "03.txt", "05.txt", "0.txt", "02.txt"]


def test_the_index_finds_what_was_added_and_not_what_was_removed(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    (docs / "04.txt").unlink()
    write_texts(docs, {"new.txt": long_text(60, seed=78)})
    run(docs, output, prune=True, **settings)
    run(docs, tmp_path / "fresh", **settings)

    found = longbert.open(output).search("the agreement in London", k=20)
    fresh = longbert.open(tmp_path / "fresh").search("the agreement in London", k=20)

    assert {hit.document_id for hit in found} == set(some_texts(6)) - {"04.txt"} | {"new.txt"}
    assert {hit.document_id: hit.score for hit in found} == pytest.approx(
        {hit.document_id: hit.score for hit in fresh}, abs=1e-6
    )


def test_finished_output_is_left_as_it_is(tmp_path: Path, docs: Path, settings: Settings) -> None:
    output = tmp_path / "out"
    first = run(docs, output, **settings)
    before = state(output)
    for path in docs.iterdir():
        os.utime(path, (1, 1))

    assert run(docs, output, **settings) == first

    assert state(output) == before
    history = json.loads((output / "run.json").read_text())["runs"]
    assert len(history) == 2
    assert history[1]["units"] == 0
    assert history[1]["encoded"] == {}
    assert history[1]["unchanged"] == 7


def test_a_part_that_loses_all_its_documents_goes(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    for name in ("00.txt", "01.txt"):
        (docs / name).unlink()
    run(docs, output, prune=True, **settings)

    assert last_run(output)["units"] == 0
    assert last_run(output)["removed"] == 2
    assert len(part_names_of(output)) == 3
    assert len(list((output / "receipts").iterdir())) == 3
    assert [row["document_id"] for row in rows(output, "documents")] == list(some_texts(6))[2:]
    assert problems(output) == []


def test_adding_twice_and_removing_gives_the_rows_of_a_fresh_run(
    tmp_path: Path, settings: Settings
) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(3))
    output = tmp_path / "out"
    run(docs, output, **settings)
    for step in range(3):
        write_texts(docs, {f"new{step}.txt": long_text(60, seed=100 + step), f"e{step}.txt": ""})
        (docs / f"0{step}.txt").unlink()
        run(docs, output, prune=True, **settings)
        encoded = last_run(output)["encoded"]
        assert (encoded["documents"], encoded["errors"]) == (1, 1)
        assert problems(output) == []
    run(docs, tmp_path / "fresh", **settings)
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")


def test_of_two_documents_with_one_id_the_first_stays(tmp_path: Path, settings: Settings) -> None:
    lines = [{"id": "same", "text": long_text(20, seed=seed)} for seed in range(2)]
    docs = tmp_path / "docs"
    files = {f"{n}.jsonl": json.dumps(line) + "\n" for n, line in enumerate(lines)}
    write_texts(docs, {**files, "other.txt": "another"})
    output = tmp_path / "out"
    run(docs, output, **settings)
    (error,) = rows(output, "errors")
    assert (error["document_id"], error["error"]) == ("same", "duplicate_id")
    assert error["source"] == f"{docs}/1.jsonl#1"
    assert f"{docs}/0.jsonl#1" in error["message"]
    found = {row["document_id"]: row["source"] for row in rows(output, "documents")}
    assert found == {"same": f"{docs}/0.jsonl", "other.txt": f"{docs}/other.txt"}

    (docs / "0.jsonl").unlink()
    run(docs, output, **settings)
    assert rows(output, "errors") == []
    found = {row["document_id"]: row["source"] for row in rows(output, "documents")}
    assert found == {"same": f"{docs}/1.jsonl", "other.txt": f"{docs}/other.txt"}
    assert last_run(output)["encoded"]["documents"] == 1
    assert problems(output) == []

    write_texts(docs, files)
    run(docs, output, **settings)
    run(docs, tmp_path / "fresh", **settings)
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")
    assert problems(output) == []


def test_a_row_put_in_the_middle_costs_one_row(tmp_path: Path, settings: Settings) -> None:
    rows_ = [{"id": f"d{n}", "text": long_text(20, seed=n)} for n in range(6)]
    lines = [json.dumps(row) for row in rows_]
    docs = write_texts(tmp_path / "docs", {"rows.jsonl": "\n".join(lines)})
    output = tmp_path / "out"
    run(docs, output, **settings)
    lines.insert(3, json.dumps({"id": "new", "text": long_text(20, seed=9)}))
    write_texts(docs, {"rows.jsonl": "\n".join(lines)})

    run(docs, output, **settings)

    assert last_run(output)["encoded"]["documents"] == 1
    assert (last_run(output)["unchanged"], last_run(output)["removed"]) == (6, 0)
    assert {row["source"] for row in rows(output, "documents")} == {f"{docs}/rows.jsonl"}
    run(docs, tmp_path / "fresh", **settings)
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"passage": 7}, "passage: 64 -> 7"),
        ({"window": 20}, "passes[0].window: 32 -> 20"),
        ({"precision": "bfloat16"}, 'precision: "float32" -> "bfloat16"'),
        ({"ner": []}, "passes[0].heads"),
        ({"text_field": "body"}, 'text_field: "text" -> "body"'),
        ({"entity_strategy": "max"}, 'heads[1].settings.strategy: "first" -> "max"'),
    ],
)
def test_other_settings_are_refused_and_named(
    tmp_path: Path, docs: Path, settings: Settings, other: Settings, named: str
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    before = state(output)
    write_texts(docs, {"new.txt": "new"})
    with pytest.raises(FingerprintError) as raised:
        run(docs, output, **{**settings, **other})
    assert raised.value.exit_status == 4
    assert named in str(raised.value)
    assert str(output) in str(raised.value)
    assert "--output" in str(raised.value)
    assert state(output) == before


def test_another_model_of_the_same_name_is_refused(
    tmp_path: Path, docs: Path, settings: Settings, models: Callable[..., Path]
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    other = models("bert", seed=5, sentence_transformers={"max_seq_length": 32})
    with pytest.raises(FingerprintError, match=r"passes\[0\].digest"):
        run(docs, output, **{**settings, "embed": other, "ner": []})


def test_options_that_change_no_row_may_differ(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    before = state(output)
    run(docs, output, **{**settings, "batch_tokens": 40})
    assert state(output) == before


def test_the_size_of_units_changes_bytes_and_no_rows(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    before = rows_by_document(output)
    run(docs, output, **{**settings, "unit_bytes": 3000})
    assert last_run(output)["units"] == 0
    assert rows_by_document(output) == before
    assert problems(output) == []


def test_another_metric_builds_the_index_again_and_encodes_nothing(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    run(docs, output, **{**settings, "metric": "dot"})
    assert last_run(output)["units"] == 0
    assert last_run(output)["indexed"]
    assert problems(output) == []
    run(docs, tmp_path / "fresh", **{**settings, "metric": "dot"})
    assert files_of(output)["manifest.json"] == files_of(tmp_path / "fresh")["manifest.json"]


def test_unfinished_output_of_other_settings_is_refused(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    with pytest.raises(Death):
        run_on(FailingFiles(9, "death"), docs, output, **settings)
    before = state(output)
    with pytest.raises(FingerprintError, match="passage: 64 -> 7"):
        run(docs, output, passage=7, **settings)
    assert state(output) == before
    run(docs, output, **settings)
    assert last_run(output)["units_resumed"] == 1


def test_settings_may_change_while_nothing_is_done(tmp_path: Path, settings: Settings) -> None:
    output = tmp_path / "out"
    with pytest.raises(InputError):
        run(tmp_path / "mistyped", output, **settings)
    docs = write_texts(tmp_path / "docs", some_texts(1))
    with pytest.raises(OutputError):
        run_on(FailingFiles(3), docs, output, **settings)

    run(docs, output, passage=7, **settings)

    assert problems(output) == []
    run(docs, tmp_path / "fresh", passage=7, **settings)
    assert files_of(output) == files_of(tmp_path / "fresh")


def test_files_of_others_in_the_output_folder_are_left_alone(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    own = {"README.md": "mine", "documents/notes.txt": "mine", "index/notes.json": "mine"}
    write_texts(output, own)
    run(docs, output, **settings)
    (docs / "00.txt").unlink()
    run(docs, output, prune=True, **settings)
    assert {name: (output / name).read_text() for name in own} == own
    told = [problem.partition(" ")[0] for problem in problems(output)]
    assert told == ["documents/notes.txt", "index/notes.json"]


def test_an_output_inside_the_inputs_is_not_read(tmp_path: Path, settings: Settings) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(2))
    output = docs / "out"
    run(docs, output, **settings)
    before = state(output)
    run(docs, output, **settings)
    assert state(output) == before
    assert last_run(output)["documents"] == 2


@pytest.mark.parametrize("how", ["folder", "passages", "description"])
def test_an_index_that_was_removed_is_built_again(
    tmp_path: Path, docs: Path, settings: Settings, how: str
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    before = files_of(output)
    for path in (output / "index").iterdir():
        if how == "folder" or path.name.startswith(how):
            path.unlink()
    assert problems(output)

    run(docs, output, **settings)

    assert files_of(output) == before
    assert problems(output) == []


def test_a_damaged_description_of_the_index_is_made_again(
    tmp_path: Path, docs: Path, settings: Settings
) -> None:
    output = tmp_path / "out"
    run(docs, output, **settings)
    before = files_of(output)
    (path,) = (output / "index").glob("description-*")
    path.write_text("{")
    run(docs, output, **settings)
    assert files_of(output) == before
