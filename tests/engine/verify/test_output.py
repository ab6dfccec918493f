"""What ``longbert verify`` finds: a sentence for each kind of damage, nothing on a good output."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from click.testing import CliRunner
from support.damage import edit, part, replace_table, with_column
from support.manifests import edit_parts, part_names_of
from support.runs import DEFAULT_TABLES, files_of, problems, run, some_texts, write_texts

from longbert.cli.main import main
from longbert.core.fingerprint import fingerprint
from longbert.engine.recorded import recorded_command
from longbert.engine.verify.output import verify_output
from longbert.engine.verify.report import verify_report
from longbert.errors import OutputError
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.lock import locked
from longbert.store.receipts import FileEntry


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, models: Callable[..., Path]) -> Path:
    place = tmp_path_factory.mktemp("verify")
    docs = write_texts(place / "docs", some_texts(3) | {"e.txt": ""})
    run(
        docs,
        place / "out",
        embed=models("bert", sentence_transformers={"max_seq_length": 32}),
        ner=[str(models("bert", task="ner", backbone_seed=0, seed=1))],
        classify=[str(models("bert", task="classify", backbone_seed=0, seed=2))],
        passage=20,
        unit_bytes=2000,
    )
    return place / "out"


@pytest.fixture
def output(good: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(good, tmp_path / "out"))


def verify(output: Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["verify", str(output)])
    return result.exit_code, result.stdout, result.stderr


def test_a_good_output_is_whole(good: Path) -> None:
    status, out, err = verify(good)
    assert status == 0
    assert err == ""
    assert out.startswith(f"{good} is whole: 3 documents, 1 error, ")
    assert out.count("\n") == 1


@pytest.mark.parametrize("table", DEFAULT_TABLES)
def test_a_flipped_byte_in_a_table(output: Path, table: str) -> None:
    file = f"{table}/{part(output)}.parquet"
    data = bytearray((output / file).read_bytes())
    data[len(data) // 2] ^= 1
    (output / file).write_bytes(data)

    status, out, err = verify(output)

    assert status == 1
    assert f"{file} does not match its SHA-256 in the manifest\n" in out
    assert f"Affected parts: {part(output)}\n" in out
    assert f"{output}: 1 problem, 1 part affected. " in err


@pytest.mark.parametrize("table", DEFAULT_TABLES)
def test_a_missing_table(output: Path, table: str) -> None:
    (output / table / f"{part(output, 1)}.parquet").unlink()
    assert f"{table}/{part(output, 1)}.parquet is missing" in problems(output)


@pytest.mark.parametrize("folder", ["catalog", "lexical"])
def test_a_damaged_or_missing_file_for_search(output: Path, folder: str) -> None:
    (path,) = (output / folder).glob(f"{part(output)}*")
    file = f"{folder}/{path.name}"
    data = (output / file).read_bytes()
    (output / file).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert f"{file} does not match its SHA-256 in the manifest" in problems(output)
    (output / file).unlink()
    assert f"{file} is missing" in problems(output)


def test_a_missing_receipt(output: Path) -> None:
    (output / f"receipts/{part(output)}.json").unlink()
    assert problems(output) == [f"receipts/{part(output)}.json is missing or damaged"]


def test_a_receipt_that_was_changed(output: Path) -> None:
    file = f"receipts/{part(output)}.json"

    def other_digest(receipt: dict[str, Any]) -> None:
        receipt["documents"][0][0] = "0" * 32

    edit(output / file, other_digest)
    assert problems(output) == [f"{file} does not list the documents that the part was made from"]


def test_a_receipt_of_other_documents(output: Path) -> None:
    file = f"receipts/{part(output)}.json"
    edit(output / file, lambda receipt: receipt["documents"].pop())
    (first, second) = problems(output)
    assert "does not list the documents" in first
    assert second == (
        f"part {part(output)}: of 1 documents that went in, 0 did not come out; 2 came out as "
        "documents and errors"
    )


@pytest.mark.parametrize("name", ["tokens", "errors", "passages", "chars_covered"])
def test_a_changed_sum(output: Path, name: str) -> None:
    edit(output / "manifest.json", lambda m: m["counts"].update({name: m["counts"][name] + 1}))
    assert problems(output) == ["manifest.json: the counts are not the sums over the shards"]


def test_changed_counts_that_add_up(output: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["counts"]["tokens"] += 1

    def change_parts(parts: list[Any]) -> None:
        parts[0]["counts"]["tokens"] += 1

    edit_parts(output, change_parts)
    edit(output / "manifest.json", change)
    (receipt, count) = problems(output)
    assert "and the manifest differ in counts" in receipt
    assert "tokens, the tables " in count


def test_changed_settings(output: Path) -> None:
    edit(output / "manifest.json", lambda manifest: manifest["rows"]["settings"].update(passage=1))
    (settings, environment) = problems(output)
    assert settings == "manifest.json: the fingerprint does not belong to the settings"
    assert environment.endswith("does not have that fingerprint")


@pytest.mark.parametrize("name", ["readers", "written_with", "models"])
def test_a_manifest_that_was_edited(output: Path, name: str) -> None:
    path = output / "manifest.json"
    content = json.loads(path.read_text())
    one = next(iter(content[name]))
    content[name][one] = "x" if isinstance(content[name][one], str) else None
    path.write_text(json.dumps(content))

    status, out, _ = verify(output)

    assert status == 1
    assert "manifest.json: it was changed by something other than a run\n" in out
    assert f"  rm -f -- {path}\n" in out


def test_a_part_of_other_settings(output: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["rows"]["settings"]["passage"] = 1
        manifest["fingerprint"] = fingerprint(manifest["rows"])
        manifest["environments"] = {manifest["fingerprint"]: manifest["rows"]["environment"]}

    edit(output / "manifest.json", change)
    assert problems(output)[:2] == [
        "fingerprint.json is not that of the rows in the manifest",
        f"receipts/{part(output)}.json has a row fingerprint that the manifest does not name",
    ]


@pytest.mark.parametrize("name", ["documents", "passages", "description"])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_file_of_the_index(output: Path, name: str, how: str) -> None:
    (path,) = (output / "index").glob(f"{name}-*")
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    status, out, _ = verify(output)
    assert status == 1
    line, *mending = out.splitlines()
    assert line.startswith(str(path))
    assert mending[0] == "To mend it:"
    assert mending[1].startswith(f"  rm -f -- {output}/index/description-")


def test_an_index_of_other_rows(output: Path) -> None:
    def turn(vectors: list[Any]) -> None:
        vectors[0] = vectors[0][::-1]

    replace_table(output, "passages", lambda rows: with_column(rows, "embedding", turn))
    told = "the index was not built from the rows in the table passages"
    assert any(told in one for one in problems(output))


def test_no_index_for_vectors(output: Path) -> None:
    edit(output / "manifest.json", lambda manifest: manifest.update(index=None))
    first, *files = problems(output)
    assert first == "manifest.json: there is an embedding model, but no index"
    assert all(one.startswith("index/") and "left from another run" in one for one in files)


def test_rows_that_do_not_fit_together(output: Path) -> None:
    def cut(values: list[Any]) -> None:
        values[0] -= 1

    def rename(values: list[Any]) -> None:
        values[-1] = "nobody"

    replace_table(output, "passages", lambda rows: with_column(rows, "char_end", cut))
    replace_table(output, "entities", lambda rows: with_column(rows, "char_start", cut))
    replace_table(output, "classifications", lambda rows: with_column(rows, "document_id", rename))
    found = "\n".join(problems(output))
    where = f"part {part(output)}: document '00.txt'"
    assert f"{where}: passage 1 does not begin where the one before ends" in found
    assert f"{where}: the entity at " in found
    assert "classifications has rows of 'nobody', which is not in documents" in found


@pytest.mark.parametrize(
    ("table", "column", "value", "wanted"),
    [
        ("documents", "n_chars_covered", 1, "1 of "),
        ("documents", "content_sha256", "0", "do not add up to the document's text"),
        ("documents", "document_id", "01.txt", "in the output twice"),
        ("passages", "text", "other", "do not add up to the document's text"),
        ("passages", "passage_id", 1, "passage 0 has the wrong id"),
        ("passages", "ordinal", 5, "passage 0 is missing or out of order"),
        ("entities", "text", "other", "is not that span of the text"),
    ],
)
def test_a_wrong_value(output: Path, table: str, column: str, value: Any, wanted: str) -> None:
    def change(values: list[Any]) -> None:
        values[0] = value

    replace_table(output, table, lambda rows: with_column(rows, column, change))
    assert any(wanted in problem for problem in problems(output))


def test_a_truncated_table(output: Path) -> None:
    path = output / "passages" / f"{part(output)}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    (problem,) = problems(output)
    assert problem.startswith(f"passages/{path.name} has 100 bytes, the manifest says ")


@pytest.mark.parametrize("folder", ["documents", "receipts", "lexical", "index"])
def test_a_file_of_an_earlier_run(output: Path, folder: str) -> None:
    some = sorted((output / folder).iterdir())[0]
    stale = some.with_name(some.name.replace(some.name.split("-")[-1][:4], "0a0a", 1))
    shutil.copy(some, stale)
    (problem,) = problems(output)
    assert problem.startswith(f"{folder}/{stale.name} is left from another run")


@pytest.mark.parametrize(
    "folder", [*DEFAULT_TABLES, "manifest", "receipts", "index", "lexical", "catalog", "segments"]
)
def test_files_that_longbert_did_not_write(output: Path, folder: str) -> None:
    place = output / folder
    place.mkdir(exist_ok=True)
    (place / "a sub").mkdir()
    for own in sorted(place.glob("*.*"))[:1]:
        # A reader of the whole folder would take its rows twice.
        shutil.copy(own, place / "a sub")
    write_texts(place, {"junk.bin": "", "copy.json": "{}", "old.faiss": "x", "x.parquet.tmp": ""})
    (output / "README.md").write_text("of the user")
    (output / "mine").mkdir()
    (output / "mine" / "rows.parquet").write_text("of the user")
    foreign = {path for path in place.rglob("*") if path.is_file()} - {*place.glob("0*-*")}
    if folder == "index":
        foreign -= {*place.glob("*-*")}
    assert len(foreign) >= 4

    status, out, _ = verify(output)

    assert status == 1
    found, commands = out.split("To mend it:\n")
    assert sorted(line.partition(" does not belong ")[0] for line in found.splitlines()) == sorted(
        str(path.relative_to(output)) for path in foreign
    )
    for path in foreign:
        assert f"  {shlex.join(['rm', '-f', '--', str(path)])}\n" in commands
        path.unlink()
    assert problems(output) == []


def test_files_that_longbert_did_not_write_are_left_by_runs(
    output: Path, models: Callable[..., Path]
) -> None:
    own = sorted((output / "documents").iterdir())[0]
    (output / "documents" / "sub").mkdir()
    foreign = [
        Path(shutil.copy(own, output / "documents" / "sub")),
        Path(shutil.copy(own, output / "documents" / "mine.parquet")),
    ]
    (output / "receipts" / "copy.json").write_text("{}")
    command = shlex.split(recorded_command(OutputFolder(LocalFileSystem(), str(output))))
    (output / "manifest.json").unlink()
    assert CliRunner().invoke(main, command[1:]).exit_code == 3
    assert all(path.exists() for path in (*foreign, output / "receipts" / "copy.json"))
    assert len(problems(output)) == 3


def test_files_of_a_run_at_work_are_its_own(output: Path) -> None:
    some = sorted((output / "documents").iterdir())[0]
    shutil.copy(some, some.with_name(some.name.replace("000000-", "000099-", 1)))
    with locked(OutputFolder(LocalFileSystem(), str(output))):
        assert problems(output) == []
        edit(output / "lock.json", lambda lock: lock.update(host="elsewhere"))
        (problem,) = problems(output)
        assert "is not named in the manifest: it is left from another run, or " in problem
        assert " on elsewhere, since " in problem


def test_a_first_run_at_work(output: Path) -> None:
    (output / "manifest.json").unlink()
    folder = OutputFolder(LocalFileSystem(), str(output))
    with locked(folder) as lock:
        holder = lock.holder()
        status, out, err = verify(output)
    assert holder is not None
    assert (status, out) == (5, "")
    assert f"which has no manifest yet: {holder.told}: it can be verified when that has" in err
    assert verify(output)[0] == 1


@pytest.mark.parametrize("table", ["documents", "passages"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite(output: Path, table: str, value: float) -> None:
    def change(vectors: list[Any]) -> None:
        vectors[0] = [value, *vectors[0][1:]]

    replace_table(output, table, lambda rows: with_column(rows, "embedding", change))
    found = "\n".join(problems(output))
    assert f"part {part(output)}: {table}: NaN or infinity in 1 of " in found
    assert "vectors, first in document '00.txt'" in found


@pytest.mark.parametrize(("table", "n_left"), [("documents", 0), ("passages", 0), ("passages", 1)])
def test_vectors_that_are_missing(output: Path, table: str, n_left: int) -> None:
    def drop(rows: pa.Table) -> pa.Table:
        vectors = rows.column("embedding").to_pylist()
        vectors[n_left:] = [None] * (len(vectors) - n_left)
        # As programs write them that know no lists of fixed size.
        return rows.set_column(
            rows.schema.get_field_index("embedding"),
            "embedding",
            pa.array(vectors, type=pa.list_(pa.float32())),
        )

    replace_table(output, table, drop)
    found = "\n".join(problems(output))
    assert f"part {part(output)}: {table}: " in found


def test_commands_that_mend_a_part(output: Path) -> None:
    """What verify prints is done word for word, and then the output is whole."""
    (output / "entities" / f"{part(output, 1)}.parquet").write_bytes(b"nothing")
    _, out, _ = verify(output)
    remove, run_again = (shlex.split(line) for line in out.split("To mend it:\n")[1].splitlines())
    assert remove == ["rm", "-f", "--", f"{output}/receipts/{part(output, 1)}.json"]
    Path(remove[-1]).unlink()
    result = CliRunner().invoke(main, run_again[1:])
    assert result.exit_code == 3, result.stderr
    assert problems(output) == []


@pytest.mark.parametrize("folder", ["catalog", "lexical"])
def test_commands_that_mend_a_file_for_search_encode_nothing(output: Path, folder: str) -> None:
    before = files_of(output)
    (path,) = (output / folder).glob(f"{part(output)}*")
    path.write_bytes(b"?" * path.stat().st_size)
    _, out, _ = verify(output)
    remove, run_again = (shlex.split(line) for line in out.split("To mend it:\n")[1].splitlines())
    assert remove == ["rm", "-f", "--", str(path)]
    path.unlink()
    result = CliRunner().invoke(main, run_again[1:])
    assert result.exit_code == 3, result.stderr
    assert "the words of 1 part were indexed again" in result.stderr
    assert files_of(output) == before


def test_a_lexical_file_of_other_settings(output: Path) -> None:
    folder = OutputFolder(LocalFileSystem(), str(output))
    manifest = folder.finished()
    other = msgspec.structs.replace(manifest.lexical_settings, language="en")
    changed = msgspec.structs.replace(manifest, lexical_settings=other).sealed()
    folder.write_record("manifest.json", changed)
    assert problems(output) == [
        f"part {name}: its lexical file was made with other settings"
        for name in part_names_of(output)
    ]


def test_a_catalog_of_other_rows(output: Path) -> None:
    one, other = (f"catalog/{part(output, number)}.safetensors" for number in range(2))
    data = (output / other).read_bytes()
    (output / one).write_bytes(data)
    folder = OutputFolder(LocalFileSystem(), str(output))
    receipt = folder.receipt(part(output))
    assert receipt is not None
    files = {
        **receipt.files,
        "catalog": FileEntry(sha256=hashlib.sha256(data).hexdigest(), n_bytes=len(data), n_rows=1),
    }
    folder.write_receipt(msgspec.structs.replace(receipt, files=files))
    edit_parts(output, lambda parts: parts[0].update(files=msgspec.to_builtins(files)))
    assert problems(output) == [f"part {part(output)}: its catalog does not belong to its tables"]


def test_a_report_for_programs(output: Path) -> None:
    file = f"entities/{part(output)}.parquet"
    (output / file).unlink()
    result = CliRunner().invoke(main, ["verify", str(output), "--format", "json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["is_whole"] is False
    assert report["parts"] == [part(output)]
    assert report["problems"] == [
        {"message": f"{file} is missing", "mend": "part", "part": part(output), "file": file}
    ]
    assert report["commands"][0] == f"rm -f -- {output}/receipts/{part(output)}.json"


def test_a_report_of_a_good_output(good: Path) -> None:
    result = CliRunner().invoke(main, ["verify", str(good), "--format", "json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["is_whole"] is True
    assert report["problems"] == report["commands"] == report["parts"] == []
    assert report["counts"]["documents"] == 3


def test_rows_that_were_dropped(output: Path) -> None:
    replace_table(output, "documents", lambda rows: rows.slice(1))
    found = "\n".join(problems(output))
    assert "of 2 documents that went in, 1 did not come out; 1 came out as" in found


@pytest.mark.parametrize("name", ["shards", "counts", "index"])
def test_a_manifest_that_lacks_something(output: Path, name: str) -> None:
    edit(output / "manifest.json", lambda manifest: manifest.pop(name))
    (problem,) = problems(output)
    assert re.search(f"damaged .*required field `{name}`.: restore it", problem)


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": '])
def test_a_manifest_that_cannot_be_read_has_a_report_all_the_same(
    output: Path, content: bytes
) -> None:
    (output / "manifest.json").write_bytes(content)
    result = CliRunner().invoke(
        main, ["verify", str(output), "--inputs", "--sample", "1", "--format", "json"]
    )
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["counts"] == {}
    (problem,) = report["problems"]
    assert problem["message"].startswith(f"{output}/manifest.json is damaged")
    assert (problem["mend"], problem["file"]) == ("manifest", "manifest.json")
    assert report["commands"][0] == f"rm -f -- {output}/manifest.json"


def test_a_manifest_that_is_missing(output: Path) -> None:
    (output / "manifest.json").unlink()
    status, out, _ = verify(output)
    assert status == 1
    problem, _, command = out.splitlines()
    assert problem.startswith(f"{output}/manifest.json is missing: the first run into ")
    assert command.startswith("  longbert run --input ")


def test_no_output(tmp_path: Path) -> None:
    status, out, err = verify(tmp_path / "nothing")
    assert (status, out) == (2, "")
    assert err.startswith(f"longbert: error: '{tmp_path}/nothing' is not a folder")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "manifest.json").write_text("{")
    status, out, _ = verify(tmp_path / "bad")
    assert status == 1
    assert "bad/manifest.json is damaged" in out


def test_an_output_of_another_format(output: Path) -> None:
    edit(output / "manifest.json", lambda manifest: manifest.update(format=99))
    with pytest.raises(OutputError, match="has format 99, and this version"):
        problems(output)


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_shard_of_the_manifest_that_is_lost_or_changed(output: Path, is_gone: bool) -> None:
    (shard,) = (output / "manifest").iterdir()
    if is_gone:
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes() + b" ")
    file = f"manifest/{shard.name}"
    report = verify_report(
        folder := OutputFolder(LocalFileSystem(), str(output)), verify_output(folder)
    )
    (problem,) = report.problems
    assert problem.message == f"{file} is missing or does not match its SHA-256 in the manifest"
    assert report.commands[0] == f"rm -f -- {output}/manifest.json"


def test_a_shard_that_is_not_what_the_manifest_says(output: Path) -> None:
    edit(output / "manifest.json", lambda m: m["shards"][0].update(fingerprints=[]))
    (shard,) = (output / "manifest").iterdir()
    assert problems(output) == [
        f"manifest.json: manifest/{shard.name} does not hold what it says of it"
    ]


def test_entities_of_one_head_that_overlap(output: Path) -> None:
    def twice(rows: pa.Table) -> pa.Table:
        return pa.concat_tables([rows.slice(0, 1), rows])

    replace_table(output, "entities", twice)
    assert any("overlaps the one before it" in problem for problem in problems(output))


@pytest.mark.parametrize("name", ["fingerprint.json", "run.json", "lock.json"])
@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_record(output: Path, name: str, content: str) -> None:
    (output / name).write_text(content)
    status, out, _ = verify(output)
    assert status == 1
    problem, _, removal, *_ = out.splitlines()
    assert problem.startswith(f"{output}/{name} is damaged")
    assert removal == f"  rm -f -- {output}/{name}"


@pytest.mark.parametrize("name", ["fingerprint.json", "run.json"])
def test_a_missing_record_is_written_by_the_next_run(output: Path, name: str) -> None:
    command = shlex.split(recorded_command(OutputFolder(LocalFileSystem(), str(output))))
    before = files_of(output)
    (output / name).unlink()
    assert problems(output) == [f"{name} is missing"]
    CliRunner().invoke(main, command[1:])
    assert problems(output) == []
    assert files_of(output) == before


def test_a_claim_that_was_edited(output: Path) -> None:
    before = files_of(output)
    claim = output / "fingerprint.json"
    for change in ({"settings": {"passage": 7}}, {"environment": {"processor": "another"}}):
        content = json.loads(claim.read_text())
        for name, values in change.items():
            content["rows"][name].update(values)
        claim.write_text(json.dumps(content))
        assert problems(output) == ["fingerprint.json is not that of the rows in the manifest"]
        command = shlex.split(recorded_command(OutputFolder(LocalFileSystem(), str(output))))
        result = CliRunner().invoke(main, command[1:])
        assert "nothing to encode: wrote fingerprint.json again" in result.stderr
        assert problems(output) == []
        assert files_of(output) == before


def test_a_manifest_that_is_mended_is_not_nothing_to_do(output: Path) -> None:
    before = files_of(output)
    command = shlex.split(recorded_command(OutputFolder(LocalFileSystem(), str(output))))
    edit(output / "manifest.json", lambda m: m["counts"].update(documents=4))
    result = CliRunner().invoke(main, command[1:])
    assert "nothing to encode: wrote manifest.json again; 1 in errors" in result.stderr
    assert files_of(output) == before
    again = CliRunner().invoke(main, command[1:])
    assert "nothing to do" in again.stderr


@pytest.mark.parametrize("content", [None, "{"])
def test_without_a_history_the_command_has_the_settings_of_the_manifest(
    output: Path, good: Path, content: str | None
) -> None:
    before = files_of(output)
    (output / "run.json").unlink() if content is None else (output / "run.json").write_text("{")
    _, out, _ = verify(output)
    line = out.splitlines()[-1]
    assert line.startswith(f"  longbert run --input ... --output {output} --embed ")
    assert line.endswith("  # with the inputs and options of the run that made it")
    (output / "run.json").unlink(missing_ok=True)
    command = shlex.split(line, comments=True)
    command[command.index("...")] = str(good.parent / "docs")
    result = CliRunner().invoke(main, [*command[1:], "--unit-bytes", "2000"])
    assert "nothing to do" in result.stderr
    assert problems(output) == []
    assert files_of(output) == before


def test_without_history_and_manifest_the_command_has_the_output(output: Path) -> None:
    (output / "run.json").unlink()
    (output / "manifest.json").unlink()
    assert recorded_command(OutputFolder(LocalFileSystem(), str(output))) == (
        f"longbert run --input ... --output {output}  # with the inputs and options of the run "
        "that made it"
    )


def test_a_lock_is_no_problem(output: Path) -> None:
    with locked(OutputFolder(LocalFileSystem(), str(output))):
        assert problems(output) == []
