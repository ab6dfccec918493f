"""The command index: another index from the same tables, and what it says of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.commands import refuse, run_arguments
from support.runs import files_of, last_run, problems, write_texts
from support.texts import long_text

from longbert.store.index_description import INDEX_VERSION

Call = Callable[..., Result]

TYPES = ("hnsw", "ivf", "ivf-sq8", "ivf-rabitq")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = {f"{number:02}.txt": long_text(60, seed=number) for number in range(30)}
    return write_texts(tmp_path_factory.mktemp("corpus") / "docs", texts)


@pytest.fixture
def arguments(corpus: Path, tmp_path: Path, small: Path) -> list[str]:
    """A run with more passages than are worth looking at one by one."""
    return [*run_arguments(corpus, tmp_path / "out", small), "--passage", "1"]


def described(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_another_index_is_built_from_the_tables_and_kept_by_later_runs(
    call: Call, arguments: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert call(*arguments).exit_code == 0
    assert described(call("index", output, "--describe", "--format", "json"))["passages"][
        "type"
    ] == ("flat")
    tables = {name: data for name, data in files_of(output).items() if name.endswith(".parquet")}

    built = described(call("index", output, "--type", "ivf", "--recall", "0.9", "--format", "json"))

    passages, documents = built["passages"], built["documents"]
    assert (passages["type"], documents["type"]) == ("ivf", "flat")
    assert passages["vectors"] > 1_000
    assert 0.9 <= passages["recall_at_10"] <= 1
    assert passages["n_queries"] == passages["vectors"] // 10
    assert passages["effort"] == passages["built"]["trials"][-1]["effort"]
    (segment,) = passages["segments"]
    assert passages["disk_bytes"] == (output / segment["file"]).stat().st_size
    assert problems(output) == []
    assert tables.items() <= files_of(output).items()
    assert len(list((output / "index").iterdir())) == 3
    assert call("query", "x", "--index", output, "--rank", "best").exit_code == 0

    again = call(*arguments)
    assert "nothing to do" in again.stderr
    assert described(call("index", output, "--describe", "--format", "json")) == built
    changed = call(*arguments, "--type", "flat")
    assert "the index was built again" in changed.stderr
    assert last_run(output)["units"] == 0


def test_a_type_that_few_vectors_do_without_is_told(
    call: Call, corpus: Path, tmp_path: Path, small: Path
) -> None:
    assert call(*run_arguments(corpus, tmp_path / "out", small)).exit_code == 0
    result = call("index", tmp_path / "out", "--type", "hnsw")
    assert result.exit_code == 0
    assert re.search(
        r"\d+ passages are too few for hnsw: all are looked at, as flat does", result.stderr
    )
    assert not call("index", tmp_path / "out", "--type", "auto").stderr


@pytest.mark.parametrize("type", TYPES)
def test_an_index_is_the_same_whether_built_by_the_run_or_later(
    call: Call, arguments: list[str], tmp_path: Path, type: str
) -> None:
    output = tmp_path / "out"
    assert call(*arguments, "--type", type, "--recall", "0.8").exit_code == 0
    before = files_of(output)
    assert call("index", output, "--type", "flat").exit_code == 0
    assert files_of(output).keys() != before.keys()
    assert call("index", output, "--type", type).exit_code == 0
    assert files_of(output) == before


def test_the_table_shows_what_was_measured(
    call: Call, arguments: list[str], tmp_path: Path
) -> None:
    assert call(*arguments, "--type", "hnsw").exit_code == 0
    shown = call("index", tmp_path / "out", "--describe").stdout
    assert "hnsw" in shown
    assert "exact" in shown
    assert "█" in shown
    assert "settings tried, the last is used" in shown
    (tmp_path / "out" / "run.json").unlink()
    without = call("index", tmp_path / "out", "--describe")
    assert without.exit_code == 0
    assert "settings tried" not in without.stdout


def test_what_does_not_fit_is_refused_and_the_index_kept(
    call: Call, arguments: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert call(*arguments).exit_code == 0
    before = files_of(output)
    figures = r"memory is 50kB, .* 2,\d+ passages and 30 documents.*--memory \d+MB\n  flat: "
    refuse(call, ["index", str(output), "--memory", "50kB"], figures)
    refuse(call, ["index", str(output), "--memory", "some"], "memory must be a size such as 500MB")
    refuse(call, ["index", str(output), "--recall", "1.5"], r"recall must be a number in \(0, 1\)")
    refuse(call, ["index", str(output), "--type", "lsh"], "'lsh' is not one of 'auto', 'flat'")
    refuse(call, ["index", str(output), "--describe", "--recall", "0.9"], "--describe builds noth")
    refuse(call, ["index", str(tmp_path / "no")], "is not a folder")
    assert files_of(output) == before


def test_a_memory_that_no_index_fits_is_refused_before_anything_is_encoded(
    call: Call, arguments: list[str], tmp_path: Path
) -> None:
    message = r"(?s)memory is 2kB, and for 30 passages and 30 documents.*nothing has been"
    refuse(call, [*arguments, "--memory", "2kB"], message)
    assert not (tmp_path / "out").exists()
    planned = call(*arguments, "--memory", "2kB", "--dry-run")
    assert planned.exit_code == 2
    assert "nothing has been encoded yet" in planned.stderr


def test_an_index_that_does_not_fit_leaves_the_tables_to_a_later_run(
    call: Call, arguments: list[str], tmp_path: Path
) -> None:
    message = r"(?s)2,\d+ passages and 30 documents.*All tables are written and kept: run again"
    refuse(call, [*arguments, "--memory", "81MB"], message)
    assert call(*arguments).exit_code == 0
    run = last_run(tmp_path / "out")
    assert run["units_resumed"] == run["units"] > 0


def test_an_output_without_vectors_has_no_index(
    call: Call, docs: Path, tmp_path: Path, small: Path
) -> None:
    arguments = run_arguments(docs, tmp_path / "out", "none")
    assert call(*arguments, "--ner", "entities-en").exit_code == 0
    message = "has no index of vectors, since it was made with --embed none"
    refuse(call, ["index", str(tmp_path / "out")], message)
    refuse(call, ["index", str(tmp_path / "out"), "--describe"], message)
    for rank in ("best", "hybrid"):
        refuse(call, ["query", "x", "--index", str(tmp_path / "out"), "--rank", rank], message)


def test_an_output_of_errors_alone_points_to_them(call: Call, tmp_path: Path, small: Path) -> None:
    docs = write_texts(tmp_path / "docs", {"a.txt": " ", "b.txt": ""})
    assert call(*run_arguments(docs, tmp_path / "out", small)).exit_code == 3
    found = call("query", "x", "--index", tmp_path / "out")
    assert found.exit_code == 0
    assert "there is no document, and the table errors says why" in found.stderr
    like = ["query", "--like", "a.txt", "--index", str(tmp_path / "out")]
    refuse(call, like, "no document 'a.txt', nor any other: the table errors says")
    for command in (
        ["query", "x", "--rank", "best", "--index"],
        ["index", "--describe"],
        ["index"],
    ):
        message = "holds no document: .*out/errors says of each input why"
        refuse(call, [*command, str(tmp_path / "out")], message, status=1)


def test_each_way_of_ranking_needs_its_own_files_only(
    call: Call, docs: Path, tmp_path: Path, small: Path
) -> None:
    output = tmp_path / "out"
    assert call(*run_arguments(docs, output, small)).exit_code == 0
    whole = files_of(output)

    def query(rank: str) -> list[str]:
        return ["query", "x", "--index", str(output), "--rank", rank]

    for folder, needed, others in (
        ("index", ("hybrid", "best", "document"), ("lexical",)),
        ("lexical", ("hybrid", "lexical"), ("best", "document")),
    ):
        for file in (output / folder).iterdir():
            file.unlink()
        for rank in needed:
            refuse(call, query(rank), rf"{folder}/\S+ is missing", status=1)
        for rank in others:
            assert call(*query(rank)).exit_code == 0
        if folder == "index":
            assert call("index", output).exit_code == 0
        else:
            assert call(*run_arguments(docs, output, small)).exit_code == 0
        assert files_of(output) == whole


def test_an_index_of_another_version_is_told_and_built_again(
    call: Call, arguments: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert call(*arguments).exit_code == 0
    before = files_of(output)
    manifest = json.loads((output / "manifest.json").read_text())
    path = output / manifest["index"]["file"]
    version = '"version": {}'.format
    later = path.read_text().replace(version(INDEX_VERSION), version(INDEX_VERSION + 1))
    path.write_text(later)
    manifest["index"]["sha256"] = hashlib.sha256(later.encode()).hexdigest()
    (output / "manifest.json").write_text(json.dumps(manifest))
    told = f"has version {INDEX_VERSION + 1}, .* writes {INDEX_VERSION}: .* longbert index"
    refuse(call, ["query", "x", "--index", str(output), "--rank", "best"], told, status=1)
    assert call("index", output).exit_code == 0
    assert files_of(output) == before
