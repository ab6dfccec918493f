"""Documents that are gone from the inputs: a few are dropped, many are asked about."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes.encoder import fake_models
from support.runs import (
    files_of,
    problems,
    rows_by_document,
    run_on,
    some_texts,
    write_texts,
)

from longbert.config import run_config
from longbert.engine.context import RunContext
from longbert.engine.finish import RunResult
from longbert.engine.forecast import Forecast, forecast_run
from longbert.errors import InputError
from longbert.store.filesystem import LocalFileSystem

SETTINGS: dict[str, Any] = {"embed": "fake", "ner": ["names"], "unit_bytes": 3000}
"""Three documents fill a unit."""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "docs", some_texts(10))


@pytest.fixture
def output(tmp_path: Path, docs: Path) -> Path:
    output = tmp_path / "out"
    run(docs, output)
    return output


def run(docs: Path, output: Path, **settings: Any) -> RunResult:
    given = {**SETTINGS, **settings}
    return run_on(LocalFileSystem(), docs, output, load=fake_models, **given)


def forecast(docs: Path, output: Path, **settings: Any) -> Forecast:
    given = {"input": str(docs), "output": str(output), "precision": "float32"}
    config = run_config({**given, **SETTINGS, **settings})
    return forecast_run(RunContext(config, LocalFileSystem(), load=fake_models))


def lose(docs: Path, *numbers: int) -> None:
    for number in numbers:
        (docs / f"{number:02}.txt").unlink()


def test_a_tenth_is_dropped(docs: Path, output: Path, tmp_path: Path) -> None:
    lose(docs, 4)
    entry = run(docs, output).entry
    assert (entry.documents, entry.removed, entry.missing, entry.kept) == (9, 1, 1, 0)
    run(docs, tmp_path / "fresh")
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")


def test_more_than_a_tenth_stops_the_run_before_it_changes_anything(
    docs: Path, output: Path
) -> None:
    before = files_of(output)
    lose(docs, 1, 4, 5, 6)
    write_texts(docs, {"new.txt": "a new one"})
    with pytest.raises(InputError) as raised:
        run(docs, output)
    message = str(raised.value)
    assert raised.value.exit_status == 2
    assert message.startswith("4 of the 10 documents in output ")
    assert "('01.txt', '04.txt', '05.txt' and 1 more)" in message
    assert "--prune" in message
    assert "--keep-missing" in message
    assert files_of(output) == before


def test_one_of_three_is_more_than_a_tenth(tmp_path: Path) -> None:
    docs, output = write_texts(tmp_path / "few", some_texts(3)), tmp_path / "out"
    run(docs, output)
    lose(docs, 0)
    with pytest.raises(InputError, match=r"1 of the 3 documents .* \('00\.txt'\)"):
        run(docs, output)


def test_prune_drops_however_many_there_are(docs: Path, output: Path, tmp_path: Path) -> None:
    lose(docs, *range(1, 10))
    entry = run(docs, output, prune=True).entry
    assert (entry.documents, entry.removed, entry.missing) == (1, 9, 9)
    run(docs, tmp_path / "fresh")
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")
    assert problems(output) == []


def test_keep_missing_keeps_rows_beside_changes_of_others(
    docs: Path, output: Path, tmp_path: Path
) -> None:
    before = rows_by_document(output)
    lose(docs, 0, 4, 5)
    # In the unit of two that are gone.
    (docs / "03.txt").write_text("another text")
    write_texts(docs, {"new.txt": "a new one"})

    entry = run(docs, output, keep_missing=True).entry

    assert (entry.documents, entry.unchanged, entry.removed) == (8, 6, 1)
    assert (entry.missing, entry.kept) == (0, 3)
    run(docs, tmp_path / "fresh")
    wanted = rows_by_document(tmp_path / "fresh")
    wanted |= {name: before[name] for name in ("00.txt", "04.txt", "05.txt")}
    assert rows_by_document(output) == wanted
    assert problems(output) == []

    # What was kept once is asked about again.
    with pytest.raises(InputError, match="3 of the 11 documents"):
        run(docs, output)
    assert run(docs, output, keep_missing=True).found_all_done


def test_documents_that_all_have_changed_are_not_gone(docs: Path, output: Path) -> None:
    write_texts(docs, some_texts(10, seed=50))
    entry = run(docs, output).entry
    assert (entry.removed, entry.missing) == (10, 0)


def test_documents_that_can_no_longer_be_read_are_not_gone(docs: Path, output: Path) -> None:
    for number in range(5):
        (docs / f"{number:02}.txt").write_text("")
    entry = run(docs, output).entry
    assert (entry.removed, entry.missing) == (5, 0)


def test_a_forecast_tells_what_the_run_does(docs: Path, output: Path) -> None:
    lose(docs, 4)
    (docs / "07.txt").write_text("another text")
    write_texts(docs, {"new.txt": "a new one"})
    before = files_of(output)

    told = forecast(docs, output)

    assert files_of(output) == before
    assert not (output / "lock.json").exists()
    entry = run(docs, output).entry
    assert (told.documents, told.unchanged, told.dropped) == (10, 8, 2)
    assert (told.documents, told.unchanged) == (entry.documents, entry.unchanged)
    assert (told.dropped, told.missing) == (entry.removed, entry.missing)
    assert told.missing_ids == ("04.txt",)
    assert told.encode.documents == 2
    assert told.encode.n_bytes == len("another text") + len("a new one")
    assert told.encode.units + told.copy.units == entry.units
    assert (told.copy.units, told.copy.documents) == (entry.units_copied, 4)
    assert told.copy.n_bytes > 0
    assert (told.asks, told.builds_index) == (False, True)
    again = forecast(docs, output)
    assert (again.encode.units, again.copy.units, again.builds_index) == (0, 0, False)


def test_a_forecast_tells_that_the_run_would_ask(docs: Path, output: Path) -> None:
    lose(docs, 1, 2)
    told = forecast(docs, output)
    assert (told.asks, told.status) == (True, 2)
    assert told.refused.startswith("2 of the 10 documents in output ")
    pruned = forecast(docs, output, prune=True)
    assert (pruned.asks, pruned.status, pruned.refused) == (False, 0, "")
    kept = forecast(docs, output, keep_missing=True)
    assert (kept.asks, kept.keeps_missing, kept.dropped, kept.missing) == (False, True, 0, 2)


def test_a_forecast_of_a_first_run_leaves_nothing_behind(docs: Path, tmp_path: Path) -> None:
    told = forecast(docs, tmp_path / "none")
    assert (told.documents, told.encode.documents, told.copy.units) == (10, 10, 0)
    assert not (tmp_path / "none").exists()


def test_a_forecast_knows_what_a_stopped_run_has_done(docs: Path, output: Path) -> None:
    (output / "manifest.json").unlink()
    shutil.rmtree(output / "manifest")
    max((output / "receipts").iterdir()).unlink()
    told = forecast(docs, output)
    assert told.resumed + told.encode.documents == 10
    assert (told.encode.units, told.unchanged) == (1, 0)


def test_a_forecast_tells_of_documents_that_will_fail(docs: Path, output: Path) -> None:
    write_texts(docs, {"empty.txt": "", "broken.jsonl": "{"})
    told = forecast(docs, output)
    assert (told.errors, told.status) == (2, 3)
    limited = forecast(docs, output, max_errors=1)
    assert (limited.errors, limited.status) == (2, 1)
    assert "2 of the 2 documents to do are in errors, and max_errors is 1" in limited.refused
    run(docs, output)
    assert (forecast(docs, output).errors, forecast(docs, output).status) == (2, 3)
