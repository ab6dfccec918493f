"""Bundles split, shuffled, lost, done again and done twice at once change nothing.

A runner that treats the steps as badly as a runner may: each step's input is cut at random,
bundles come in any order, some fail after they have done their work and come again, and some are
done by two workers at the same time. Elements and steps are pickled on their way, as between
machines.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import pickler
from apache_beam.pvalue import TaggedOutput
from fakes.encoder import fake_models
from runners.conformance import SETTINGS, job
from support.runs import files_of, problems, run_on, some_texts, write_texts
from support.texts import long_text

from longbert.beam import making, pipeline, planning
from longbert.core.plan_counts import PlanCounts, total
from longbert.core.planning import (
    found_in,
    gather_block,
)
from longbert.engine.finish import read_result
from longbert.engine.meter import NullMeter
from longbert.store.filesystem import LocalFileSystem
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
    run_on(LocalFileSystem(), inputs, tmp_path / "plain", load=fake_models, **SETTINGS)
    output = tmp_path / "out"
    whole = job(inputs, output)
    whole = replace(whole, context=replace(whole.context, meter=NullMeter()))
    runner = BadRunner(seed)

    (prepared,) = runner.run(pipeline.Prepare(whole), [None])
    blocks = runner.run(planning.ScanFiles(whole), runner.run(planning.ListFiles(whole), [None]))
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
    made = runner.run(making.ProcessUnit(whole), units, prepared, 10_000)
    shared = [one.value for one in made if isinstance(one, TaggedOutput)]
    made = [one for one in made if not isinstance(one, TaggedOutput)]
    assert len(shared) >= 2
    assert len({unit.part.name for unit, _ in shared}) == 1
    done = runner.grouped(runner.run(making.EncodeSegment(whole), shared, prepared))
    made += runner.run(making.JoinSegments(whole), done, prepared)
    assert len(made) == len(units)
    parts = runner.grouped([(shard_of(name), name) for name, _ in made])
    shards = runner.run(pipeline.GatherShard(whole), parts)
    n_resumed = sum(not was_made for _, was_made in made)
    runner.run(pipeline.Finish(whole), [None], summary, n_resumed, shards, prepared)

    assert runner.n_lost
    assert runner.n_twice
    assert files_of(output) == files_of(tmp_path / "plain")
    assert problems(output) == []
    assert read_result(whole.context).manifest.counts["errors"] == 1
