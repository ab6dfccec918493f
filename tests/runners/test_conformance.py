"""The suite that every runner has to pass; see ``conformance`` for how to name one.

Each engine runs the same graph over the same documents, among them an empty one and one that is
many times a unit, and has to write the bytes of a run without Beam.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.encoder import fake_models
from runners.conformance import SETTINGS, Engine, Refusing, engines, job, reachable, run_graph
from support.runs import (
    files_of,
    last_run,
    problems,
    rows,
    run_on,
    some_texts,
    without_times,
    write_texts,
)
from support.texts import long_text

from longbert.store.filesystem import LocalFileSystem

pytestmark = [
    pytest.mark.timeout(600),
    # Threads and channels that Beam's servers leave to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = some_texts(4) | {"empty.txt": "", "giant.txt": long_text(3_000, seed=7)}
    return write_texts(tmp_path_factory.mktemp("inputs"), texts)


@pytest.fixture(scope="module")
def plain(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run without Beam."""
    output = tmp_path_factory.mktemp("plain") / "out"
    run_on(LocalFileSystem(), inputs, output, load=fake_models, **SETTINGS)
    assert len(list((output / "receipts").iterdir())) >= 4
    return output


@pytest.fixture(scope="module", params=list(engines()), ids=lambda engine: engine.name)
def options(request: pytest.FixtureRequest) -> Iterator[tuple[str, ...]]:
    engine: Engine = request.param
    if engine.skipped:
        pytest.skip(engine.skipped)
    with reachable(engine) as options:
        yield options


def refusing(plain: Path, folder: Path, *, is_once: bool = False) -> tuple[str, Path, Refusing]:
    """The name of a receipt, the mark while which it is refused, and files that refuse it.

    The tables of its unit are written then, but do not count.
    """
    mark = folder / "mark"
    mark.touch()
    receipt = sorted(path.name for path in (plain / "receipts").iterdir())[2]
    files = Refusing(refused=f"receipts/{receipt}", mark=str(mark), is_once=is_once)
    return receipt, mark, files


def test_a_run_has_the_bytes_errors_and_counters_of_one_without_beam(
    options: tuple[str, ...], inputs: Path, plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    counters = run_graph(job(inputs, output), options)
    assert files_of(output) == files_of(plain)
    assert problems(output) == []

    (error,) = rows(output, "errors")
    assert error["document_id"] == "empty.txt"
    (giant,) = [one for one in rows(output, "documents") if one["document_id"] == "giant.txt"]
    assert giant["n_windows"] > 200

    # An engine may do a bundle again, and then counts what it did.
    n_documents = len(list(inputs.iterdir()))
    assert counters["documents"] >= n_documents
    assert counters["errors"] >= 1
    assert without_times(last_run(output)) == without_times(last_run(plain))


def test_a_damaged_part_gets_its_bytes_back(
    options: tuple[str, ...], inputs: Path, plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(plain, output)
    sorted((output / "passages").iterdir())[2].unlink()
    run_graph(job(inputs, output), options)
    assert files_of(output) == files_of(plain)
    entry = last_run(output)
    assert entry["units"] - entry["units_resumed"] == 1
    assert entry["encoded"]["documents"] == 1


def test_a_run_that_a_step_stops_goes_on(
    options: tuple[str, ...], inputs: Path, plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    receipt, mark, files = refusing(plain, tmp_path)
    with pytest.raises(Exception, match=rf"receipts/{receipt} cannot be written .*refused"):
        run_graph(job(inputs, output, files), options)
    assert not (output / "manifest.json").exists()
    assert not (output / "receipts" / receipt).exists()

    kept = {path.name: path.stat().st_mtime_ns for path in (output / "receipts").glob("*")}
    mark.unlink()
    run_graph(job(inputs, output, files), options)
    assert files_of(output) == files_of(plain)
    after = {path.name: path.stat().st_mtime_ns for path in (output / "receipts").iterdir()}
    assert kept.items() <= after.items(), "what was complete is not made again"
    assert last_run(output)["units_resumed"] == len(kept)


def test_a_step_that_fails_once_is_done_again_by_the_engine_or_by_the_next_run(
    options: tuple[str, ...], inputs: Path, plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    receipt, mark, files = refusing(plain, tmp_path, is_once=True)
    said = ""
    try:
        run_graph(job(inputs, output, files), options)
    except Exception as error:
        said = str(error)
    if said:
        # An engine that tries nothing again says why it ended.
        assert f"receipts/{receipt} cannot be written" in said
        assert not (output / "manifest.json").exists()
        run_graph(job(inputs, output, files), options)
    assert not mark.exists(), "it failed"
    assert files_of(output) == files_of(plain)
    assert problems(output) == []
