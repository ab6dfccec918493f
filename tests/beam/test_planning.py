"""The graph plans what this machine plans, whatever is in a block."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pvalue import AsSingleton
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from fakes.encoder import fake_models
from runners.conformance import SETTINGS, job
from support.runs import files_of, last_run, problems, run_on

from longbert.beam.pipeline import RunDocuments
from longbert.beam.plan import plan as plan_in_graph
from longbert.core import planning
from longbert.core.units import place_of
from longbert.engine.plan import list_groups, plan
from longbert.engine.prepare import prepare
from longbert.engine.spool import Spool
from longbert.store import shards
from longbert.store.filesystem import LocalFileSystem


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of three documents, stretches of two units, shards of four parts."""
    monkeypatch.setattr(planning, "BLOCK_DOCUMENTS", 3)
    monkeypatch.setattr(planning, "STRETCH_UNITS", 2)
    monkeypatch.setattr(shards, "PARTS_OF_A_SHARD", 4)


def write_lines(folder: Path, numbers: Sequence[int], version: str = "") -> Path:
    """Two files of short documents; one number in five is that of another document, too."""
    folder.mkdir(exist_ok=True)
    half = len(numbers) // 2
    for name, some in (("a", numbers[:half]), ("b", numbers[half:])):
        lines = [
            json.dumps({"id": f"d{n - 5 if n % 5 == 4 else n}", "text": f"Text {n}{version} here."})
            for n in some
        ]
        (folder / f"{name}.jsonl").write_text("\n".join([*lines, "{", ""]))
    return folder


def run_here(docs: Path, output: Path, **settings: Any) -> None:
    run_on(LocalFileSystem(), docs, output, load=fake_models, **{**SETTINGS, **settings})


def change(docs: Path, _: Path) -> None:
    write_lines(docs, [*range(7), *range(9, 44)])
    (docs / "0.txt").write_text("A new one.")


def lose_a_receipt(_: Path, output: Path) -> None:
    sorted((output / "receipts").iterdir())[3].unlink()


def lose_the_manifest(_: Path, output: Path) -> None:
    (output / "manifest.json").unlink()


def grow(docs: Path, output: Path) -> None:
    write_lines(docs, range(46))
    run_here(docs, output)
    lose_a_receipt(docs, output)


@pytest.mark.parametrize("happens", [None, change, lose_a_receipt, lose_the_manifest, grow])
def test_the_graph_plans_what_this_machine_plans(
    tmp_path: Path, happens: Callable[[Path, Path], None] | None
) -> None:
    docs, output = write_lines(tmp_path / "docs", range(40)), tmp_path / "out"
    if happens is not None:
        run_here(docs, output)
        happens(docs, output)
    whole = job(docs, output)
    context = whole.context
    prepared = prepare(context, fake_models(context.config.models, threads=None))
    here = plan(context, Spool(list_groups(context)), prepared)
    units = [*here.units]
    made = {unit.part.name for unit in units}
    assert units

    def are_units(found: list[Any]) -> None:
        assert sorted(found, key=lambda unit: place_of(unit.part.name)) == units

    def are_kept(found: list[Any]) -> None:
        assert sorted(found) == [name for name in here.parts if name not in made]

    def are_counts(found: list[Any]) -> None:
        assert found == [here.counts]

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        start = pipeline | beam.Create([None])
        given = AsSingleton(pipeline | "Prepared" >> beam.Create([prepared]))
        planned = plan_in_graph(start, whole, given)
        assert_that(planned.units, are_units, label="units")
        assert_that(planned.kept, are_kept, label="kept")
        assert_that(planned.counts, are_counts, label="counts")


def test_what_was_lost_is_made_again_in_its_place(tmp_path: Path) -> None:
    docs, output = write_lines(tmp_path / "docs", range(40)), tmp_path / "out"
    run_here(docs, output)
    before = files_of(output)
    lose_a_receipt(docs, output)
    lose_the_manifest(docs, output)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        pipeline | RunDocuments(job(docs, output))
    assert files_of(output) == before
    entry = last_run(output)
    assert entry["units"] - entry["units_resumed"] == 1


def test_the_graph_writes_the_same_shards(tmp_path: Path) -> None:
    docs = write_lines(tmp_path / "docs", range(40))
    run_here(docs, tmp_path / "here")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        pipeline | RunDocuments(job(docs, tmp_path / "out"))
    assert len([*(tmp_path / "out/manifest").iterdir()]) > 1
    assert files_of(tmp_path / "out") == files_of(tmp_path / "here")
    assert problems(tmp_path / "out") == []
