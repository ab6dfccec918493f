"""An output that lost a file is made whole by running again; verify sees what should not be."""

import pytest
from support.runs import last_run, rows_by_document, run, some_texts, write_texts

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


@pytest.mark.parametrize("folder", ["passages", "receipts"])
def test_an_earlier_part_is_made_again_to_the_same_bytes(finished, folder):
    output, again = finished
    before = content(output)
    first = min((output / folder).iterdir())
    first.write_bytes(first.read_bytes()[:-9])
    again()
    assert content(output) == before
    assert last_run(output)["units_resumed"] == 2


def test_an_earlier_part_of_an_output_that_grew_costs_that_part_alone(finished):
    output, again = finished
    write_texts(output.parent / "in", {"00.txt": "another text"})
    again()
    before = rows_by_document(output)
    lost = sorted((output / "passages").iterdir())[0]
    kept = {path.name for path in (output / "passages").iterdir()} - {lost.name}
    lost.write_bytes(lost.read_bytes()[:-9])
    again()
    assert rows_by_document(output) == before
    assert kept < {path.name for path in (output / "passages").iterdir()}
    assert last_run(output)["unchanged"] == 2
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
