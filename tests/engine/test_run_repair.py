"""An output that lost a file is made whole by running again; verify sees what should not be."""

import pytest
from support.runs import run, some_texts, write_texts

from longbert.engine.verify.output import verify_output
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


@pytest.fixture
def finished(models, tmp_path):
    inputs = write_texts(tmp_path / "in", some_texts(3))
    output = tmp_path / "out"

    def again():
        return run(inputs, output, embed=models("bert"))

    again()
    return output, again


@pytest.mark.parametrize("folder", ["documents", "passages", "errors", "receipts"])
def test_last_part_is_made_again_to_the_same_bytes(finished, folder):
    output, again = finished
    before = content(output)
    last = max((output / folder).iterdir())
    last.unlink()
    again()
    assert content(output) == before


def test_truncated_file_of_an_earlier_part_costs_that_part_alone(finished):
    output, again = finished
    first = min((output / "passages").iterdir())
    kept = {path.name for path in (output / "passages").iterdir()} - {first.name}
    first.write_bytes(first.read_bytes()[:-9])
    manifest = again()
    assert manifest["counts"]["documents"] == 3
    assert kept < {path.name for path in (output / "passages").iterdir()}
    assert list(verify_output(OutputFolder(LocalFileSystem(), str(output)))) == []


def test_damaged_history_is_begun_anew(finished):
    output, again = finished
    (output / "run.json").write_text("[")
    again()
    assert '"runs"' in (output / "run.json").read_text()


def test_verify_names_files_that_are_not_of_the_output(finished):
    output, _ = finished
    part = min((output / "documents").iterdir())
    (output / "documents" / "stray.parquet").write_bytes(part.read_bytes())
    (problem,) = verify_output(OutputFolder(LocalFileSystem(), str(output)))
    assert "documents/stray.parquet" in problem.message


def test_verify_tells_of_a_manifest_that_lacks_something(finished):
    output, _ = finished
    path = output / "manifest.json"
    path.write_text(path.read_text().replace('"shards"', '"shreds"'))
    (problem,) = verify_output(OutputFolder(LocalFileSystem(), str(output)))
    assert "manifest.json is damaged" in problem.message
    assert problem.file == "manifest.json"
