"""Bundles split, shuffled, lost, done again and done twice at once change nothing.

A runner that treats the steps as badly as a runner may: each step's input is cut at random,
bundles come in any order, some fail after they have done their work and come again, and some are
done by two workers at the same time. Elements and steps are pickled on their way, as between
machines.
"""

from __future__ import annotations

import pickle
import random
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import pickler
from apache_beam.pvalue import TaggedOutput
from runners.conformance import job
from support.runs import files_of, problems, some_texts, without_times, write_texts
from support.texts import long_text

from longbert.beam import making, pipeline, plan, planning
from longbert.beam.job import Job
from longbert.beam.runners import run_on_beam
from longbert.cli.progress import progress_line, summary_lines
from longbert.core.plan_counts import PlanCounts, total
from longbert.core.planning import (
    found_in,
    gather_block,
)
from longbert.engine.done_units import total_done
from longbert.engine.finish import RunInfo, RunResult, read_result
from longbert.engine.history import read_history
from longbert.engine.meter import FileMeter
from longbert.engine.run import run_in_process
from longbert.store.record import to_builtins
from longbert.store.shards import shard_of

TOGETHER = 3
"""Bundles at work at the same time."""


class BadRunner:
    """Runs a step over elements as a bad day would.

    Args:
        seed: of all that is random.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.n_lost = 0
        self.n_twice = 0

    def run(self, step: Any, elements: Sequence[Any], *side_inputs: Any) -> list[Any]:
        """What comes out of a step, each bundle's output once, in any order."""
        bundles = self._cut(list(elements))
        jobs: list[Callable[[], list[Any]]] = []
        for bundle in bundles:
            for _ in range(self._random.choice((0, 0, 1, 2))):
                jobs.append(self._bundle(step, bundle, side_inputs))
                self.n_lost += 1
        results: list[list[Any]] = []
        with ThreadPoolExecutor(TOGETHER) as pool:
            done = [pool.submit(one) for one in jobs]
            for bundle in bundles:
                twins = [self._bundle(step, bundle, side_inputs)]
                if self._random.random() < 0.5:
                    twins *= 2
                    self.n_twice += 1
                of_bundle = [pool.submit(one) for one in twins]
                results.append(of_bundle[-1].result())
            for one in done:
                one.result()
        return [element for result in results for element in result]

    def grouped(self, elements: Sequence[tuple[Any, Any]]) -> list[tuple[Any, list[Any]]]:
        """What a shuffle makes of keys and values: the values of a key in any order."""
        groups: dict[Any, list[Any]] = {}
        for key, value in self._random.sample(elements, len(elements)):
            groups.setdefault(key, []).append(value)
        return [*groups.items()]

    def _cut(self, elements: list[Any]) -> list[list[Any]]:
        self._random.shuffle(elements)
        bundles = []
        while elements:
            n = self._random.randint(1, 3)
            bundles.append(elements[:n])
            elements = elements[n:]
        return bundles

    @staticmethod
    def _bundle(step: Any, bundle: list[Any], side_inputs: Any) -> Callable[[], list[Any]]:
        step, bundle = pickler.dumps(step), pickle.dumps(bundle)
        side_inputs = pickle.dumps(side_inputs)

        def work() -> list[Any]:
            own = pickler.loads(step)
            own.setup()
            own.start_bundle()
            made = []
            for element in pickle.loads(bundle):
                made += own.process(element, *pickle.loads(side_inputs)) or ()
            own.finish_bundle()
            own.teardown()
            return made

        return work


@pytest.mark.parametrize("seed", range(3))
def test_a_bad_runner_changes_nothing(seed: int, tmp_path: Path) -> None:
    texts = some_texts(6) | {"empty.txt": "", "giant.txt": long_text(3_000, seed=7)}
    inputs = write_texts(tmp_path / "in", texts)
    plain, output = tmp_path / "plain", tmp_path / "out"
    whole = metered(job(inputs, output), tmp_path / "meter")
    alone = metered(job(inputs, plain), tmp_path / "meter of plain")
    done_alone = run_in_process(alone.context, alone.info)
    runner = BadRunner(seed)

    (prepared,) = runner.run(pipeline.Prepare(whole), [None])
    blocks = runner.run(plan.ScanFiles(whole), runner.run(plan.ListFiles(whole), [None]))
    names = [row for block in blocks for row in found_in(block)]
    settled = runner.run(planning.Settle(whole), runner.grouped(names))
    gathered = [
        gather_block(block, [one for one in settled if one.block == block.place])
        for block in blocks
    ]
    (starts,) = runner.run(planning.CutStretches(whole), [None], [one.size for one in gathered])
    assert len(starts) == 1
    stretches = runner.grouped([(1, one) for one in gathered])
    units = [unit for _, unit in runner.run(planning.PackStretch(whole), stretches, prepared)]
    assert len(units) >= 4
    counts = total(
        [*map(PlanCounts.of_block, gathered), *map(PlanCounts.of_unit, units)],
    )
    (summary,) = runner.run(pipeline.Summarize(whole), [None], counts, prepared)
    found = runner.run(pipeline.FindUnits(whole), units)
    left = [one.left for one in found]
    made = runner.run(making.ProcessUnit(whole), left, prepared, 10_000)
    shared = [one.value for one in made if isinstance(one, TaggedOutput)]
    made = [one for one in made if not isinstance(one, TaggedOutput)]
    assert len(shared) >= 2
    assert len({unit.part.name for unit, _ in shared}) == 1
    done_segments = runner.grouped(runner.run(making.EncodeSegment(whole), shared, prepared))
    made += runner.run(making.JoinSegments(whole), done_segments, prepared)
    assert len(made) == len(units)
    parts = runner.grouped([(shard_of(name), name) for name, _ in made])
    shards = runner.run(pipeline.GatherShard(whole), parts)
    encoded = runner.run(pipeline.CountEncoded(whole), made)
    done = total_done([*(one.done for one in found), *encoded])
    runner.run(pipeline.Finish(whole), [None], summary, done, shards, prepared)

    assert runner.n_lost
    assert runner.n_twice
    assert files_of(output) == files_of(plain)
    assert problems(output) == []
    result = read_result(whole.context)
    assert result.manifest.counts["errors"] == 1

    (entry,) = read_history(whole.context.output).runs
    assert without_times(to_builtins(entry)) == without_times(to_builtins(done_alone.entry))
    totals, totals_alone = whole.context.meter.totals(), alone.context.meter.totals()
    assert totals["segments"] == len({one.number for _, some in done_segments for _, one in some})
    assert summary_of(result, totals) == summary_of(done_alone, totals_alone)


def test_a_replayed_run_tells_what_a_run_tells(tmp_path: Path) -> None:
    texts = some_texts(6) | {"empty.txt": "", "giant.txt": long_text(3_000, seed=7)}
    inputs = write_texts(tmp_path / "in", texts)
    lines = {}
    for name, options in (("plain", []), ("replayed", ["--direct_runner_bundle_repeat=2"])):
        one = metered(job(inputs, tmp_path / name), tmp_path / f"meter of {name}")
        # Each error counts once against the limit, too.
        config = replace(one.context.config, max_errors="1")
        context = replace(one.context, config=config)
        info = RunInfo("DirectRunner")
        folder = str(tmp_path / f"meter of {name}")
        result = run_on_beam(context, info, run_folder=folder, beam_options=options)
        assert result is not None
        totals = context.meter.totals()
        lines[name] = summary_of(result, totals), without_times(to_builtins(result.entry))
        assert progress_line(totals, None) == "8 of 8 documents, 100% of the text, 1 error"
        measured = {n: amount for n, amount in totals.items() if not n.startswith("seconds_")}
        lines[name] += (measured,)
    assert lines["replayed"] == lines["plain"]
    assert files_of(tmp_path / "replayed") == files_of(tmp_path / "plain")


def metered(job: Job, folder: Path) -> Job:
    """The same, counting in files."""
    folder.mkdir()
    return replace(job, context=replace(job.context, meter=FileMeter(str(folder))))


def summary_of(result: RunResult, totals: Mapping[str, float]) -> list[str]:
    """What is said of a run, but for times and for padding, which is of the work."""
    lines = [re.sub(r" \(.* padding", "", one) for one in summary_lines(result, totals, "out")]
    return [one for one in lines if not one.startswith("seconds: ")]
