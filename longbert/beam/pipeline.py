"""The Beam graph: the steps of a run, wired.

What crosses a shuffle is small: files, references of documents (ids and digests), names of
parts. Texts, tokens, hidden states and vectors stay inside one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton

from longbert.beam.job import Job
from longbert.beam.making import make_units
from longbert.beam.plan import plan
from longbert.core.plan_counts import PlanCounts
from longbert.core.units import Unit, place_of
from longbert.engine.done_units import (
    DoneUnits,
    FoundUnit,
    encoded_parts,
    find_unit,
    total_done,
)
from longbert.engine.finish import finish
from longbert.engine.gather import gather_shard
from longbert.engine.plan import PlanSummary, check_memory, check_missing, summarize
from longbert.engine.prepare import Prepared, prepare
from longbert.engine.segments import least_shared_bytes
from longbert.store.receipts import ShardEntry
from longbert.store.shards import number_of, shard_of

WORKERS_OF_CLUSTER = 100
"""For what a share of the work is where workers come and go."""


class Prepare(beam.DoFn):  # type: ignore[misc]
    """None to :class:`Prepared`: claims the output folder."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None) -> Iterator[Prepared]:
        """Yield what later steps need to know about the models."""
        with self._job.reporting():
            yield prepare(self._job.context, self._job.models())


class Summarize(beam.DoFn):  # type: ignore[misc]
    """None and what a plan comes to, to what the last step needs of it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, _: None, counts: PlanCounts, prepared: Prepared) -> Iterator[PlanSummary]:
        """Yield the one summary, if the plan may be carried out."""
        with self._job.reporting():
            check_missing(self._job.context, counts)
            check_memory(counts, prepared)
            yield summarize(self._job.context, counts)


class FindUnits(beam.DoFn):  # type: ignore[misc]
    """A unit to what an interrupted run has left of it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, unit: Unit) -> Iterator[FoundUnit]:
        """Yield the one unit as it is found."""
        with self._job.reporting():
            yield find_unit(self._job.context, unit)


class CountEncoded(beam.DoFn):  # type: ignore[misc]
    """The name of a part, and whether its documents were encoded, to what came of that."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, made: tuple[str, bool]) -> Iterator[DoneUnits]:
        """Yield what the receipt says, if they were."""
        name, is_encoded = made
        with self._job.reporting():
            if is_encoded:
                yield encoded_parts(self._job.context, [name])


class GatherShard(beam.DoFn):  # type: ignore[misc]
    """The number of a shard and the names of its parts to what the manifest says of it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[str]]) -> Iterator[ShardEntry]:
        """Yield the one entry."""
        number, parts = element
        with self._job.reporting():
            yield gather_shard(self._job.context, number, sorted(parts, key=place_of))


class Finish(beam.DoFn):  # type: ignore[misc]
    """None and what is left of the plan to the finished output."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(
        self,
        _: None,
        summary: PlanSummary,
        done: DoneUnits,
        shards: Iterable[ShardEntry],
        prepared: Prepared,
    ) -> Iterator[None]:
        """Write index, manifest and history."""
        with self._job.reporting():
            ordered = sorted(shards, key=number_of)
            finish(self._job.context, summary, done, ordered, prepared, self._job.info)
            yield None


class RunDocuments(beam.PTransform):  # type: ignore[misc]
    """A whole run: ``pipeline | RunDocuments(job)``.

    Args:
        job: what the steps get.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Wire the steps; the last one yields a single None."""
        job = self._job
        start = pipeline | "Start" >> beam.Create([None])
        prepared = AsSingleton(start | "Prepare" >> beam.ParDo(Prepare(job)))
        planned = plan(start, job, prepared)
        summary = AsSingleton(
            start | "Summarize" >> beam.ParDo(Summarize(job), AsSingleton(planned.counts), prepared)
        )
        # Nothing is made before the plan has been checked.
        least_bytes = AsSingleton(start | "Share" >> beam.Map(_least_bytes, summary, prepared))
        found = planned.units | "Find units" >> beam.ParDo(FindUnits(job))
        # A shuffle, so that all are found before any is made. What is done goes along, since a
        # runner that finds units again may find more of them done.
        spread = found | "Left" >> beam.Map(_left) | "Spread units" >> beam.Reshuffle()
        made = make_units(spread, job, prepared, least_bytes)
        done = (
            (
                found | "Done before" >> beam.FlatMap(_done_before),
                made | "Count encoded" >> beam.ParDo(CountEncoded(job)),
            )
            | "All done" >> beam.Flatten()
            | "Add up done" >> beam.CombineGlobally(total_done)
        )
        shards = (
            (made | "Made" >> beam.Keys(), planned.kept)
            | "Parts" >> beam.Flatten()
            | "Number shards" >> beam.Map(_with_shard)
            | "Group parts" >> beam.GroupByKey()
            | "Gather receipts" >> beam.ParDo(GatherShard(job))
        )
        return start | "Finish" >> beam.ParDo(
            Finish(job), summary, AsSingleton(done), AsIter(shards), prepared
        )


def _least_bytes(_: None, summary: PlanSummary, prepared: Prepared) -> int | None:
    n_bytes = summary.counts.n_bytes
    return least_shared_bytes(prepared, n_bytes=n_bytes, n_workers=WORKERS_OF_CLUSTER)


def _left(found: FoundUnit) -> Unit:
    return found.left


def _done_before(found: FoundUnit) -> Iterator[DoneUnits]:
    if found.done != DoneUnits():
        yield found.done


def _with_shard(part: str) -> tuple[int, str]:
    return shard_of(part), part
